"""The command line of serving: a thin layer on Predictor, the exporter, the demo and the HTTP application."""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from serve.infer import Answer, Predictor

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Use trained models: answer, export, show in the browser, serve over HTTP.",
)

BAD_INPUT = 2
SHOWN_LABELS = 20
PIPE_WIDTH = 1000
ANY_PORT = 0

Model = Annotated[Path, typer.Argument(help="a model.onnx, or the folder of a run", metavar="MODEL")]
Host = Annotated[str, typer.Option(help="address to listen on; 0.0.0.0 for other machines too")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.command()
def predict(
    model: Model,
    images: Annotated[list[Path], typer.Argument(help="pictures", metavar="IMAGE")],
    top: Annotated[int, typer.Option(min=1, help="classes shown for each image")] = 5,
    as_json: AsJson = False,
) -> None:
    """Name what is on each IMAGE."""
    from serve.infer import Predictor

    predictor = Predictor(model)
    answers, errors = ask_each(predictor, images)
    short = {image: answer[:top] for image, answer in answers.items()}
    if as_json:
        print(json.dumps(answers_as_json(images, short, errors), indent=2, ensure_ascii=False))
    elif short:
        print_answers(predictor, short)
    for error in errors.values():
        print(error, file=sys.stderr)
    if errors:
        raise typer.Exit(BAD_INPUT)


@app.command()
def info(model: Model, as_json: AsJson = False) -> None:
    """Show what MODEL says of itself."""
    from dataclasses import asdict

    from serve.artifact import read_metadata

    metadata = asdict(read_metadata(model))
    if as_json:
        print(json.dumps(metadata, indent=2, ensure_ascii=False))
        return
    from rich.table import Table

    table = Table(show_header=False, box=None)
    for key, value in metadata.items():
        table.add_row(key.replace("_", " "), describe_value(value))
    print_rich(table)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="the folder of a finished run", metavar="RUN")],
    opset: Annotated[int | None, typer.Option(help="in place of the spec's export.opset")] = None,
) -> None:
    """Write RUN's model.onnx again and check it against the network."""
    with explain_missing("train"):
        from serve.export import export_folder
    written = export_folder(run, opset)
    print(f"{run / str(written['file'])}: {written['says']}")


@app.command()
def demo(
    runs: Annotated[Path, typer.Option(help="folder that holds the runs")] = Path("runs"),
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="by default the first free one from 7860")
    ] = None,
    host: Host = "127.0.0.1",
    share: Annotated[bool, typer.Option("--share", help="open a public link through gradio.live")] = False,
) -> None:
    """Open a page that names uploaded pictures with any exported model."""
    if ":" in host:
        fail(f"the demo listens on IPv4 alone, and {host} is an address of IPv6. Try another --host")
    require_free(host, port or ANY_PORT)
    with explain_missing("serve"):
        from serve.demo import launch_demo
    launch_demo(runs, host=host, port=port, share=share)


@app.command()
def api(
    models: Annotated[list[Path], typer.Argument(help="model.onnx files or run folders", metavar="MODEL")],
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    host: Host = "127.0.0.1",
) -> None:
    """Serve each MODEL over HTTP: /predict, /mask, /models, /health."""
    require_free(host, port)
    with explain_missing("serve"):
        import uvicorn

        from serve.app import create_app, load_models
    uvicorn.run(create_app(load_models(models)), host=host, port=port)


def ask_each(predictor: Predictor, images: list[Path]) -> tuple[dict[Path, Answer], dict[Path, str]]:
    """The answer for each image that can be read, and the message for each that cannot."""
    from pixels import ImageError

    answers: dict[Path, Answer] = {}
    errors: dict[Path, str] = {}
    for image in images:
        try:
            answers[image] = predictor(image)
        except ImageError as error:
            errors[image] = str(error)
    return answers, errors


def answers_as_json(
    images: list[Path], answers: dict[Path, Answer], errors: dict[Path, str]
) -> list[dict[str, object]]:
    """One object an image, in the order they were given."""
    return [
        {"image": str(image), "error": errors[image]}
        if image in errors
        else {
            "image": str(image),
            "answers": [{"label": label, "probability": value} for label, value in answers[image]],
        }
        for image in images
    ]


def print_answers(predictor: Predictor, answers: dict[Path, Answer]) -> None:
    """A table with a line an image, the best class first."""
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    table.add_column("image", overflow="fold")
    for place in range(1, max(len(answer) for answer in answers.values()) + 1):
        table.add_column(f"{place}." if place > 1 else "best")
    for image, answer in answers.items():
        table.add_row(str(image), *(f"{label} {value:.1%}" for label, value in answer))
    print_rich(table)


def describe_value(value: object) -> str:
    """One line for a value of the metadata; of many labels, the first."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {describe_value(one)}" for key, one in value.items())
    if isinstance(value, tuple):
        more = f" … {len(value)} in all" if len(value) > SHOWN_LABELS else ""
        return ", ".join(map(str, value[:SHOWN_LABELS])) + more
    return str(value)


def print_rich(what: object) -> None:
    """Print for a person; names are data, so neither markup, emoji nor highlighting is read into them."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else PIPE_WIDTH  # a program that reads us wants whole names
    Console(markup=False, highlight=False, emoji=False, width=width).print(what)


def require_free(host: str, port: int) -> None:
    """Exit with a message when nothing can listen there, before the wait for a server's imports."""
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        fail(f"cannot listen on {host}: {getattr(error, 'strerror', error)}. Try another --host")
    try:
        socket.create_server(place[:2], family=family).close()
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]  # Python adds the address once more
        option = "--host" if error.errno == errno.EADDRNOTAVAIL else "--port"
        fail(f"cannot listen on {host}{f':{port}' if port else ''}: {reason}. Try another {option}")


@contextlib.contextmanager
def explain_missing(extra: str) -> Iterator[None]:
    """Say which extra of the package a command needs, where it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        fail(f"this needs the package {error.name}, which is not installed: pip install 'graft[{extra}]'")


def fail(message: str) -> NoReturn:
    """Print a message for the user and exit with 2."""
    print(message, file=sys.stderr)
    raise SystemExit(BAD_INPUT)


def main() -> None:
    """Run the command line; a user's mistake ends in its message and exit code 2."""
    try:
        app()
    except Exception as error:
        from serve.artifact import ArtifactError

        if not isinstance(error, ArtifactError):
            raise
        fail(str(error))


if __name__ == "__main__":
    main()
