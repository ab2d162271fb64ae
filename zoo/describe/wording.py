"""Numbers, shapes and calls as people read them."""

from __future__ import annotations

from zoo.layers.shape import Shape, in_words
from zoo.registry import INITS, Call
from zoo.spec.items import ops

UNITS = ("", " K", " M", " G", " T")
THOUSAND = 1000


def scaled(number: int) -> str:
    """Give a number with one decimal and a unit: 724.4 M."""
    size, unit = float(number), 0
    while round(size, 1) >= THOUSAND and unit < len(UNITS) - 1:
        size, unit = size / THOUSAND, unit + 1
    return f"{size:.1f}{UNITS[unit]}" if unit else str(number)


def shape_in_words(shape: Shape) -> str:
    """Give 64x56x56; a dash for no shape."""
    return in_words(shape) or "-"


def counted(number: int, noun: str) -> str:
    """Give `1 layer`, `2 layers`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def call_in_words(call: Call) -> str:
    """Give a call with the arguments that differ from their defaults: `kaiming_normal(mode fan_out)`."""
    entry = INITS[call.op] if call.op in INITS else ops().get(call.op)
    usual = {parameter.name: parameter.default for parameter in entry.parameters} if entry else {}
    told = [
        f"{name} {_plain(value)}"
        for name, value in call.args.items()
        if name not in usual or usual[name] != value
    ]
    return f"{call.op}({', '.join(told)})" if told else call.op


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
