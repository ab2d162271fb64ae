"""The tab of the demo in which a person teaches."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from graft.teach import cards
from graft.teach.lesson import Lesson, LessonError, check_classes, new_folder, write_lesson, zip_data
from graft.teach.teacher import Learned, Teacher, temporary_folder
from pixels.pool import Decoder
from serve.artifact import FILE_NAME
from serve.demo.answers import answer_image
from serve.demo.cards import stack_cards
from serve.demo.inputs import add_gallery, add_webcam
from serve.predictor import Predictor

FIRST_CLASSES, MOST_CLASSES = 2, 12
FRAME_EVERY_S, RECORD_EVERY_S = 0.4, 0.5
IMAGES_PX, WEBCAM_PX = 200, 240
MOST_RECORDED = 200
"""Images of a class after which the webcam adds no more: somebody forgot to stop it."""
Updates = dict[Any, Any]


class _Parts(NamedTuple):
    """What a press of the button changes on the page."""

    press: gr.Button
    result: gr.HTML
    before: gr.State
    trial: gr.Column
    model: gr.State
    downloads: gr.File


class TeachTab:
    """The tab; `network` is the spec to learn with, by default the best one at hand."""

    def __init__(self, network: str | None = None) -> None:
        self.teacher = Teacher(network)

    def close(self) -> None:
        """End the process that learns."""
        self.teacher.close()

    def build(self, tab: gr.Tab, runs: Path, decoder: Decoder) -> None:
        """Fill the tab. Lessons are written to `runs`/teach."""
        shown, model, before = gr.State(FIRST_CLASSES), gr.State(None), gr.State(None)
        gr.HTML(cards.INTRODUCTION, padding=False)
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                groups, names, galleries = _add_classes()
                more = gr.Button("Add a class", size="md")
                with gr.Accordion("Record with the webcam", open=False):
                    target = gr.Dropdown(
                        _choices([""] * FIRST_CLASSES), value=0, label="Pictures go to", filterable=False
                    )
                    recorder = add_webcam("Webcam", height=WEBCAM_PX)
            with gr.Column(scale=2, min_width=320):
                press = gr.Button("Teach", variant="primary", size="lg")
                result = gr.HTML(cards.HINT, padding=False)
                with gr.Column(visible=False, elem_classes="graft-trial") as trial:
                    downloads = gr.File(label="To download", file_count="multiple", interactive=False)
                    _add_trial(model, decoder)

        parts = _Parts(press, result, before, trial, model, downloads)

        def teach(last: str | None, *values: Any) -> Iterator[Updates]:  # noqa: ANN401
            yield from self._teach(runs, parts, last, values)

        tab.select(lambda: self.teacher.start() and None, show_progress="hidden")
        more.click(_show_class, shown, [shown, more, *groups], show_progress="hidden")
        gr.on([shown.change, *(name.change for name in names)], _name_targets, [shown, *names], target)
        recorder.stream(
            _record,
            [recorder, target, *galleries],
            galleries,
            stream_every=RECORD_EVERY_S,
            show_progress="hidden",
        )
        waiting = press.click(_wait, None, [press, result], queue=False, show_progress="hidden")
        waiting.then(
            teach,
            [before, *names, *galleries],
            list(parts),
            concurrency_limit=1,
            show_progress="hidden",
        )

    def _teach(self, runs: Path, parts: _Parts, last: str | None, values: Sequence[Any]) -> Iterator[Updates]:
        """Learn from the page's names and images, and show each step; `last` is the result before."""
        texts = [text or "" for text in values[:MOST_CLASSES]]  # None where nobody typed
        rows = list(zip(texts, values[MOST_CLASSES:], strict=True))
        yield {parts.result: cards.step_card("Copying the images")}
        try:
            for update in self._learn(runs, rows):
                if isinstance(update, str):
                    yield {parts.result: cards.step_card(update)}
                    continue
                lesson, learned = update
                kept = Path(tempfile.mkdtemp(dir=temporary_folder()))
                yield {
                    parts.result: cards.result_card(lesson, learned.result, last),
                    parts.before: cards.describe_score(learned.result),
                    parts.trial: gr.update(visible=True),
                    parts.model: str(learned.run / FILE_NAME),
                    parts.downloads: [
                        _copy(learned.run / FILE_NAME, kept / FILE_NAME),
                        str(zip_data(lesson, kept / "images.zip")),
                    ],
                }
        except (LessonError, OSError) as error:
            yield {parts.result: cards.fault_card(str(error))}
        yield {parts.press: gr.update(interactive=True)}

    def _learn(
        self, runs: Path, rows: Sequence[tuple[str, list[Path]]]
    ) -> Iterator[str | tuple[Lesson, Learned]]:
        """Write the lesson and learn it. Where nothing can be learned, nothing is left in `runs`."""
        classes = check_classes(rows)
        lesson = write_lesson(new_folder(runs), classes)
        try:
            for step in self.teacher.teach(lesson.data, lesson.folder):
                yield (lesson, step) if isinstance(step, Learned) else step
        except LessonError:
            shutil.rmtree(lesson.folder, ignore_errors=True)
            raise


