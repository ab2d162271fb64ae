"""The demo's page, built with Gradio. Works offline."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # Gradio reads it when it is imported

import gradio as gr

from pixels import ImageError
from serve.artifact import ArtifactError
from serve.codec import read_image
from serve.demo import cards
from serve.predictor import Predictor
from serve.runs import ExportedRun, find_runs, open_run

TOP = 5
MAX_UPLOAD = "64mb"
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


def build_page(runs: Path) -> gr.Blocks:
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
            predictor = open_run(_find(runs, selected))
            return cards.stack_cards([answer_file(predictor, Path(path)) for path in paths])

        page.load(refresh, model, [model, content, empty, note], show_progress="hidden")
        model.change(describe, model, facts, show_progress="hidden")
        gr.on([model.change, files.change], answer, [model, files], answers)
    return page


def answer_file(predictor: Predictor, path: Path) -> str:
    """Return the card for one uploaded file: its best classes, or why it could not be read."""
    try:
        picture = read_image(path)
        output = predictor.output(picture)
    except ImageError as error:
        return cards.error_card(path.name, error.reason)
    task, labels = predictor.task, predictor.labels
    answer = task.answer(output, labels)[:TOP]
    return cards.answer_card(path.name, task.draw(picture, output), answer, task.colours(labels))


def launch_demo(runs: Path, host: str, port: int | None, share: bool) -> None:
    """Serve the page until interrupted, on the first free port from 7860 if none is given.

    Raises: ArtifactError if there is no free port.
    """
    _bypass_proxy(host)
    try:
        build_page(runs).launch(
            server_name=host,
            server_port=port,
            share=share,
            theme=THEME,
            css_paths=CSS,
            footer_links=[],
            max_file_size=MAX_UPLOAD,
            ssr_mode=False,
            enable_monitoring=False,
        )
    except OSError as error:
        if error.filename is not None:
            raise ArtifactError(f"{error.filename}: {error.strerror}") from error
        raise ArtifactError(f"cannot listen on {host}: {error}. Try another --port") from error


def _bypass_proxy(host: str) -> None:
    """Gradio requests its own page to see that it is up; a proxy for other hosts must not answer that."""
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), "localhost", "127.0.0.1", host)))


def _find(runs: Path, name: str | None) -> ExportedRun:
    """Return the model of that name; a name from a browser is looked up, never opened as a path."""
    for run in find_runs(runs).models:
        if run.name == name:
            return run
    raise gr.Error(f"The model {name} no longer exists. Reload the page.", print_exception=False)
