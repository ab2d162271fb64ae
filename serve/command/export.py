"""The command `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pixels.text import printable
from serve.command.failure import explain_missing, fail


def export(
    run: Annotated[Path, typer.Argument(help="the folder of a finished run", metavar="RUN")],
    *,
    opset: Annotated[int | None, typer.Option(help="overrides the spec's export.opset")] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="also write model.int8.onnx, if it is faster and as accurate")
    ] = False,
    float16: Annotated[
        bool,
        typer.Option("--float16", help="also write model.float16.onnx, half as large, if as accurate"),
    ] = False,
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
        if opset is not None or int8 or float16:
            fail("--opset, --int8 and --float16 write files again; without --layout")
        path = LAYOUTS[layout](run, out or Path(layout), name)
        use = "open it in a browser" if layout == "web" else "a copy of the checked file"
        print(printable(f"{path}: {use}"))
        return
    if out is not None or name is not None:
        fail("--out and --name are for --layout")
    with explain_missing("train"):
        from serve.export import export_folder
    settings = {"opset": opset, "int8": "auto" if int8 else None, "float16": "auto" if float16 else None}
    for written in export_folder(run, {key: value for key, value in settings.items() if value is not None}):
        print(printable(f"{run / written.file if written.file else run}: {written.summary}"))
