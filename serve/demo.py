"""The demo: a page on which any exported model answers for uploaded pictures. Works offline."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # gradio reads it when it is imported

import gradio as gr

from pixels import ImageError, decode_rgb
from serve import cards
from serve.artifact import ArtifactError
from serve.infer import MAX_UPLOAD_PIXELS, Predictor
from serve.runs import ExportedRun, find_runs, open_run
from serve.style import CSS

TOP = 5
MAX_UPLOAD = "64mb"
KEPT_S = 3600
"""Seconds after which uploaded pictures are deleted, and how often they are looked for."""
THEME = gr.themes.Base(
    primary_hue="emerald",
    neutral_hue="slate",
    radius_size="lg",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
).set(body_text_color_subdued="*neutral_500", body_text_color_subdued_dark="*neutral_400")


def build_page(runs: Path) -> gr.Blocks:
    """The page over the models under `runs`, looked up afresh whenever it is loaded."""
    with gr.Blocks(title="Graft", analytics_enabled=False, delete_cache=(KEPT_S, KEPT_S)) as page:
        gr.HTML(cards.HEAD, padding=False)
        empty = gr.HTML(visible=False, padding=False)
        with gr.Row(visible=False) as work:
            with gr.Column(scale=2, min_width=320):
                model = gr.Dropdown(
                    label="Model", choices=[], interactive=True, filterable=False, elem_classes="graft-model"
                )
                about = gr.HTML(container=True)
                files = gr.File(label="Pictures", file_count="multiple", height=190)
            with gr.Column(scale=3, min_width=360):
                answers = gr.HTML(cards.HINT, padding=False)
        warning = gr.HTML(padding=False)

        def refresh(chosen: str | None) -> tuple[dict[str, object], ...]:
            found = find_runs(runs)
            names = [run.name for run in found.models]
            value = chosen if chosen in names else next(iter(names), None)
            return (
                gr.update(choices=[(run.title, run.name) for run in found.models], value=value),
                gr.update(visible=bool(names)),
                gr.update(visible=not names, value=cards.empty_page(str(runs))),
                gr.update(value=cards.warn_unreadable(found.unreadable)),
            )

        def describe(chosen: str | None) -> str:
            return cards.facts_card(_find(runs, chosen).metadata) if chosen else ""

        def answer(chosen: str | None, paths: list[str] | None) -> str:
            if not chosen or not paths:
                return cards.HINT
            predictor = open_run(_find(runs, chosen))
            return cards.stack_cards([answer_file(predictor, Path(path)) for path in paths])

        page.load(refresh, model, [model, work, empty, warning], show_progress="hidden")
        model.change(describe, model, about, show_progress="hidden")
        gr.on([model.change, files.change], answer, [model, files], answers)
    return page


def answer_file(predictor: Predictor, path: Path) -> str:
    """The card for one uploaded file: its best classes, or why it could not be read."""
    try:
        picture = decode_rgb(path, max_pixels=MAX_UPLOAD_PIXELS)
        answer = predictor(picture)[:TOP]
        if predictor.metadata.task == "segmentation":
            painted = cards.paint_mask(picture, predictor.mask(picture))
            return cards.answer_card(path.name, painted, answer, cards.class_colours(predictor.labels))
    except ImageError as error:
        return cards.error_card(path.name, error.reason)
    return cards.answer_card(path.name, picture, answer)


def launch_demo(runs: Path, host: str, port: int | None, share: bool) -> None:
    """Serve the page until interrupted.

    Without a port, the first free one from 7860 is used.
    Raises: ArtifactError when there is none.
    """
    page = build_page(runs)
    _spare_proxy(host)
    try:
        page.launch(
            server_name=host,
            server_port=port,
            share=share,
            theme=THEME,
            css=CSS,
            footer_links=[],
            max_file_size=MAX_UPLOAD,
            ssr_mode=False,
            enable_monitoring=False,
        )
    except OSError as error:
        raise ArtifactError(f"cannot listen on {host}: {error}. Try another --port") from error


def _spare_proxy(host: str) -> None:
    """Gradio asks its own page whether it is there; a proxy that is set for other hosts has no say in it."""
    for name in ("NO_PROXY", "no_proxy"):
        spared = [os.environ.get(name, ""), "localhost", "127.0.0.1", host]
        os.environ[name] = ",".join(filter(None, spared))


def _find(runs: Path, name: str | None) -> ExportedRun:
    """The model of that name; what a browser sends is looked up, never opened as a path."""
    for run in find_runs(runs).models:
        if run.name == name:
            return run
    raise gr.Error(f"The model {name} is gone. Reload the page.", print_exception=False)
