"""`python -m zoo`: the zoo at the command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from pixels.text import printable
from zoo.errors import GraftError

app = typer.Typer(
    help="Networks declared as data.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help takes half the time
    pretty_exceptions_enable=False,
)
Specs = Annotated[list[str], typer.Argument(metavar="SPEC...", help="files, or names in specs/")]
SpecArgument = Annotated[str, typer.Argument(metavar="SPEC", help="a file, or a name in specs/")]
Form = Literal["table", "json", "markdown"]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="override any dotted key of the spec")
]


@app.callback()
def _commands() -> None:
    """Networks declared as data."""


@app.command()
def validate(specs: Specs, override: Overrides = None) -> None:
    """Check specs and the shapes of their networks, and show every mistake."""
    from zoo.api import check_network, read_spec

    mistakes = []
    for path in specs:
        try:
            check_network(read_spec(path, read_pairs(override)))
            typer.echo(printable(f"{path}: valid"))
        except GraftError as error:
            mistakes.append(str(error))
    if mistakes:
        raise GraftError("\n".join(mistakes))


@app.command()
def schema(
    output: Annotated[Path, typer.Option(help="the file to write")] = Path("specs/spec.schema.json"),
) -> None:
    """Write the JSON Schema of specs, for editors."""
    from zoo.spec.schema import schema_text

    try:
        output.write_text(schema_text(), encoding="utf-8")
    except OSError as error:
        raise GraftError(f"{output}: the schema cannot be written: {error.strerror}") from error
    typer.echo(str(output))


@app.command()
def describe(
    spec: SpecArgument,
    override: Overrides = None,
    form: Annotated[Form, typer.Option("--format", help="how to print it")] = "table",
    weights: Annotated[bool, typer.Option("--weights", help="add what is known of its weights")] = False,
    graph: Annotated[
        Path | None, typer.Option(help="also write the network as a graph: .dot, or .svg with Graphviz")
    ] = None,
) -> None:
    """Show a network layer by layer: shapes, parameters, multiply-adds."""
    from zoo.api import read_spec
    from zoo.describe.show import print_description
    from zoo.describe.trace import describe as describe_spec

    description = describe_spec(read_spec(spec, read_pairs(override)))
    if graph is not None:
        from zoo.describe.graph import write_graph

        write_graph(description, graph)
    print_description(description, form, weights=weights, changes=", ".join(override or []))


@app.command("list")
def list_(
    folder: Annotated[Path | None, typer.Argument(help="where to look, specs/ if not given")] = None,
    form: Annotated[Form, typer.Option("--format", help="how to print it")] = "table",
    weights: Annotated[
        bool, typer.Option("--weights", help="list origin, hash and licence of all weights, as Markdown")
    ] = False,
) -> None:
    """List every spec with its sizes and available weights, and check its facts."""
    from zoo.describe.listing import list_specs, print_listing
    from zoo.spec.inherit import SPECS

    if weights:
        from zoo.describe.weights import weights_document

        typer.echo(printable(weights_document(folder or SPECS)), nl=False)
        return
    listing = list_specs(folder or SPECS)
    print_listing(listing, form)
    if listing.mistakes:
        raise typer.Exit(2)


@app.command()
def pull(
    spec: SpecArgument,
    weights: Annotated[
        list[str] | None, typer.Option(help="an entry of its weights; all that it declares if not given")
    ] = None,
    override: Overrides = None,
) -> None:
    """Download a spec's weights, so that later nothing needs a network."""
    from zoo.api import read_spec
    from zoo.pretrained.pull import pull

    for pulled in pull(read_spec(spec, read_pairs(override)), tuple(weights or ())):
        typer.echo(printable(str(pulled)))


def read_pairs(texts: list[str] | None) -> dict[str, str]:
    """Split the values of `--set`, KEY=VALUE. Raises: GraftError for one without an equals sign."""
    pairs = {}
    for text in texts or []:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise GraftError(f"--set {text}: expected KEY=VALUE, such as choices.norm=group_norm")
        pairs[key.strip()] = value.strip()
    return pairs


def main() -> None:
    """Run a command; print a user's mistake to stderr and exit with status 2."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "true")  # to find them takes as long as reading a spec
    try:
        app()
    except GraftError as error:
        typer.echo(printable(str(error)), err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
