"""A signature is a schema."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from zoo.errors import UnknownNameError
from zoo.registry import Call, Registry


def registry() -> Registry:
    made = Registry("augmentation")

    @made.register
    def flip(
        image: int, *, p: float = 0.5, axis: Literal["h", "v"] = "h", size: tuple[int, int] = (1, 2)
    ) -> int:
        """Turn the image over.

        More words.
        """
        return image

    @made.register
    def crop(image: int, *, size: int) -> int:
        return image

    return made


def read(value: object) -> Call:
    call: Call = TypeAdapter(Annotated[Call, registry().item()]).validate_python(value)
    return call


def errors(value: object) -> list[Any]:
    with pytest.raises(ValidationError) as caught:
        read(value)
    return [(error["loc"], error["type"]) for error in caught.value.errors()]


def test_entry_holds_function_schema_and_doc() -> None:
    entry = registry()["flip"]
    assert entry.doc == "Turn the image over."
    assert entry.function(3) == 3
    assert list(entry.model.model_fields) == ["p", "axis", "size"]
    assert entry.required == ()
    assert registry()["crop"].required == ("size",)
    assert registry().names() == ("flip", "crop")
    assert "flip" in registry()
    assert "flop" not in registry()


def test_bare_name_and_arguments_give_calls_with_defaults() -> None:
    assert read("flip") == Call("flip", {"p": 0.5, "axis": "h", "size": (1, 2)})
    assert read({"crop": {"size": 3}}) == Call("crop", {"size": 3})
    assert read(Call("crop", {"size": 3})) == Call("crop", {"size": 3})
    assert registry().read_call("flip").op == "flip"


def test_json_lists_become_tuples() -> None:
    adapter: TypeAdapter[Call] = TypeAdapter(Annotated[Call, registry().item()])
    call = adapter.validate_json('{"flip": {"size": [3, 4]}}', strict=True)
    assert call.args["size"] == (3, 4)
    assert adapter.dump_python(call, mode="json") == {"flip": {"p": 0.5, "axis": "h", "size": [3, 4]}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"flip": {"q": 1}}, [(("flip", "flip", "q"), "extra_forbidden")]),
        ({"crop": {}}, [(("crop", "crop", "size"), "missing")]),
        ({"crop": {"size": "3"}}, [(("crop", "crop", "size"), "int_type")]),
        ({"crop": {"size": True}}, [(("crop", "crop", "size"), "int_type")]),
        ({"crop": None}, [(("crop", "crop"), "model_type")]),
        ("crop", [(("crop()",), "call_needs")]),
        ("flop", [((), "unknown_call")]),
        ({"flip": {}, "crop": {"size": 3}}, [((), "unknown_call")]),
        (3, [((), "unknown_call")]),
    ],
)
def test_mistakes_are_located(value: object, expected: list[Any]) -> None:
    found = [(tuple(part for part in loc if part != "item"), kind) for loc, kind in errors(value)]
    assert found == expected


def test_field_of_a_model_reads_calls_and_describes_itself() -> None:
    augmentations = registry()

    class Settings(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        augment: list[Annotated[Call, augmentations.item()]]

    settings = Settings.model_validate({"augment": ["flip", {"crop": {"size": 3}}]})
    assert [call.op for call in settings.augment] == ["flip", "crop"]
    assert settings.model_dump(mode="json")["augment"][1] == {"crop": {"size": 3}}
    described = Settings.model_json_schema()["$defs"]
    assert described["crop"]["required"] == ["size"]
    assert described["flip"]["additionalProperties"] is False


def test_unknown_name_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown augmentation 'flop'.*did you mean 'flip'"):
        registry()["flop"]


def test_author_mistakes_are_refused() -> None:
    made = registry()

    def flip(*, p: float) -> None: ...

    def loose(**settings: int) -> None: ...

    def untyped(*, p) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001

    for function, why in ((flip, "registered twice"), (loose, "takes"), (untyped, "has no type")):
        with pytest.raises(ValueError, match=why):
            made.register(function)


def test_arity_counts_positional_parameters() -> None:
    made = Registry("layer")

    @made.register
    def join(*inputs: int) -> None: ...

    @made.register
    def pair(x: int, like: int, *, p: int = 0) -> None: ...

    assert made["join"].arity == (2, None)
    assert made["pair"].arity == (2, 2)
