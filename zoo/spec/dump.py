"""Plain values to YAML text that the strict reader reads back as the same values."""

from __future__ import annotations

import yaml

from zoo.spec.scalars import AmbiguousError, read_scalar

WIDTH = 100


class _Dumper(yaml.SafeDumper):
    """Quotes every text that is not read as itself, and makes no anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    try:
        quoted = read_scalar(text) != text
    except AmbiguousError:
        quoted = True
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'" if quoted else None)


_Dumper.add_representer(str, _represent_text)


def to_yaml(document: object) -> str:
    """Give the YAML text of plain values, keys in their order."""
    text: str = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=WIDTH
    )
    return text
