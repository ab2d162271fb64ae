"""Files of weights, damaged or made of other tensors: loaded with numbers that are finite, or refused."""

from __future__ import annotations

import hashlib
import io
import json
import random
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

import zoo
from bench.fuzz.case import ACCEPTED, Case, Kind, WrongError, refused
from bench.fuzz.mutate import alter, damage
from zoo.errors import GraftError

SPEC = """\
name: small
input: {{channels: 3, height: 16, width: 16}}
classes: 4
head: fc
choices: {{norm: batch_norm}}
weights: {{w: {entry}}}
layers:
  conv: {{conv: {{out: 6, kernel: 3}}}}
  norm: norm
  pool: {{adaptive_avg_pool: {{size: 1}}}}
  flatten: flatten
  fc: {{linear: {{out: $classes}}}}
"""
WORDS = ("F32", "F64", "I8", "F8_E4M3", "C64", "dtype", "shape", "data_offsets", "conv.weight", "fc.bias")
PICKLED = (
    b"ctorch\nload\n",
    b"cbuiltins\nbytearray\n",
    b"cposix\nsystem\n",
    b"(",
    b"t",
    b"R",
    b"0",
    b"2",
    b"h\0",
)
SHARE_OF_KNOWN = 0.3


def _prepare(folder: Path) -> None:
    path = folder / "spec.yaml"
    path.write_text(SPEC.format(entry="{file: none.pth}"), encoding="utf-8")
    state = zoo.build(path).state_dict()
    torch.save(state, folder / "0.pth")
    torch.save(state, folder / "1.pt", _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "state_dict": state}, folder / "2.pth")
    safetensors.torch.save_file(state, folder / "3.safetensors")


def _open(folder: Path) -> Case:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # about kinds of tensors that torch gives up
    files = [path for path in sorted(folder.iterdir()) if path.suffix != ".yaml"]
    state = torch.load(folder / "0.pth", weights_only=True)

    def check(draw: random.Random, empty: Path) -> str:
        base = draw.choice(files)
        original = base.read_bytes()
        changed = _draw(original, base.suffix, state, draw)
        (empty / base.name).write_bytes(changed)
        known = draw.random() < SHARE_OF_KNOWN
        digest = f", sha256: '{hashlib.sha256(original).hexdigest()}'" if known else ""
        path = empty / "spec.yaml"
        path.write_text(SPEC.format(entry=f"{{file: {base.name}{digest}}}"), encoding="utf-8")
        try:
            net = zoo.build(path, weights="w")
        except GraftError as error:
            return refused(error)
        if known and changed != original:
            raise WrongError("another file than the one of the hash was loaded")
        for name, tensor in net.state_dict().items():
            if not bool(torch.isfinite(tensor).all()) or (name.endswith("var") and bool((tensor < 0).any())):
                raise WrongError(f"{name} is not finite")
        return ACCEPTED

    return check


def _draw(content: bytes, suffix: str, state: dict[str, Tensor], draw: random.Random) -> bytes:
    match draw.choice(("bytes", "bytes", "tensors", "inside")):
        case "tensors":
            return _save(_change(state, draw), suffix) or damage(content, draw)
        case "inside" if suffix == ".safetensors":
            return _alter_header(content, draw)
        case "inside" if suffix == ".pth":
            return _alter_pickle(content, draw)
    return damage(content, draw)


def _change(state: dict[str, Tensor], draw: random.Random) -> dict[str, Tensor]:
    changed = dict(state)
    name = draw.choice(sorted(state))
    tensor = state[name].float()
    spoilt = tensor.clone()
    spoilt.view(-1)[0] = draw.choice((float("nan"), float("inf"), 1e38, -1.0))
    made: dict[str, Any] = {
        "spoilt": lambda: spoilt,
        "type": lambda: tensor.to(draw.choice((torch.int8, torch.float16, torch.complex64, torch.bool))),
        "large": lambda: tensor.double() * 1e300,
        "shape": lambda: tensor.reshape(-1, 1),
        "sparse": tensor.to_sparse,
        "empty": lambda: tensor.to("meta"),
        "quantised": lambda: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8),
        "expanded": lambda: torch.zeros(1).expand(tensor.shape if tensor.dim() else (1,)),
    }
    changed[name] = made[draw.choice(sorted(made))]()
    if draw.random() < 0.3:
        changed[draw.choice(("x" * 300, "a..b", "", "\x1b[2J", "fc.weight.extra"))] = changed.pop(name)
    return changed


def _save(state: dict[str, Tensor], suffix: str) -> bytes:
    file = io.BytesIO()
    try:
        if suffix == ".safetensors":
            return bytes(safetensors.torch.save({name: value.contiguous() for name, value in state.items()}))
        torch.save(state, file, _use_new_zipfile_serialization=suffix == ".pth")
    except (RuntimeError, ValueError, NotImplementedError, KeyError):  # a kind that no file holds
        return b""
    return file.getvalue()


def _alter_header(content: bytes, draw: random.Random) -> bytes:
    length = struct.unpack("<Q", content[:8])[0]
    header = alter(json.loads(content[8 : 8 + length]), draw, WORDS, draw.choice((1, 2, 3)))
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def _alter_pickle(content: bytes, draw: random.Random) -> bytes:
    """Return an archive whose list of tensors is damaged, its check sums right."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        for entry in old.infolist():
            inside = old.read(entry)
            if entry.filename.endswith("data.pkl"):
                at = draw.randrange(len(inside))
                inside = inside[:at] + draw.choice(PICKLED) * draw.choice((1, 3)) + inside[at:]
                inside = damage(inside, draw) if draw.random() < 0.5 else inside
            new.writestr(entry.filename, inside, draw.choice((0, 0, 0, 0, 0, 0, 0, zipfile.ZIP_DEFLATED)))
    return file.getvalue()


KIND = Kind("weights", 2000, _prepare, _open)
