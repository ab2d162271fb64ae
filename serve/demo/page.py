"""The demo's page, built with Gradio. Works offline."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # Gradio reads it when it is imported

import gradio as gr
from fastapi import FastAPI
from gradio.networking import setup_tunnel
from gradio.utils import NamedString

from pixels import ImageError, usable_cores
from pixels.errors import BusyError
from pixels.pool import Decoder
from serve.artifact import ArtifactError
from serve.demo import cards
from serve.http.admission import BUSY, Admission
from serve.http.server import make_server, run_server
from serve.limits import ServerLimits
from serve.predictor import Predictor
from serve.runs import ExportedRun, find_runs, open_run

TOP = 5
LIMITS = ServerLimits(queue=32, upload_mb=64, drain_s=3, last_bytes_s=1)
KEPT_S = 3600
"""Uploaded images are deleted after this many seconds; how often they are looked for."""
CSS = Path(__file__).with_name("style.css")
THEME = gr.themes.Base(
    primary_hue="emerald",
    neutral_hue="slate",
    radius_size="lg",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
).set(body_text_color_subdued="*neutral_500", body_text_color_subdued_dark="*neutral_400")


def build_page(runs: Path, decoder: Decoder) -> gr.Blocks:
    """Return the page for the models in `runs`, which are looked up again whenever it is loaded."""
    with gr.Blocks(title="Graft", analytics_enabled=False, delete_cache=(KEPT_S, KEPT_S)) as page:
        gr.HTML(cards.HEAD, padding=False)
        empty = gr.HTML(visible=False, padding=False)
        with gr.Row(visible=False) as content:
            with gr.Column(scale=2, min_width=320):
                model = gr.Dropdown(
                    label="Model", choices=[], interactive=True, filterable=False, elem_classes="graft-model"
                )
                facts = gr.HTML(container=True)
                files = gr.File(label="Images", file_count="multiple", height=190)
                # Gradio's own would write an empty file for each upload. (A subclass would write page.pyi.)
                files._process_single_file = lambda file: NamedString(file.path)
            with gr.Column(scale=3, min_width=360):
                answers = gr.HTML(cards.HINT, padding=False)
        note = gr.HTML(padding=False)

        def refresh(selected: str | None) -> tuple[dict[str, object], ...]:
            found = find_runs(runs)
            names = [run.name for run in found.models]
            value = selected if selected in names else next(iter(names), None)
            return (
                gr.update(choices=[(run.title, run.name) for run in found.models], value=value),
                gr.update(visible=bool(names)),
                gr.update(visible=not names, value=cards.empty_page(str(runs))),
                gr.update(value=cards.unreadable_note(found.unreadable)),
            )

        def describe(selected: str | None) -> str:
            return cards.facts_card(_find(runs, selected).metadata) if selected else ""

        def answer(selected: str | None, paths: list[str] | None) -> str:
            if not selected or not paths:
                return cards.HINT
            try:
                predictor = open_run(_find(runs, selected))
            except (ArtifactError, OSError) as error:
                return cards.unreadable_note([str(error)])
            return cards.stack_cards([answer_file(predictor, decoder, Path(path)) for path in paths])

        page.load(refresh, model, [model, content, empty, note], show_progress="hidden")
        model.change(describe, model, facts, show_progress="hidden")
        places = 2 * usable_cores()  # images wait for the decoder, where large ones do not delay small ones
        gr.on([model.change, files.change], answer, [model, files], answers, concurrency_limit=places)
    return page.queue(max_size=LIMITS.queue)


def answer_file(predictor: Predictor, decoder: Decoder, path: Path) -> str:
    """Return the card for one uploaded file: its best classes, or why it could not be read."""
    try:
        with decoder.decoded(path.read_bytes()) as picture:
            found = predictor.predict(picture)
    except ImageError as error:
        return cards.error_card(path.name, error.reason)
    except BusyError:
        return cards.error_card(path.name, BUSY)
    task, labels = predictor.task, predictor.labels
    drawn, notes = task.draw(picture, found.output), predictor.notes(found)
    return cards.answer_card(path.name, drawn, found.answer[:TOP], task.colours(labels), notes)


def create_demo(runs: Path, decoder: Decoder) -> FastAPI:
    """Return the web application of the page."""

    @contextlib.asynccontextmanager
    async def decoding(_app: FastAPI) -> AsyncIterator[None]:
        decoder.start()
        yield
        decoder.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=decoding)
    app.add_middleware(Admission, limits=LIMITS)
    gr.mount_gradio_app(
        app,
        build_page(runs, decoder),
        path="/",
        theme=THEME,
        css_paths=CSS,
        footer_links=[],
        max_file_size=f"{LIMITS.upload_mb}mb",
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        run_history=False,
    )
    return app


def launch_demo(runs: Path, host: str, port: int, share: bool) -> None:
    """Serve the page until SIGTERM or Ctrl-C.

    Raises: ArtifactError if there is no public link.
    """
    decoder = Decoder()
    give_up = decoder.close
    app = create_demo(runs, decoder)
    server = make_server(app, LIMITS, host=host, port=port, give_up=give_up, log_level="warning")
    print(f"The demo is at http://{host}:{port} (Ctrl-C ends it)", flush=True)
    if share:
        print(f"Public link, for everybody who knows it: {open_public_link(host, port)}", flush=True)
    run_server(server)


def open_public_link(host: str, port: int) -> str:
    """Return an address at gradio.live that leads to this server. Raises: ArtifactError."""
    try:
        return str(setup_tunnel(host, port, secrets.token_urlsafe(32), None, None))
    except Exception as error:  # Gradio wraps few of the errors of the network and of its download
        raise ArtifactError(f"no public link: {error}. Without --share, the page works offline") from error


def _find(runs: Path, name: str | None) -> ExportedRun:
    """Return the model of that name; a name from a browser is looked up, never opened as a path."""
    for run in find_runs(runs).models:
        if run.name == name:
            return run
    raise gr.Error(f"The model {name} no longer exists. Reload the page.", print_exception=False)
