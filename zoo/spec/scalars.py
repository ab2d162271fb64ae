"""What an unquoted word of a spec means: a text, a number, true, false or null.

YAML readers disagree on some words (`no`, `012`, `1:30`, `1_000`); those are refused, with what to write.
Source: YAML 1.2 core schema; YAML 1.1, whose readings PyYAML keeps, is where they differ.
"""

from __future__ import annotations

import re

INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
NUMBER = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
NULLS = frozenset({"", "~", "null", "Null", "NULL"})
MAX_DIGITS = 18  # what 64 bits hold
LARGEST = 3.4e38  # what a float of 32 bits holds

REFUSED = (
    (re.compile(r"yes|Yes|YES|on|On|ON"), "some YAML readers read it as true", "true"),
    (re.compile(r"no|No|NO|off|Off|OFF"), "some YAML readers read it as false", "false"),
    (re.compile(r"[-+]?0[0-9_]+(\.[0-9]*)?"), "some YAML readers read a leading zero as octal", ""),
    (re.compile(r"[-+]?0[xXoObB][0-9a-fA-F_]+"), "numbers must be decimal", ""),
    (re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?"), "numbers must not have underscores", ""),
    (re.compile(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?"), "some YAML readers read it in base 60", ""),
    (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), "numbers must be finite", "a finite number"),
)


class AmbiguousError(ValueError):
    """An unquoted word that could be read in two ways; `instead` is what to write."""

    def __init__(self, message: str, instead: str) -> None:
        super().__init__(message)
        self.instead = instead


def read_scalar(text: str) -> str | int | float | bool | None:
    """Return the value of an unquoted word. Raises AmbiguousError where readers of YAML disagree."""
    if text in TRUTHS:
        return TRUTHS[text]
    if text in NULLS:
        return None
    for pattern, why, plain in REFUSED:
        if pattern.fullmatch(text):
            plain_form = plain or _decimal(text)
            quoted = f'"{text}" for the text'
            raise AmbiguousError(f"'{text}': {why}", f"{plain_form}, or {quoted}" if plain_form else quoted)
    if INTEGER.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise AmbiguousError(
                f"'{text[:MAX_DIGITS]}…' is too large a number", f"at most {MAX_DIGITS} digits"
            )
        return int(text)
    if NUMBER.fullmatch(text):
        number = float(text)
        if abs(number) > LARGEST:
            raise AmbiguousError(f"'{text}' is too large a number", f"at most {LARGEST:g}")
        if not number and any(digit in "123456789" for digit in re.split("[eE]", text)[0]):
            raise AmbiguousError(f"'{text}' is too small a number", "0, or a number further from it")
        return number
    return text


def _decimal(text: str) -> str:
    digits = text.replace("_", "").lstrip("+").lstrip("0")
    return digits if digits.isdigit() else ""
