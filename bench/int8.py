"""What int8 costs and brings: `python -m bench.int8 RUN…`, runs of classifiers, into docs/artifact.md.

Each run's model.onnx is quantised as `graft export RUN --int8` does it; the runs stay as they are. The speed
is the processor time of the float file by that of the int8 file, on one thread and in turns.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from bench.document import machine, write_or_print
from finetune.config import DataSettings, get_section
from finetune.finished import FinishedRun, load_run
from serve.artifact import FILE_NAME
from serve.export.int8.choose import measure_speed
from serve.export.int8.run import quantize_run
from serve.export.parity import spread
from serve.model import open_session, session_options

PAGE, MARK = Path("docs/artifact.md"), "int8"
BATCH = 16
HEAD = (
    "| network | images | layers in float | accuracy, float | accuracy, int8 | one image | batch of 16 "
    "| size | seconds of the processor | kept |\n|---|---|--:|--:|--:|--:|--:|--:|--:|---|"
)


def main() -> None:
    """Measure each run and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of finished runs")
    lines = [HEAD, *map(_row, parser.parse_args().runs)]
    note = (
        "Accuracy on the validation images, in %. One image, batch of 16: how many times as fast as the "
        "float file, in processor time on one thread. Size: the int8 file's, as a share of the float file's. "
        "Seconds: to quantise and measure."
    )
    write_or_print(PAGE, MARK, "\n".join([*lines, "", note, machine()]))


def _row(folder: Path) -> str:
    run, source = load_run(folder), folder / FILE_NAME
    start = time.process_time()
    choice = quantize_run(run)
    assert choice is not None
    seconds, made = time.process_time() - start, choice.model.SerializeToString()
    size = run.preprocess.height
    cells = [
        f"{run.spec.name} at {size} px",
        f"{len(run.val)} of {data_name(run)}",
        f"{choice.float_layers} of {choice.layers}",
        f"{100 * choice.float_accuracy:.1f}",
        f"{100 * choice.accuracy:.1f}",
        f"{choice.faster:.2f}",
        f"{_batch_speed(run, source, made):.2f}",
        f"{len(made) / source.stat().st_size:.2f}",
        f"{seconds:.0f}",
        "yes" if choice.kept else "no",
    ]
    return f"| {' | '.join(cells)} |"


def _batch_speed(run: FinishedRun, source: Path, made: bytes) -> float:
    first = run.val.images[0].read()
    images = (image.read() for image in spread(run.val.images, 10 * BATCH))
    equal = [image for image in images if image.shape == first.shape][:BATCH]
    sessions = [open_session(model, session_options(1)) for model in (source.read_bytes(), made)]
    return measure_speed(sessions[0], sessions[1], equal)


def data_name(run: FinishedRun) -> str:
    """Return the name of the folder that the images are from."""
    return Path(get_section(run.spec, DataSettings).folder or "digits").name


if __name__ == "__main__":
    main()
