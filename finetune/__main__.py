"""The command line of training."""

from __future__ import annotations

import errno
import os
import sys
from multiprocessing import active_children
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from finetune.runtime.console_text import format_command, replace_unknown_characters
from pixels.text import printable
from zoo.__main__ import read_pairs
from zoo.errors import GraftError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help comes in half the time
    help="Train a spec on your images: plan, fine-tune, export.",
)

SpecPath = Annotated[Path, typer.Argument(help="the YAML spec", metavar="SPEC")]
OptionalSpec = Annotated[
    Path | None,
    typer.Argument(
        help="the YAML spec; with --data, by default `auto`, which chooses a network", metavar="[SPEC]"
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        help="folder of images, table of labels (CSV), or parquet files, instead of the spec's data"
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="override a key of the spec: finetune.epochs=3"),
]
Why = Annotated[
    bool, typer.Option("--why", help="show the evidence, the tables and the statistics behind the choice too")
]
Run = Annotated[Path | None, typer.Option(help="the run's folder; an interrupted run in it is resumed")]


@app.command()
def run(  # noqa: PLR0917  typer calls it by name
    spec: OptionalSpec = None,
    data: Data = None,
    set_: Set = None,
    run: Run = None,
    resume: Annotated[bool, typer.Option("--resume", help="resume the newest unfinished run")] = False,
    why: Why = False,
) -> None:
    """Train a network on your images, and write a model file that names new ones."""
    from finetune.api import run as run_spec

    run_spec(_spec_for(spec, data), data=data, set=read_pairs(set_), run=run, resume=resume, why=why)


@app.command()
def pretrain(
    spec: SpecPath,
    data: Data = None,
    set_: Set = None,
    run: Run = None,
    out: Annotated[Path, typer.Option(help="folder for the weights and their card")] = Path("zoo/weights"),
) -> None:
    """Train SPEC, and write its weights with a card, for other specs to start from."""
    from finetune.publish import pretrain as pretrain_spec

    pretrain_spec(spec, data=data, set=read_pairs(set_), folder=run, out=out)


@app.command()
def plan(spec: OptionalSpec = None, data: Data = None, set_: Set = None, why: Why = False) -> None:
    """Show how SPEC would be trained on your images and how long it takes, without training."""
    from finetune.api import make_plan

    make_plan(_spec_for(spec, data), data=data, set=read_pairs(set_), why=why)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="the folder of a finished run", metavar="RUN")],
    why: Why = False,
    html: Annotated[
        bool, typer.Option("--html", help="write report.html, the page with pictures, again")
    ] = False,
) -> None:
    """Show the result of a finished run again."""
    from finetune.finished import show_run, write_run_page

    if html:
        write_run_page(run)
    show_run(run, why=why)


@app.command()
def check(
    spec: SpecPath,
    data: Data = None,
    set_: Set = None,
    plot: Annotated[
        Path | None, typer.Option(help="PNG of the learning rate test, by default runs/SPEC/rates.png")
    ] = None,
) -> None:
    """Check SPEC's recipe on the data before training; the exit code is 2 if a check fails."""
    from finetune.commands import check_recipe

    if any(result.failed for result in check_recipe(spec, data=data, set=read_pairs(set_), plot=plot)):
        raise typer.Exit(2)


@app.command()
def health(
    spec: Annotated[
        Path, typer.Argument(help="the YAML spec whose network looks at the images", metavar="[SPEC]")
    ] = Path("specs/efficientnet_lite0.yaml"),
    data: Data = None,
    set_: Set = None,
    out: Annotated[
        Path | None,
        typer.Option(help="folder for health.html and health.csv, by default runs/SPEC/DATA.health"),
    ] = None,
) -> None:
    """Look for what is wrong with your images: copies, wrong labels, odd and broken ones."""
    from finetune.health.command import show_health

    show_health(spec, data=data, set=read_pairs(set_), out=out)


@app.command()
def pictures(run: Annotated[Path, typer.Argument(help="the folder of a finished run")]) -> None:
    """Draw the first layer's filters and some activations into a run's folder."""
    from finetune.commands import show_pictures

    show_pictures(run)


