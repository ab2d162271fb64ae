"""Where the demo's images come from: files, the clipboard, a webcam. They are handed on undecoded."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

import gradio as gr

SOURCES = ["upload", "webcam", "clipboard"]


def add_gallery(label: str, height: int) -> gr.Gallery:
    """Return a field for images, which are dropped, chosen, pasted or taken; its value is a list of Path."""
    gallery = gr.Gallery(
        label=label,
        sources=SOURCES,
        file_types=["image"],
        type="filepath",
        interactive=True,
        show_label=False,
        height=height,
        object_fit="cover",
        buttons=[],
        elem_classes="graft-images",
    )
    gallery.preprocess = _paths  # Gradio's own refuses them all where it does not know the format of one
    return gallery


def add_webcam(label: str, height: int) -> gr.Image:
    """Return a field with the picture of a webcam; its event `stream` gives encoded bytes, or None."""
    webcam = gr.Image(
        label=label,
        sources=["webcam"],
        streaming=True,
        height=height,
        show_label=False,
        buttons=[],
        webcam_options=gr.WebcamOptions(mirror=False),
    )
    webcam.preprocess = _content  # Gradio's own would decode in this process
    return webcam


def _paths(payload: Any) -> list[Path]:  # noqa: ANN401  a GalleryData, or None
    elements = payload.root if payload is not None else []
    files = [getattr(each, "image", None) or each.video for each in elements]
    return [Path(file.path) for file in files if file.path]


def _content(payload: Any) -> bytes | None:  # noqa: ANN401  an ImageData, or None
    if payload is None:
        return None
    if payload.url and payload.url.startswith("data:"):
        try:
            return base64.b64decode(payload.url.partition(",")[2])
        except binascii.Error:
            return b""
    return Path(payload.path).read_bytes() if payload.path else None