def _show_class(count: int) -> list[Any]:
    """Show one row more; `count` rows are shown now."""
    count = min(count + 1, MOST_CLASSES)
    return [
        count,
        gr.update(interactive=count < MOST_CLASSES),
        *(gr.update(visible=number < count) for number in range(MOST_CLASSES)),
    ]


def _name_targets(count: int, *texts: str) -> Any:  # noqa: ANN401  what updates a component
    """Offer the classes under their present names."""
    return gr.update(choices=_choices([text or "" for text in texts[:count]]))


def _record(content: bytes | None, number: int, *found: list[Path]) -> list[Any]:
    """Add a picture of the webcam to the images of a class."""
    updates: list[Any] = [gr.skip()] * MOST_CLASSES
    if content and len(found[number]) < MOST_RECORDED:
        updates[number] = [*map(str, found[number]), _save_frame(content)]
    return updates


def _wait() -> tuple[Any, str]:
    """Show that the lesson waits, and disable the button until it ends."""
    return gr.update(interactive=False), cards.step_card("Waiting for its turn")


def _add_trial(model: gr.State, decoder: Decoder) -> None:
    """Add where the model, the path of its file, answers for images and for the webcam."""
    gr.HTML(cards.TRY, padding=False)
    live = add_webcam("Webcam", height=WEBCAM_PX)
    answer = gr.HTML(padding=False)
    tests = add_gallery("Images to name", height=IMAGES_PX)
    answers = gr.HTML(padding=False)

    def answer_frame(content: bytes | None, path: str | None) -> str:
        if not content or path is None:
            return ""
        return answer_image(_open(path), decoder, "webcam", content)

    def answer_files(path: str | None, files: list[Path]) -> str:
        if path is None or not files:
            return ""
        return stack_cards(
            [answer_image(_open(path), decoder, file.name, file.read_bytes()) for file in files]
        )

    live.stream(answer_frame, [live, model], answer, stream_every=FRAME_EVERY_S, show_progress="hidden")
    gr.on([model.change, tests.change], answer_files, [model, tests], answers, concurrency_limit=2)


def _add_classes() -> tuple[list[gr.Column], list[gr.Textbox], list[gr.Gallery]]:
    """Add a row for each class there can be, of which the first are shown."""
    groups, names, galleries = [], [], []
    for number in range(MOST_CLASSES):
        with gr.Column(visible=number < FIRST_CLASSES, elem_classes="graft-class") as group:
            names.append(
                gr.Textbox(
                    placeholder=f"Name of class {number + 1}",
                    label=f"Name of class {number + 1}",
                    show_label=False,
                    container=False,
                    max_lines=1,
                )
            )
            galleries.append(add_gallery(f"Images of class {number + 1}", height=IMAGES_PX))
        groups.append(group)
    return groups, names, galleries


def _choices(names: Sequence[str]) -> list[tuple[str, int]]:
    return [(name.strip() or f"class {number + 1}", number) for number, name in enumerate(names)]


def _save_frame(content: bytes) -> str:
    """Write a picture of the webcam where Gradio takes its value from; return the path."""
    suffix = ".png" if content.startswith(b"\x89PNG") else ".webp" if content[:4] == b"RIFF" else ".jpg"
    number, path = tempfile.mkstemp(suffix=suffix, prefix="webcam-", dir=temporary_folder())
    with os.fdopen(number, "wb") as file:
        file.write(content)
    return path


def _copy(source: Path, target: Path) -> str:
    """Return a copy for download: Gradio serves its own temporary files alone."""
    shutil.copyfile(source, target)
    return str(target)


@lru_cache(maxsize=4)
def _open(path: str) -> Predictor:
    return Predictor(path)
