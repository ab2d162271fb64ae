"""`graft predict`: answers for images and folders, on the terminal or in a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixels import ImageError
from pixels.text import printable
from serve.artifact import ArtifactError
from serve.bulk.images import Found, Named, answer_images
from serve.bulk.table import check_suffix, open_table
from serve.bulk.terminal import print_json, print_rich, show_progress
from serve.codec import encode_png
from serve.predictor import Prediction, Predictor

UNKNOWN_LABEL = "unknown"
SHOWN_ERRORS = 20


@dataclass(frozen=True)
class Choice:
    """What is shown of an answer: the `top` best classes with at least `threshold`.

    With `unknown`, an image that is unlike the training images is named `unknown` instead.
    """

    top: int = 5
    threshold: float = 0.0
    unknown: bool = False

    def of(self, found: Prediction) -> list[tuple[str, float]]:
        """Return the chosen classes, best first."""
        if self.unknown and found.unlike:
            return []
        return [(label, value) for label, value in found.answer[: self.top] if value >= self.threshold]

    def check(self, predictor: Predictor) -> None:
        """Raises: ArtifactError if the model cannot tell what is asked for."""
        if self.unknown and predictor.metadata.unknown is None:
            raise ArtifactError(
                f"{predictor.path}: --unknown needs a model that says how unlike the training images one is, "
                "and this one does not. Expected a classification model of a newer run, or no --unknown"
            )


def describe_image(name: str, found: Prediction, predictor: Predictor, choice: Choice) -> dict[str, Any]:
    """Return what `predict --json` and the HTTP server say about one image."""
    values: dict[str, Any] = {"image": name, "answers": predictor.task.to_json(choice.of(found))}
    if found.unknown is not None:
        values |= {"unknown": found.unknown, "unlike": found.unlike}
    return values | ({"likely": list(found.likely)} if found.likely else {})


def write_answers(
    predictor: Predictor, found: Found, out: Path, choice: Choice
) -> Iterator[tuple[Named, Prediction | ImageError]]:
    """Write a row for each image, and for a segmentation model its mask as a grey PNG; yield each answer.

    The masks are in the folder `<name of out>-masks`, in the folders of the images.
    """
    masks = out.with_name(f"{out.stem}-masks") if predictor.task.dense else None
    with open_table(out, table_columns(predictor, choice.top)) as write:
        for image, answer in answer_images(predictor, found.images):
            if isinstance(answer, ImageError):
                write({"image": image.name, "error": answer.reason})
            else:
                row = make_row(image.name, answer, predictor, choice)
                write(row if masks is None else row | {"mask": write_mask(masks, image, answer)})
            yield image, answer


def table_columns(predictor: Predictor, top: int) -> dict[str, type]:
    """Return the columns of a table and the types of their values."""
    columns: dict[str, type] = {"image": str}
    for rank in range(1, min(top, len(predictor.labels)) + 1):
        end = "" if rank == 1 else f"_{rank}"
        columns |= {f"label{end}": str, f"{predictor.task.value_name}{end}": float}
    if predictor.metadata.unknown is not None:
        columns |= {"unknown": float, "unlike": bool}
    if predictor.metadata.sets is not None:
        columns["likely"] = list
    if predictor.task.dense:
        columns["mask"] = str
    return columns | {"error": str}


def make_row(name: str, found: Prediction, predictor: Predictor, choice: Choice) -> dict[str, Any]:
    """Return the row of an image."""
    row: dict[str, Any] = {"image": name}
    for rank, (label, value) in enumerate(choice.of(found), start=1):
        end = "" if rank == 1 else f"_{rank}"
        row |= {f"label{end}": label, f"{predictor.task.value_name}{end}": value}
    if choice.unknown and found.unlike:
        row["label"] = UNKNOWN_LABEL
    return row | {"unknown": found.unknown, "unlike": found.unlike, "likely": list(found.likely)}


def write_mask(folder: Path, image: Named, found: Prediction) -> str:
    """Write the class number of each pixel as a grey PNG; return its path beside the table."""
    inside = Path(*(part for part in Path(image.name).parts if part not in ("..", Path(image.name).anchor)))
    path = folder / inside.with_name(f"{inside.name}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(found.output))
    return path.relative_to(folder.parent).as_posix()


def write_table(predictor: Predictor, found: Found, out: Path, choice: Choice) -> list[str]:
    """Write a table of answers, and print what was done. Out: a message for each file without an answer.

    Of many such files only the first are named; the table names all.
    """
    check_suffix(out)
    errors, unlike = [], 0
    answers = write_answers(predictor, found, out, choice)
    for _, answer in show_progress(answers, len(found.images), "answering"):
        if isinstance(answer, ImageError):
            errors.append(str(answer))
        else:
            unlike += answer.unlike
    good = len(found.images) - len(errors)
    parts = [f"{good:,} {'image' if good == 1 else 'images'} answered"]
    parts += [f"{unlike:,} of them unlike the training images"] if unlike else []
    parts += [f"{len(errors):,} broken"] if errors else []
    parts += [f"{found.others:,} other files left out"] if found.others else []
    print(printable(f"{out}: {', '.join(parts)}"))
    more = len(errors) - SHOWN_ERRORS
    return errors[:SHOWN_ERRORS] + ([f"… and {more:,} more, which the table names"] if more > 0 else [])


def print_answers(predictor: Predictor, found: Found, choice: Choice, *, as_json: bool) -> list[str]:
    """Print a table with one line per image, the best class first, or JSON. Out: as `write_table`."""
    from rich.table import Table

    errors, results = [], []
    table = Table(box=None, header_style="bold")
    table.add_column("image", overflow="fold")
    shown = min(choice.top, len(predictor.labels))
    for rank in range(1, shown + 1):
        table.add_column(f"{rank}." if rank > 1 else "best")
    for image, answer in answer_images(predictor, found.images):
        if isinstance(answer, ImageError):
            errors.append(str(answer))
            results.append({"image": image.name, "error": answer.reason})
            continue
        results.append(describe_image(image.name, answer, predictor, choice))
        none = UNKNOWN_LABEL if choice.unknown and answer.unlike else "-"  # no class above the threshold
        cells = [f"{label} {value:.1%}" for label, value in choice.of(answer)] or [none]
        cells += [""] * (shown - len(cells))
        table.add_row(image.name, *cells, " ".join(predictor.notes(answer)))
    if as_json:
        print_json(results)
    elif len(results) > len(errors):
        print_rich(table)
    return errors
