"""Files of weights that were made to do harm: one WeightsError each, soon, and nothing is run or loaded."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor
from weights_kit import small_spec, small_state

import zoo
from zoo import limits
from zoo.errors import WeightsError
from zoo.pretrained.tensors import read_tensors

pytestmark = pytest.mark.usefixtures("within_3_cpu_seconds")


def fault_of(path: Path) -> str:
    """Return the message of a file that cannot be read."""
    with pytest.raises(WeightsError) as caught:
        read_tensors(path)
    message = str(caught.value)
    assert "weights_only" not in message
    return message.removeprefix(f"{path}: ")


def loading_fault(folder: Path, state: dict[str, Tensor]) -> str:
    """Return the message of a file whose tensors fit, but cannot be used; the network must not change."""
    torch.save(state, folder / "small.pth")
    spec = zoo.read_spec(small_spec(folder, "mine: {file: small.pth}"))
    net = zoo.build(spec)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        zoo.load_weights(net, spec, "mine", 4)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: tensor.to_sparse(), "sparse tensors"),
        (lambda tensor: tensor.to("meta"), "empty (meta) tensors"),
        (lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), "quantised tensors"),
        (lambda tensor: tensor.to(torch.complex64), "the tensor fc.weight is complex"),
        (lambda tensor: torch.zeros(1).expand(tensor.shape), "the tensor fc.weight is expanded"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.filterwarnings("ignore:.*(Typed|quant|Sparse)")
def test_tensors_of_other_kinds(tmp_path: Path, change: object, message: str, zipped: bool) -> None:
    state, path = small_state(), tmp_path / "small.pth"
    state["fc.weight"] = change(state["fc.weight"])  # type: ignore[operator]
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    assert fault_of(path).partition("\n")[0].startswith(message)
    assert fault_of(path).endswith("torch.save(net.state_dict(), path) or safetensors write them")


def test_complex_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    safetensors.torch.save_file({"x": torch.zeros(2, dtype=torch.complex64)}, path)
    assert fault_of(path).startswith("the tensor x is complex")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e300])
def test_numbers_that_are_not_finite(tmp_path: Path, value: float) -> None:
    state = small_state()
    state["fc.weight"] = state["fc.weight"].double()
    state["fc.weight"][0, 0] = value
    fault = loading_fault(tmp_path, state)
    assert (
        "small.pth is damaged, or its training failed: fc.weight holds 1 numbers that are not finite, of 24"
        in fault
    )


def test_whole_numbers_for_fractions(tmp_path: Path) -> None:
    state = small_state()
    state["fc.weight"] = state["fc.weight"].to(torch.int8)
    assert "fc.weight holds whole numbers, perhaps quantised (torch.int8)" in loading_fault(tmp_path, state)


def test_negative_variances(tmp_path: Path) -> None:
    state = small_state()
    state["norm.running_var"] = -state["norm.running_var"]
    assert "norm.running_var holds negative variances" in loading_fault(tmp_path, state)


@pytest.mark.parametrize("start", [b"[" * 10**6, b'{"a":' * 10**5, b"\xff" * 100])
def test_deep_headers(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "deep.safetensors"
    path.write_bytes(struct.pack("<Q", len(start)) + start)
    assert fault_of(path).startswith(("not a safetensors file", "truncated"))


def test_a_large_header(tmp_path: Path) -> None:
    path = tmp_path / "large.safetensors"
    path.write_bytes(struct.pack("<Q", limits.MAX_HEADER_BYTES + 1) + b"{")
    with path.open("r+b") as file:
        file.truncate(2 * limits.MAX_HEADER_BYTES)
    assert fault_of(path).startswith("a list of tensors of 33,554,433 bytes")


def archive(path: Path, *entries: tuple[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in entries:
            file.writestr(name, content)
    return path


def test_a_compressed_archive_is_not_unpacked(tmp_path: Path) -> None:
    content = [("archive/data.pkl", bytes(10**8)), ("archive/version", b"3\n")]
    path = archive(tmp_path / "bomb.pth", *content, compression=zipfile.ZIP_DEFLATED)
    assert fault_of(path) == "a compressed archive, which torch.save does not write"


def test_an_archive_that_states_more_than_it_holds(tmp_path: Path) -> None:
    path = archive(tmp_path / "bomb.pth", ("archive/data.pkl", b"x" * 50), ("archive/version", b"3\n"))
    content = path.read_bytes().replace(struct.pack("<LL", 50, 50), struct.pack("<LL", 4 * 10**9, 4 * 10**9))
    path.write_bytes(content)
    assert fault_of(path) == f"an archive of {len(content):,} bytes that states 4,000,000,000"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_with_a_name_twice(tmp_path: Path) -> None:
    path = archive(tmp_path / "two.pth", ("archive/data.pkl", b"x"), ("archive/DATA.pkl", b"y"))
    assert fault_of(path) == "an archive that has one name twice"


def plain_pickle(path: Path, content: bytes) -> Path:
    return archive(path, ("archive/data.pkl", content), ("archive/version", b"3\n"))


def test_tuples_whose_hash_takes_for_ever(tmp_path: Path) -> None:
    nested = "".join(f"(g{i}\ng{i}\ntp{i + 1}\n" for i in range(40)).encode()
    path = plain_pickle(tmp_path / "hash.pth", b"}(K\x01p0\n0" + nested + b"K\x01s.")
    assert fault_of(path).startswith("tuples within tuples of")


@pytest.mark.parametrize("name", ["builtins bytearray", "collections Counter", "torch load", "os system"])
def test_calls_that_no_tensors_need(tmp_path: Path, name: str) -> None:
    path = plain_pickle(
        tmp_path / "call.pth", f"c{name.replace(' ', chr(10))}\n(J".encode() + b"\xff\xff\xff\x7ftR."
    )
    assert fault_of(path).startswith(f"a pickle that would run code ({name.replace(' ', '.')}), which is not")


def test_a_name_made_of_texts_is_found(tmp_path: Path) -> None:
    content = pickle.dumps(print, protocol=4)
    path = plain_pickle(tmp_path / "call.pth", content)
    assert fault_of(path).startswith("a pickle that would run code (builtins.print)")


def test_checkpoints_of_training_are_read(tmp_path: Path) -> None:
    net = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = {
        "state_dict": {
            **net.state_dict(),
            "p": torch.nn.Parameter(torch.ones(2)),
            "h": torch.ones(2).bfloat16(),
        },
        "optimizer": optimizer.state_dict(),
        "epoch": 3,
        "shape": torch.Size([1, 2]),
    }
    for zipped in (True, False):
        torch.save(state, tmp_path / "all.pth", _use_new_zipfile_serialization=zipped)
        assert set(read_tensors(tmp_path / "all.pth")) == {"weight", "bias", "p", "h"}


def test_a_file_larger_than_the_limit_is_not_hashed(tmp_path: Path) -> None:
    path = tmp_path / "small.pth"
    path.write_bytes(b"PK\x03\x04")
    with path.open("r+b") as file:
        file.truncate(limits.MAX_WEIGHTS_BYTES + 1)
    spec = zoo.read_spec(small_spec(tmp_path, "mine: {file: small.pth}"))
    with pytest.raises(WeightsError, match=r"too large: 17,179,869,185 bytes"):
        zoo.build(spec, weights="mine")


def test_damaged_archives_raise_only_weights_errors(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(small_state(), buffer)
    content, path = buffer.getvalue(), tmp_path / "damaged.pth"
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        damaged = bytearray(content)
        for place in torch.randint(len(content), (4,), generator=generator).tolist():
            damaged[place] = int(torch.randint(256, (1,), generator=generator))
        path.write_bytes(damaged)
        try:
            read_tensors(path)
        except WeightsError as error:
            assert "weights_only" not in str(error)
