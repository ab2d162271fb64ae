"""The command line of training."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

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
Data = Annotated[
    str | None, typer.Option(help="folder of images or parquet files, instead of the spec's data")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="override a key of the spec: finetune.epochs=3"),
]
Run = Annotated[Path | None, typer.Option(help="the run's folder; an interrupted run in it is resumed")]


@app.command()
def run(
    spec: SpecPath,
    data: Data = None,
    set_: Set = None,
    run: Run = None,
    resume: Annotated[bool, typer.Option("--resume", help="resume the newest unfinished run")] = False,
) -> None:
    """Train SPEC, and write the run's folder with the ONNX file in it."""
    from finetune.api import run as run_spec

    run_spec(spec, data=data, set=read_pairs(set_), run=run, resume=resume)


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
def plan(spec: SpecPath, data: Data = None, set_: Set = None) -> None:
    """Show which strategy SPEC would use on the data, and why, without training."""
    from finetune.api import make_plan

    make_plan(spec, data=data, set=read_pairs(set_))


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


def run_app(command: typer.Typer) -> None:
    """Run a command line. A mistake of the user ends in a message and exit code 2."""
    try:
        command()
    except GraftError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted: a run continues with --resume, a search with the same command", file=sys.stderr)
        sys.exit(130)


def main() -> None:
    """Run the command line of training."""
    run_app(app)


if __name__ == "__main__":
    main()
