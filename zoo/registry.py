"""Registries: a function's keyword-only parameters are the schema of what a spec may write.

    @layer
    def conv(x: Shape, *, out: int, kernel: int, stride: int = 1) -> Layer: ...

makes `conv: {out: 64, kernel: 3}` valid in a spec, and `conv: {out: 64, kernal: 3}` an error with its place.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from inspect import Parameter
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, TypeAdapter, create_model
from pydantic_core import CoreSchema, PydanticCustomError, core_schema, to_jsonable_python

from zoo.errors import UnknownNameError, did_you_mean

Function = TypeVar("Function", bound=Callable[..., object])
BARE = "()"  # ends the tag of a bare name, `flip`, as opposed to `flip: {p: 0.5}`


@dataclass(frozen=True)
class Call:
    """One validated item `{op: {args}}` of a spec; `args` holds every parameter, defaults included."""

    op: str
    args: dict[str, Any]


class Entry:
    """One registered function: its name, its schema (`model`) and the first line of its docstring (`doc`)."""

    def __init__(self, kind: str, function: Callable[..., Any]) -> None:
        self.kind = kind
        self.name = function.__name__
        self.function = function
        self.doc = (inspect.getdoc(function) or "").partition("\n")[0]

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The keyword-only parameters: what a spec may write."""
        parameters = inspect.signature(self.function).parameters.values()
        return tuple(p for p in parameters if p.kind is Parameter.KEYWORD_ONLY)

    @cached_property
    def model(self) -> type[BaseModel]:
        """A strict pydantic model of the keyword-only parameters; extra keys are forbidden."""
        hints = typing.get_type_hints(self.function, include_extras=True)
        fields: dict[str, Any] = {
            p.name: (hints[p.name], ... if p.default is Parameter.empty else p.default)
            for p in self.parameters
        }
        config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, defer_build=True)
        return create_model(self.name, __config__=config, __doc__=self.doc, **fields)

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """Validates the arguments of a call."""
        return TypeAdapter(self.model)

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The parameters without a default."""
        return tuple(p.name for p in self.parameters if p.default is Parameter.empty)

    @cached_property
    def arity(self) -> tuple[int, int | None]:
        """The fewest and most positional parameters: for a layer, its inputs (None: any number)."""
        parameters = inspect.signature(self.function).parameters.values()
        if any(p.kind is Parameter.VAR_POSITIONAL for p in parameters):
            return 2, None
        count = sum(p.kind is not Parameter.KEYWORD_ONLY for p in parameters)
        return count, count

    def default_call(self) -> Call:
        """Return the call with every default. Raises pydantic.ValidationError when a parameter has none."""
        return Call(self.name, self.args(self.model()))

    def args(self, validated: BaseModel) -> dict[str, Any]:
        """Return a validated model as the keyword arguments of `function`."""
        return {name: getattr(validated, name) for name in type(validated).model_fields}


class Registry:
    """Functions of one kind ('layer', 'augmentation', …) by name; a name can be used once only."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def register(self, function: Function) -> Function:
        """Add `function` under its own name, and return it unchanged.

        Raises ValueError when the name is taken or the signature has no schema (the author's mistakes).
        """
        name = function.__name__
        if name in self._entries:
            raise ValueError(f"{self.kind} '{name}' is registered twice")
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind is Parameter.VAR_KEYWORD:
                raise ValueError(f"{self.kind} '{name}' takes **{parameter.name}: name every parameter")
            if parameter.kind is Parameter.KEYWORD_ONLY and parameter.annotation is parameter.empty:
                raise ValueError(f"{self.kind} '{name}': parameter '{parameter.name}' has no type")
        self._entries[name] = Entry(self.kind, function)
        self.__dict__.pop("_adapter", None)  # it knows the entries of its time
        return function

    def names(self) -> tuple[str, ...]:
        """Return every registered name, in the order of registration."""
        return tuple(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> Entry:
        """Return the entry called `name`. Raises UnknownNameError, with the nearest name."""
        if name not in self._entries:
            hint = did_you_mean(name, self._entries)
            raise UnknownNameError(
                f"unknown {self.kind} '{name}': expected one of {', '.join(self._entries)}{hint}"
            )
        return self._entries[name]

    def item(self) -> CallSchema:
        """Return the annotation for pydantic fields that hold one item: `Annotated[Call, REGISTRY.item()]`.

        `{op: {args}}` or bare `op` becomes a Call of a function that is registered when the model is built.
        """
        return CallSchema(self)

    def read_call(self, value: object) -> Call:
        """Validate one item, `{op: {args}}` or bare `op`. Raises pydantic.ValidationError."""
        call: Call = self._adapter.validate_python(value)
        return call

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(Annotated[Call, self.item()])


class CallSchema:
    """Tells pydantic how a registry's items are validated, serialised and described."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        entries = [self.registry[name] for name in self.registry.names()]
        choices: dict[Any, CoreSchema] = {}
        for entry in entries:
            choices[entry.name] = _called(entry, handler.generate_schema(entry.model))
            choices[entry.name + BARE] = _bare(entry)
        union = core_schema.tagged_union_schema(
            choices,
            discriminator=_tag,
            custom_error_type="unknown_call",
            custom_error_message="expected {kind}: NAME or {NAME: {arguments}}, one of {names}",
            custom_error_context={
                "kind": self.registry.kind,
                "names": ", ".join(entry.name for entry in entries),
            },
        )
        as_call = core_schema.is_instance_schema(Call)
        return core_schema.json_or_python_schema(
            json_schema=union,
            python_schema=core_schema.tagged_union_schema(
                {"call": as_call, "item": union},
                discriminator=lambda value: "call" if isinstance(value, Call) else "item",
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(_dump),
        )


def _tag(value: object) -> str | None:
    if isinstance(value, str):
        return value + BARE
    if isinstance(value, dict) and len(value) == 1:
        return str(next(iter(value)))
    return None


def _called(entry: Entry, arguments: CoreSchema) -> CoreSchema:
    fields = {entry.name: core_schema.typed_dict_field(arguments, required=True)}
    return core_schema.no_info_after_validator_function(
        lambda item: Call(entry.name, entry.args(item[entry.name])),
        core_schema.typed_dict_schema(fields, extra_behavior="forbid"),
    )


def _bare(entry: Entry) -> CoreSchema:
    def fill(_: str) -> Call:
        if entry.required:
            needs = ", ".join(entry.required)
            raise PydanticCustomError(
                "call_needs", "'{name}' needs: {needs}", {"name": entry.name, "needs": needs}
            )
        return entry.default_call()

    return core_schema.no_info_after_validator_function(fill, core_schema.literal_schema([entry.name]))


def _dump(call: Call) -> object:
    return {call.op: to_jsonable_python(call.args)}


LAYERS = Registry("layer")
NORMS = Registry("norm")
ACTIVATIONS = Registry("activation")
DROPS = Registry("drop")
INITS = Registry("init")

layer = LAYERS.register
norm = NORMS.register
activation = ACTIVATIONS.register
drop = DROPS.register
init = INITS.register
