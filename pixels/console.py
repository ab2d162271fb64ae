"""A terminal that text from strangers cannot control."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from pixels.text import printable


class SafeConsole(Console):
    """Rich's console; of what it prints, only its own styles reach the terminal as commands."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as rich does, with all text made printable."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))

    def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401
        """Return a text as rich does, printable before its width is measured."""
        return super().render_str(printable(text), **options)
