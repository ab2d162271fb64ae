"""The tab of the demo in which exported models answer for images."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import gradio as gr

from pixels import usable_cores
from pixels.pool import Decoder
from serve.artifact import ArtifactError
from serve.demo import cards
from serve.demo.answers import answer_image
from serve.demo.inputs import add_gallery, add_webcam
from serve.predictor import Predictor
from serve.runs import ExportedRun, find_runs, open_run

FRAME_EVERY_S = 0.4


def add_trial(tab: gr.Tab, page: gr.Blocks, runs: Path, decoder: Decoder) -> None:
    """Fill the tab for the models in `runs`, which are looked up whenever the page or the tab is opened."""
    empty = gr.HTML(visible=False, padding=False)
    with gr.Row(visible=False) as content:
        with gr.Column(scale=2, min_width=320):
            model = _add_choice("Model")
            facts = gr.HTML(container=True)
            other = _add_choice("Compare with")
            files = add_gallery("Images", height=190)
            with gr.Accordion("Webcam, live", open=False):
                live = add_webcam("Webcam", height=240)
                frame = gr.HTML(padding=False)
        with gr.Column(scale=3, min_width=360):
            answers = gr.HTML(cards.HINT, padding=False)
    note = gr.HTML(padding=False)

    def describe(selected: str | None) -> str:
        return cards.facts_card(_find(runs, selected).metadata) if selected else ""

    def answer(selected: str | None, compared: str | None, paths: Sequence[Path]) -> str:
        if not selected or not paths:
            return cards.HINT
        return answer_all(
            runs, (selected, compared), [(path.name, path.read_bytes()) for path in paths], decoder
        )

    def answer_frame(content: bytes | None, selected: str | None, compared: str | None) -> str:
        if not selected or not content:
            return ""
        return answer_all(runs, (selected, compared), [("webcam", content)], decoder)

    gr.on(
        [page.load, tab.select],
        partial(_refresh, runs),
        [model, other],
        [model, other, content, empty, note],
        show_progress="hidden",
    )
    model.change(describe, model, facts, show_progress="hidden")
    places = 2 * usable_cores()  # images wait for the decoder, where large ones do not delay small ones
    gr.on(
        [model.change, other.change, files.change],
        answer,
        [model, other, files],
        answers,
        concurrency_limit=places,
    )
    live.stream(answer_frame, [live, model, other], frame, stream_every=FRAME_EVERY_S, show_progress="hidden")


def answer_all(
    runs: Path, names: Sequence[str | None], images: Sequence[tuple[str, bytes]], decoder: Decoder
) -> str:
    """Return the cards of each model for each image (name, content), those for one image side by side."""
    models: dict[str, Predictor] = {}
    for name in filter(None, names):
        try:
            models[name] = open_run(_find(runs, name))
        except (ArtifactError, OSError) as error:
            return cards.unreadable_note([str(error)])
    found = []
    for name, content in images:
        several = [
            answer_image(predictor, decoder, name if len(models) == 1 else f"{name} · {model}", content)
            for model, predictor in models.items()
        ]
        found.append(several[0] if len(several) == 1 else cards.pair_cards(several))
    return cards.stack_cards(found)


def _refresh(runs: Path, selected: str | None, compared: str | None) -> tuple[dict[str, object], ...]:
    """Look for the models, and update the tab to them."""
    found = find_runs(runs)
    names = [run.name for run in found.models]
    choices = [(run.title, run.name) for run in found.models]
    value = selected if selected in names else next(iter(names), None)
    return (
        gr.update(choices=choices, value=value),
        gr.update(choices=[("no other model", ""), *choices], value=compared if compared in names else ""),
        gr.update(visible=bool(names)),
        gr.update(visible=not names, value=cards.empty_page(str(runs))),
        gr.update(value=cards.unreadable_note(found.unreadable)),
    )


def _add_choice(label: str) -> gr.Dropdown:
    return gr.Dropdown(
        label=label, choices=[], interactive=True, filterable=False, elem_classes="graft-model"
    )


def _find(runs: Path, name: str | None) -> ExportedRun:
    """Return the model of that name; a name from a browser is looked up, never opened as a path."""
    for run in find_runs(runs).models:
        if run.name == name:
            return run
    raise gr.Error(f"The model {name} no longer exists. Reload the page.", print_exception=False)
