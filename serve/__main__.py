"""The command line of serving: predict, info, export, demo, serve."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixels.processes import is_running
from serve.command.export import export
from serve.command.failure import explain_missing, fail, require_free
from serve.command.serve import serve

if TYPE_CHECKING:
    from serve.demo.page import TeachTab

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Use trained models: predict, export, open a demo in the browser, serve over HTTP.",
)

SHOWN_LABELS = 20
DEMO_PORTS = range(7860, 7960)
UPLOADS = "graft-demo-"

ModelPath = Annotated[Path, typer.Argument(help="a model.onnx, or the folder of a run", metavar="MODEL")]
Runs = Annotated[Path, typer.Option(help="folder that holds the runs")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="by default the first free one from 7860")]
Share = Annotated[bool, typer.Option("--share", help="open a public link through gradio.live")]
Host = Annotated[str, typer.Option(help="address to listen on; 0.0.0.0 for other machines too")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Add a command that prints an ArtifactError as a message and exits with 2."""

    @functools.wraps(function)
    def run(*args: Any, **options: Any) -> None:  # noqa: ANN401
        try:
            function(*args, **options)
        except Exception as error:
            from serve.artifact import ArtifactError

            if not isinstance(error, ArtifactError):
                raise
            fail(str(error))

    return app.command()(run)


@command
def predict(
    model: ModelPath,
    images: Annotated[list[Path], typer.Argument(help="images, or folders of images", metavar="IMAGE")],
    out: Annotated[
        Path | None, typer.Option(help="write a table instead: .csv, .jsonl or .parquet", metavar="FILE")
    ] = None,
    *,
    top: Annotated[int, typer.Option(min=1, help="classes for each image")] = 5,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="leave out classes of less probability")
    ] = 0.0,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="name no class for images unlike the training images")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Name what each IMAGE shows, of folders with all folders below."""
    from serve.bulk.images import find_images
    from serve.bulk.predict import Choice, print_answers, write_table
    from serve.predictor import Predictor

    predictor, choice = Predictor(model), Choice(top, threshold, unknown)
    choice.check(predictor)
    found = find_images(images)
    if not found.images:
        fail(f"{', '.join(map(str, images))}: no image found among {found.others} files")
    errors = (
        print_answers(predictor, found, choice, as_json=as_json)
        if out is None
        else write_table(predictor, found, out, choice)
    )
    if errors:
        fail("\n".join(errors))


@command
def info(model: ModelPath, as_json: AsJson = False) -> None:
    """Print MODEL's metadata."""
    from dataclasses import asdict

    from serve.bulk.terminal import print_json, print_rich
    from serve.model import read_metadata

    metadata = {key: value for key, value in asdict(read_metadata(model)).items() if value not in (None, {})}
    if as_json:
        print_json(metadata)
        return
    from rich.table import Table

    table = Table(show_header=False, box=None)
    for key, value in metadata.items():
        table.add_row(key.replace("_", " "), format_value(value))
    print_rich(table)


command(export)


@command
def demo(
    runs: Runs = Path("runs"), port: Port = None, host: Host = "127.0.0.1", share: Share = False
) -> None:
    """Open a page in the browser that answers for images with any exported model."""
    open_demo(runs, port, host, share=share)


def open_demo(
    runs: Path,
    port: int | None,
    host: str,
    *,
    share: bool,
    make_tab: Callable[[], TeachTab] | None = None,
) -> None:
    """Serve the demo page until it is ended; `make_tab` imports and makes its tab to teach."""
    if ":" in host:
        fail(f"the demo listens on IPv4 only, and {host} is an IPv6 address. Try another --host")
    port = port or find_free_port(host)
    require_free(host, port)
    # The folder is removed on SIGTERM as well, which would end Python without a word.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with uploads_folder() as uploads:
        # Gradio reads it when it is imported. Its own folder is shared, and may be another user's.
        os.environ["GRADIO_TEMP_DIR"] = uploads
        with explain_missing("demo"):
            from serve.demo.page import launch_demo

            tab = make_tab() if make_tab is not None else None
        launch_demo(runs, host=host, port=port, share=share, teach=tab)


command(serve)


def format_value(value: object) -> str:
    """Return a value of the metadata in one line; of many labels, the first."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {format_value(one)}" for key, one in value.items())
    if isinstance(value, tuple):
        more = f" … {len(value)} in all" if len(value) > SHOWN_LABELS else ""
        return ", ".join(map(str, value[:SHOWN_LABELS])) + more
    return str(value)


def find_free_port(host: str, ports: Sequence[int] = DEMO_PORTS) -> int:
    """Return the first port that is free, or the first of all."""
    for port in ports:
        with contextlib.suppress(OSError), socket.create_server((host, port)):
            return port
    return ports[0]  # of which `require_free` says what is wrong


@contextlib.contextmanager
def uploads_folder() -> Iterator[str]:
    """Make a folder for uploads, and remove it at the end, with those of demos that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{UPLOADS}*-*"):
        number = folder.name.removeprefix(UPLOADS).partition("-")[0]
        if number.isdecimal() and not is_running(int(number)):
            shutil.rmtree(folder, ignore_errors=True)  # perhaps of another user
    with tempfile.TemporaryDirectory(prefix=f"{UPLOADS}{os.getpid()}-") as uploads:
        yield uploads


if __name__ == "__main__":
    app()
