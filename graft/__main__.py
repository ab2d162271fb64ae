"""The `graft` command: the commands of `finetune`, `zoo` and `serve` in one."""

from __future__ import annotations

import copy
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.models import CommandInfo

from finetune.__main__ import Data, Set, run_app
from finetune.__main__ import app as finetune_app
from pixels.text import printable
from serve.__main__ import Host, Port, Runs, Share, open_demo
from serve.__main__ import app as serve_app
from zoo.__main__ import Overrides, SpecArgument, read_pairs
from zoo.__main__ import app as zoo_app

if TYPE_CHECKING:
    from graft.teach.page import TeachTab

NAMES = {"run": "finetune"}
"""Commands of `python -m finetune` that have another name here."""
DESCRIPTIONS = {
    "finetune": "Learn your classes from a folder of photos.",
    "predict": "Name new photos with a model.",
    "demo": "Try your models, and teach new ones, in the browser.",
    "serve": "Answer for photos over HTTP.",
    "report": "Show the result of a run again.",
    "plan": "Show what finetune would do, without training.",
    "compare": "See which network suits your photos best.",
    "info": "Show what a model file says about itself.",
    "export": "Write a run's model file again.",
    "health": "Look for wrong labels, copies and odd images in your data.",
    "check": "Look for mistakes in a recipe before training.",
    "augment": "Draw how a recipe varies your photos.",
    "pictures": "Draw what a trained network looks for.",
    "search": "Try out settings, and keep the best.",
    "pretrain": "Train weights that other networks start from.",
    "keys": "List every setting of a recipe.",
}
"""What help says of each command, in the order in which they are needed."""

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help comes in half the time
    help="Fine-tune a network on your images, and use the model.",
)


def add_command(command: CommandInfo) -> None:
    """Add a command of another application under its name here."""
    assert command.callback is not None
    name, renamed = command.name or command.callback.__name__, copy.copy(command)
    renamed.name = NAMES.get(name, name)
    renamed.short_help = DESCRIPTIONS.get(renamed.name)
    app.registered_commands.append(renamed)


@app.command("compare", short_help=DESCRIPTIONS["compare"])
def compare(
    specs: Annotated[
        list[str] | None,
        typer.Argument(
            help="names or files of specs, by default those with weights at hand", metavar="[SPEC]..."
        ),
    ] = None,
    data: Data = None,
    set_: Set = None,
) -> None:
    """Compare networks on your images: accuracy, speed, size, and how long training would take."""
    from graft.compare.command import compare as compare_specs

    compare_specs(specs or (), data=data, set=read_pairs(set_))


@app.command("demo", short_help=DESCRIPTIONS["demo"])
def demo(
    runs: Runs = Path("runs"),
    port: Port = None,
    host: Host = "127.0.0.1",
    share: Share = False,
    network: Annotated[
        str | None,
        typer.Option(help="spec to teach with, by default the best one at hand", metavar="SPEC"),
    ] = None,
) -> None:
    """Open a page in the browser: try the models in `runs`, and teach new ones from a few photos each."""

    def make_tab() -> TeachTab:
        from graft.teach.page import TeachTab

        return TeachTab(network)

    trains = all(find_spec(package) for package in ("torch", "sklearn", "onnxscript"))
    open_demo(runs, port, host, share=share, make_tab=make_tab if trains else None)


for _command in (*finetune_app.registered_commands, *serve_app.registered_commands):
    if _command.callback is not None and _command.callback.__name__ != "demo":  # with teaching, above
        add_command(_command)
app.registered_commands.sort(key=lambda each: [*DESCRIPTIONS, str(each.name)].index(str(each.name)))
app.add_typer(zoo_app, name="zoo", help="List and describe networks, and fetch their weights.")


@zoo_app.command()
def verify(
    spec: SpecArgument,
    weights: Annotated[str, typer.Option(help="an entry of its weights")],
    data: Annotated[str, typer.Option(help="folder with one folder of images per class")],
    override: Overrides = None,
) -> None:
    """Measure declared weights on labelled images, so that a wrong network or input is seen."""
    from graft.verify import verify as verify_weights
    from zoo.api import read_spec

    typer.echo(printable(str(verify_weights(read_spec(spec, read_pairs(override)), weights, data))))


def main() -> None:
    """Run the command line."""
    run_app(app)


if __name__ == "__main__":
    main()