@app.command()
def search(
    spec: SpecPath,
    data: Data = None,
    set_: Set = None,
    run: Annotated[Path | None, typer.Option(help="the search's folder, by default runs/SPEC/search")] = None,
) -> None:
    """Search the hyperparameters of SPEC's search section; run again to continue, or at once to share."""
    from finetune.search import search as search_spec

    search_spec(spec, data=data, set=read_pairs(set_), run=run)


@app.command()
def augment(
    spec: SpecPath,
    data: Data = None,
    set_: Set = None,
    out: Annotated[Path | None, typer.Option(help="the PNG, by default runs/SPEC/augment.png")] = None,
) -> None:
    """Draw the effect of SPEC's augmentation on some of the images."""
    from finetune.commands import show_augment

    show_augment(spec, data=data, set=read_pairs(set_), out=out)


@app.command()
def keys() -> None:
    """Print every key of a recipe with its default, as Markdown."""
    from finetune.config.keys import keys_document

    typer.echo(keys_document())


def _spec_for(spec: Path | None, data: str | None) -> Path:
    """Return the spec, or without one that which chooses a network for the images."""
    if spec is None and data is None:
        raise GraftError(
            "neither a spec nor images are given\n"
            "  expected: --data FOLDER with your photos, or a spec such as specs/resnet_small.yaml"
        )
    return spec or Path("auto")


def run_app(command: typer.Typer) -> None:
    """Run a command line. Mistakes of the user end in a message and exit code 2, Ctrl-C in exit code 130."""
    replace_unknown_characters()
    try:
        command()
    except GraftError as error:
        print(printable(str(error)), file=sys.stderr)
        folder = getattr(error, "folder", None)
        if folder is not None:
            print(f"nothing else is lost; continue later with\n  {_command_again(folder)}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(printable(_describe_os_error(error)), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as error:
        _end_interrupted(error)
    except SystemExit as stop:  # typer turns Ctrl-C into this
        cause = getattr(stop.__context__, "__cause__", None)
        if isinstance(cause, KeyboardInterrupt):
            _end_interrupted(cause)
        raise


def _end_interrupted(error: KeyboardInterrupt) -> NoReturn:
    """Print the command that continues, and exit at once: to release memory in order takes seconds."""
    folder: Path | None = getattr(error, "folder", None)
    again = "continue with" if folder is not None or "search" in sys.argv[:2] else "start again with"
    print(f"\ninterrupted; {again}\n  {_command_again(folder)}", file=sys.stderr)
    for process in active_children():  # those that load images
        process.terminate()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(130)


def _command_again(folder: Path | None) -> str:
    """Return this command line; with the folder of a run, the one that continues this run."""
    arguments = sys.argv[1:]
    if Path(sys.argv[0]).parent.name in ("zoo", "finetune", "serve"):  # python -m zoo and the like
        package = Path(sys.argv[0]).parent.name
        arguments = ["zoo", *arguments] if package == "zoo" else arguments
        arguments = ["finetune" if arguments[0] == "run" else arguments[0], *arguments[1:]]
    if folder is not None:
        given = [number for number, part in enumerate(arguments) if part == "--run"]
        skipped = {each for number in given for each in (number, number + 1)}
        arguments = [
            part
            for number, part in enumerate(arguments)
            if number not in skipped and part != "--resume" and not part.startswith("--run=")
        ]
        arguments += ["--run", str(folder)]
    return format_command(*arguments)


def _describe_os_error(error: OSError) -> str:
    from finetune.records.disk import describe_write_error

    if error.filename is None:
        return f"a file cannot be read or written: {error.strerror or error}"
    if error.errno in (errno.ENOENT, errno.EISDIR):
        return f"{error.filename}: {error.strerror}"
    return describe_write_error(Path(str(error.filename)), error.errno, str(error))


def main() -> None:
    """Run the command line of training."""
    run_app(app)


if __name__ == "__main__":
    main()
