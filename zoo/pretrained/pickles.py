"""Look into a pickle of weights before torch reads it: only what named tensors need may be in it.

torch itself refuses most code (`weights_only`), but among what it allows are calls that take any amount of
memory, and tuples within tuples whose hash takes time that doubles with each.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

import torch

from zoo import limits

LEGACY_PICKLES = 5  # in a file without an archive: a magic number, versions, the content, keys of storages
MAX_STEPS = 5_000_000
MAX_TUPLE = 100_000  # values within one tuple, and the tuples in it
CONTENT = "/data.pkl"
TRUNCATED = "truncated: the file ends before its tensors do"
EXPECTED = "  expected: named tensors, as torch.save(net.state_dict(), path) or safetensors write them"
DAMAGED = "not a file of torch.save, or a damaged one"

CALLS = frozenset({
    "collections.OrderedDict",
    "torch.Size",
    "torch._tensor._rebuild_from_type_v2",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch.device",
    "torch.nn.parameter.Parameter",
    "torch.storage.TypedStorage",
    "torch.storage.UntypedStorage",
})  # fmt: skip
OTHER_TENSORS = {
    "torch._utils._rebuild_sparse_tensor": "sparse",
    "torch._utils._rebuild_qtensor": "quantised",
    "torch._utils._rebuild_meta_tensor_no_storage": "empty (meta)",
    "torch._utils._rebuild_nested_tensor": "nested",
}
ADDS = frozenset({"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD"})  # to what stays below
PUTS, GETS = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), ("GET", "BINGET", "LONG_BINGET")
OUTSIDE = frozenset({"EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"})


class PickleError(Exception):
    """A file with other things than named tensors, or a damaged one; the message says what was found."""


class _Value(NamedTuple):
    """What stands for a value: how many are in it, and its text if it is one."""

    size: int
    text: str = ""


MARK = _Value(0)


@dataclass
class _Machine:
    """The state of a pickle that is followed but not carried out."""

    stack: list[_Value] = field(default_factory=list)
    memo: dict[int, _Value] = field(default_factory=dict)
    steps: int = 0

    def take(self, names: list[str]) -> list[_Value]:
        """Take off the stack what an operation needs."""
        taken: list[_Value] = []
        if "mark" in names:
            while (value := self.stack.pop()) is not MARK:
                taken.append(value)
            names = names[: names.index("mark")]
        for _ in names:
            taken.append(self.stack.pop())
        return taken[::-1]

    def step(self, operation: pickletools.OpcodeInfo, argument: object) -> None:
        """Follow one operation."""
        name = operation.name
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise PickleError(f"a pickle of more than {MAX_STEPS:,} steps")
        if name in PUTS:
            self.memo[len(self.memo) if argument is None else int(str(argument))] = self.stack[-1]
        elif name in GETS:
            self.stack.append(self.memo[int(str(argument))])
        elif name == "MARK":
            self.stack.append(MARK)
        elif name == "DUP":
            self.stack.append(self.stack[-1])
        elif name in OUTSIDE:
            raise PickleError("a pickle that refers to what is outside it")
        else:
            taken = self.take([each.name for each in operation.stack_before])
            if name in ("GLOBAL", "INST"):
                _check_name(str(argument).replace(" ", "."))
            elif name == "STACK_GLOBAL":
                _check_name(".".join(value.text for value in taken))
            size = taken[0].size if name in ADDS else 1 + sum(value.size for value in taken)
            if "TUPLE" in name and size > MAX_TUPLE:
                raise PickleError(f"tuples within tuples of {size:.3g} values")
            text = argument if isinstance(argument, str) else ""
            self.stack += [_Value(size, text) for _ in operation.stack_after]


def check_zip(path: Path) -> None:
    """Check the archive that torch.save writes: nothing compressed, no name twice, and its pickle.

    Raises: PickleError.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in _checked_entries(archive, path.stat().st_size):
                if entry.filename.casefold().endswith(CONTENT):
                    check_pickle(io.BytesIO(archive.read(entry)))
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise PickleError(TRUNCATED if "not a zip" in str(error) else f"{DAMAGED}: {error}") from error


def _checked_entries(archive: zipfile.ZipFile, size: int) -> list[zipfile.ZipInfo]:
    entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise PickleError("a compressed archive, which torch.save does not write")
    if len({entry.filename.casefold() for entry in entries}) < len(entries):
        raise PickleError("an archive that has one name twice")
    for entry in entries:
        if max(entry.file_size, entry.compress_size) > size:
            raise PickleError(f"an archive of {size:,} bytes that states {entry.file_size:,}")
        if entry.filename.casefold().endswith(CONTENT) and entry.file_size > limits.MAX_HEADER_BYTES:
            raise PickleError(f"a list of tensors of {entry.file_size:,} bytes")
    return entries


def check_legacy(path: Path) -> None:
    """Check the pickles of a file that torch.save wrote without an archive. Raises: PickleError."""
    with path.open("rb") as file:
        head = io.BytesIO(file.read(limits.MAX_HEADER_BYTES))
    size = len(head.getbuffer())
    for _ in range(LEGACY_PICKLES):
        if head.tell() < size:
            check_pickle(head)


def check_pickle(file: IO[bytes]) -> None:
    """Follow a pickle to its end, without carrying it out. Raises: PickleError."""
    machine = _Machine()
    try:
        for operation, argument, _ in pickletools.genops(file):
            machine.step(operation, argument)
    except PickleError:
        raise
    except Exception as error:  # a damaged pickle raises errors of many classes
        raise PickleError(DAMAGED if file.read(1) else TRUNCATED) from error


def _check_name(name: str) -> None:
    """Check a name that is looked up in a module: only types and what builds tensors of them are needed."""
    if name in OTHER_TENSORS:
        raise PickleError(f"{OTHER_TENSORS[name]} tensors\n{EXPECTED}")
    kind = name.removeprefix("torch.")
    found = getattr(torch, kind, None) if kind.isidentifier() and kind != name else None
    is_type = isinstance(found, torch.dtype) or (found is not None and kind.endswith("Storage"))
    if not is_type and name not in CALLS:
        raise PickleError(f"a pickle that would run code ({name}), which is not allowed\n{EXPECTED}")
