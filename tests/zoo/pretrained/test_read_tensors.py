"""Files of weights that are damaged or not safe: each has its own message, and no code runs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from weights_kit import sha256, small_spec, small_state, use_folder

import zoo
from zoo.errors import WeightsError
from zoo.pretrained.tensors import read_tensors

ZIPPED, LEGACY, SAFE = "small.pth", "small.pt", "small.safetensors"


def make(folder: Path, name: str) -> Path:
    path = folder / name
    if name == SAFE:
        safetensors.torch.save_file(small_state(), path)
    else:
        torch.save(small_state(), path, _use_new_zipfile_serialization=name == ZIPPED)
    return path


def fault_of(folder: Path, monkeypatch: pytest.MonkeyPatch, path: Path, known: str = "") -> str:
    """Load a file as a spec's weights; return the error message."""
    use_folder(monkeypatch, folder / "cache")
    digest = f", sha256: '{known}'" if known else ""  # unquoted, one that begins with 0b reads as a number
    entry = f"mine: {{file: {path.name}{digest}}}"
    spec = zoo.read_spec(small_spec(folder, entry))
    net = zoo.build(spec)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        zoo.load_weights(net, spec, "mine", 4)
    assert not isinstance(caught.value, zoo.WeightsUnavailableError)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    return str(caught.value)


def test_a_safetensors_file_may_begin_as_a_pickle_does(tmp_path: Path) -> None:
    """Its first byte is the lowest of the header's length: 0x80 in one of 32 files."""
    tensors = {"fc.weight": torch.eye(3), "fc.bias": torch.zeros(3)}
    path = tmp_path / "small.safetensors"
    safetensors.torch.save_file(tensors, path)
    assert path.read_bytes().startswith(b"\x80")
    read = read_tensors(path)
    assert all(torch.equal(read[name], value) for name, value in tensors.items())


@pytest.mark.parametrize("name", [ZIPPED, LEGACY, SAFE])
def test_a_wrong_hash_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = make(tmp_path, name)
    found, size = sha256(path), path.stat().st_size
    assert fault_of(tmp_path, monkeypatch, path, "0123456789abcdef") == (
        f"{path}: damaged, or not the file that was published\n"
        f"  expected: sha256 beginning with 0123456789abcdef\n  found:    sha256 {found}, {size} bytes\n"
        "  replace it by the file with the expected hash, or state the hash of this one"
    )


@pytest.mark.parametrize("name", [ZIPPED, LEGACY, SAFE])
def test_one_flipped_bit_is_a_wrong_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = make(tmp_path, name)
    known, content = sha256(path), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "damaged, or not the file" in fault_of(tmp_path, monkeypatch, path, known)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("name", [ZIPPED, LEGACY, SAFE])
def test_a_truncated_file_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, share: float
) -> None:
    path = make(tmp_path, name)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert f"{path}: truncated: " in fault_of(tmp_path, monkeypatch, path)


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self.trace}'",)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool) -> None:
    trace, path = tmp_path / "trace", tmp_path / "evil.pth"
    torch.save(small_state() | {"x": Evil(trace)}, path, _use_new_zipfile_serialization=zipped)
    fault = fault_of(tmp_path, monkeypatch, path)
    assert fault.startswith(f"{path}: a pickle that would run code (posix.system), which is not allowed\n")
    assert "torch.save(net.state_dict(), path)" in fault
    assert not trace.exists()


def test_a_pickled_network_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.pth"
    torch.save(torch.nn.Linear(2, 2), path)
    assert "a pickle that would run code (torch.nn.modules" in fault_of(tmp_path, monkeypatch, path)


def test_code_in_a_plain_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace, path = tmp_path / "trace", tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps({"x": Evil(trace)}))
    fault_of(tmp_path, monkeypatch, path)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>Sign in</html>", "not a file of weights: it begins with b'<!DOCTYPE'"),
        (b"\x80\x02}q\x00.", "not a file of torch.save, or a damaged one"),
        (b"PK\x03\x04 and nothing that a zip has", "truncated"),
    ],
)
def test_other_files_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    path = tmp_path / "small.pth"
    path.write_bytes(content)
    assert message in fault_of(tmp_path, monkeypatch, path)


@pytest.mark.parametrize("content", [{}, {"epoch": 3, "loss": 0.5}, [1, 2], torch.ones(2)])
def test_a_checkpoint_without_named_tensors_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object
) -> None:
    path = tmp_path / "small.pth"
    torch.save(content, path)
    assert "contains no named tensors" in fault_of(tmp_path, monkeypatch, path)


def test_damaged_pickles_raise_only_weights_errors(tmp_path: Path) -> None:
    content = make(tmp_path, LEGACY).read_bytes()
    generator = torch.Generator().manual_seed(0)
    path, read, refused = tmp_path / "damaged.pth", 0, 0
    for _ in range(150):
        damaged = bytearray(content)
        for place in torch.randint(len(content) // 3, (4,), generator=generator).tolist():
            damaged[place] = int(torch.randint(256, (1,), generator=generator))
        path.write_bytes(damaged)
        try:
            read_tensors(path)
            read += 1
        except WeightsError:
            refused += 1
    assert refused > read / 10 > 0  # some bytes are only numbers
