"""The command line of training: a thin layer on finetune.run and its neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help comes in half the time
    help="Train a spec on your images: plan, fine-tune, export.",
)

SpecPath = Annotated[Path, typer.Argument(help="the YAML spec")]
Data = Annotated[
    str | None, typer.Option(help="folder of images, or parquet files, in place of the spec's data")
]
Set = Annotated[list[str] | None, typer.Option("--set", help="override a key of the spec: finetune.epochs=3")]


@app.command()
def run(
    spec: SpecPath,
    data: Data = None,
    set_: Set = None,
    run: Annotated[Path | None, typer.Option(help="run folder to go on with, or to make")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the newest unfinished run")] = False,
) -> None:
    """Train SPEC and write the run folder, the ONNX file in it."""
    from finetune.api import run as train_and_export

    train_and_export(spec, data=data, set=read_pairs(set_), run=run, resume=resume)


@app.command()
def pretrain(
    spec: SpecPath,
    data: Data = None,
    set_: Set = None,
    run: Annotated[Path | None, typer.Option(help="run folder to go on with, or to make")] = None,
    out: Annotated[Path, typer.Option(help="folder of the weights and their card")] = Path("zoo/weights"),
) -> None:
    """Train SPEC, and write its weights with a card, for other specs to start from."""
    from finetune.publish import pretrain as train_and_ship

    train_and_ship(spec, data=data, set=read_pairs(set_), folder=run, out=out)


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
        Path | None, typer.Option(help="the PNG of the learning rate test; runs/SPEC/rates.png if not given")
    ] = None,
) -> None:
    """Check SPEC's recipe on the data before it is trained; exit code 2 when a check fails."""
    from finetune.commands import check_recipe

    if any(result.failed for result in check_recipe(spec, data=data, set=read_pairs(set_), plot=plot)):
        raise typer.Exit(2)


@app.command()
def pictures(run: Annotated[Path, typer.Argument(help="the folder of a finished run")]) -> None:
    """Draw a run's first-layer filters and some activations into its folder."""
    from finetune.commands import show_pictures

    show_pictures(run)


@app.command()
def search(
    spec: SpecPath,
    data: Data = None,
    set_: Set = None,
    run: Annotated[Path | None, typer.Option(help="folder of the search: runs/SPEC/search")] = None,
) -> None:
    """Try out what SPEC's search section says; the same command again goes on, also beside the first."""
    from finetune.search import search as search_spec

    try:
        search_spec(spec, data=data, set=read_pairs(set_), run=run)
    except KeyboardInterrupt as stop:
        typer.echo("stopped; the same command goes on with the search", err=True)
        raise typer.Exit(130) from stop


@app.command()
def augment(
    spec: SpecPath,
    data: Data = None,
    set_: Set = None,
    out: Annotated[Path | None, typer.Option(help="the PNG; runs/SPEC/augment.png if not given")] = None,
) -> None:
    """Draw what SPEC's augmentation does to some of the images."""
    from finetune.commands import show_augment

    show_augment(spec, data=data, set=read_pairs(set_), out=out)


@app.command()
def keys() -> None:
    """Print every key of a recipe with its default, as Markdown."""
    from finetune.config.keys import keys_document

    typer.echo(keys_document())


def read_pairs(pairs: list[str] | None) -> dict[str, str]:
    """`key=value` texts as a mapping.

    Raises: typer.BadParameter for one without an equals sign.
    """
    split = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise typer.BadParameter(
                f"found {pair!r}; expected key=value, as in finetune.epochs=3", param_hint="--set"
            )
        split[key.strip()] = value.strip()
    return split


def run_app(command: typer.Typer) -> None:
    """Run a command line; a user's mistake ends in its message and exit code 2."""
    import sys

    from zoo.errors import GraftError

    try:
        command()
    except GraftError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; the same command with --resume goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)


def main() -> None:
    """Run the command line of training."""
    run_app(app)


if __name__ == "__main__":
    main()
