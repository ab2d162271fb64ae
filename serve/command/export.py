"""The command `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixels.text import printable
from serve.command.failure import explain_missing, fail


def export(
    run: Annotated[Path, typer.Argument(help="the folder of a finished run", metavar="RUN")],
    opset: Annotated[int | None, typer.Option(help="overrides the spec's export.opset")] = None,
    layout: Annotated[
        str | None, typer.Option(help="make a folder for triton, kserve or the web from the file instead")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="that folder, by default of the layout's name; for servers, it may hold other models"
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="of the model there, or the page's title; by default the spec's")
    ] = None,
) -> None:
    """Write RUN's model.onnx again and check it against the network, or make a folder for other programs."""
    if layout is not None:
        from serve.layouts import LAYOUTS

        if layout not in LAYOUTS:
            *names, last = LAYOUTS
            fail(f"--layout: found {layout!r}; expected {', '.join(names)} or {last}")
        if opset is not None:
            fail("--opset writes the file again; without --layout")
        path = LAYOUTS[layout](run, out or Path(layout), name)
        use = "open it in a browser" if layout == "web" else "a copy of the checked file"
        print(printable(f"{path}: {use}"))
        return
    if out is not None or name is not None:
        fail("--out and --name are for --layout")
    with explain_missing("train"):
        from serve.export import export_folder
    written = export_folder(run, opset)
    print(printable(f"{run / written.file}: {written.summary}"))
