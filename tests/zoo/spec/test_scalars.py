"""Plain words of a spec mean what people think."""

from __future__ import annotations

import pytest
import yaml

from zoo.spec.nodes import plain
from zoo.spec.scalars import AmbiguousError, read_scalar
from zoo.spec.yaml import read_text, to_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("+3", 3),
        ("0", 0),
        ("0.5", 0.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e-3", 1e-3),
        ("1E3", 1000.0),
        ("1.5e+2", 150.0),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("conv", "conv"),
        ("y", "y"),
        ("2020-01-01", "2020-01-01"),
        ("1e", "1e"),
        ("-", "-"),
        ("$out", "$out"),
        ("3x3", "3x3"),
    ],
)
def test_word_is_read_as_people_read_it(text: str, value: object) -> None:
    read = read_scalar(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("no", 'false, or "no" for the text'),
        ("On", 'true, or "On" for the text'),
        ("yes", 'true, or "yes" for the text'),
        ("012", '12, or "012" for the text'),
        ("-07.5", '"-07.5" for the text'),
        ("0x1F", '"0x1F" for the text'),
        ("0o17", '"0o17" for the text'),
        ("1:30", '"1:30" for the text'),
        ("1_000", '1000, or "1_000" for the text'),
        (".inf", 'a finite number, or ".inf" for the text'),
        (".NaN", 'a finite number, or ".NaN" for the text'),
        ("1e999", "at most 3.4e+38"),
        ("-1e39", "at most 3.4e+38"),
        ("1e-999", "0, or a number further from it"),
        ("1" * 19, "at most 18 digits"),
    ],
)
def test_word_that_readers_disagree_on_is_refused(text: str, instead: str) -> None:
    with pytest.raises(AmbiguousError) as caught:
        read_scalar(text)
    assert caught.value.instead == instead


def test_pyyaml_has_the_traps_that_we_close() -> None:
    """Should PyYAML mend one of these, the reader may too."""
    assert yaml.safe_load("[no, on, 012, 1:30, 1e-3]") == [False, True, 10, 90, "1e-3"]
    assert yaml.safe_load("{a: 1, a: 2}") == {"a": 2}


@pytest.mark.parametrize(
    "value",
    [
        "no",
        "012",
        "1e-3",
        "3",
        "null",
        "",
        " spaced ",
        "a: b",
        "- x",
        "it's",
        '"',
        "é",
        "x\ny",
        "#",
        "1:30",
        "[",
        "$x",
    ],
)
def test_dumped_text_is_read_back_as_itself(value: str) -> None:
    assert plain(read_text(to_yaml({"key": value}), "dumped")) == {"key": value}


def test_dumped_values_are_read_back_as_themselves() -> None:
    values = {"a": [1, 2.5, True, None, {"b": 1e-7}], "c": {"d": -3, "e": 1e20}}
    assert plain(read_text(to_yaml(values), "dumped")) == values
