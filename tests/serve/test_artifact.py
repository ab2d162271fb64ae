"""The contract: what is written is read back, and what is not ours is refused in words."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest
from digits_kit import DigitsModel

from serve.artifact import ArtifactError, Metadata, SetLimit, UnknownLimit, find_artifact
from serve.model import open_session, read_metadata

METADATA = Metadata(
    task="classification",
    labels=("Käse", "two words", "a,b"),
    spec="cheese",
    spec_sha256="ab" * 32,
    metrics={"accuracy": 0.75},
    weights={"origin": "here", "licence": "CC0-1.0"},
    parity={"images": 3},
    created="2026-01-02T03:04:05+00:00",
    graft_version="0.1.0",
    unknown=UnknownLimit(1.0, 0.95),
    sets=SetLimit(0.25, 0.9),
)


def write_with(path: Path, model: Path, **changes: str | None) -> Path:
    """A copy of an artifact with some of its metadata changed, or dropped where the value is None."""
    proto = onnx.load(model)
    values = {entry.key: entry.value for entry in proto.metadata_props}
    values |= {f"graft.{key}": value for key, value in changes.items() if value is not None}
    for key in [key for key, value in changes.items() if value is None]:
        del values[f"graft.{key}"]
    onnx.helper.set_model_props(proto, values)
    onnx.save(proto, path)
    return path


def test_metadata_survives_its_string_map() -> None:
    assert Metadata.from_map(METADATA.to_map()) == METADATA
    assert METADATA.to_map()["graft.labels"] == '["Käse", "two words", "a,b"]'
    assert METADATA.to_map()["graft.contract"] == "1"


def test_metadata_of_a_file(digits_model: DigitsModel) -> None:
    metadata = read_metadata(digits_model.path)
    assert metadata.labels == tuple("0123456789")
    assert metadata.metrics == {"accuracy": digits_model.accuracy}
    assert metadata.parity["images"] == 100
    assert metadata.spec == "digits_tiny"


def test_artifact_states_the_contract(digits_model: DigitsModel) -> None:
    session = open_session(str(digits_model.path))
    (image,), (output, unknown) = session.get_inputs(), session.get_outputs()
    assert (image.name, image.type) == ("image", "tensor(uint8)")
    assert image.shape == ["batch", "height", "width", 3]
    assert (output.name, output.type) == ("probabilities", "tensor(float)")
    assert output.shape[0] == "batch"
    assert (unknown.name, unknown.type, unknown.shape) == ("unknown", "tensor(float)", ["batch"])


def test_folder_of_a_run_stands_for_its_model(digits_model: DigitsModel) -> None:
    assert find_artifact(digits_model.folder) == digits_model.path


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"nowhere\.onnx: no such file\. Expected a model\.onnx"):
        read_metadata(tmp_path / "nowhere.onnx")


def test_folder_without_model(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no model\.onnx in this folder.*graft export RUN"):
        read_metadata(tmp_path)


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.99])
def test_damaged_file(tmp_path: Path, digits_model: DigitsModel, keep: float) -> None:
    whole = digits_model.path.read_bytes()
    path = tmp_path / "half.onnx"
    path.write_bytes(whole[: keep if isinstance(keep, int) else int(len(whole) * keep)])
    with pytest.raises(ArtifactError, match=re.escape(f"{path}: ")) as raised:
        read_metadata(path)
    assert "graft export RUN" in str(raised.value)


def test_damaged_file_prints_nothing(
    tmp_path: Path, digits_model: DigitsModel, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "half.onnx"
    path.write_bytes(digits_model.path.read_bytes()[:5000])
    with pytest.raises(ArtifactError):
        read_metadata(path)
    assert capfd.readouterr() == ("", "")


def test_foreign_onnx_file(tmp_path: Path) -> None:
    float32 = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])],
        "foreign",
        [onnx.helper.make_tensor_value_info("x", float32, [1, 3, 8, 8])],
        [onnx.helper.make_tensor_value_info("y", float32, [1, 3, 8, 8])],
    )
    model = onnx.helper.make_model(graph, ir_version=10, opset_imports=[onnx.helper.make_opsetid("", 20)])
    path = tmp_path / "foreign.onnx"
    onnx.save(model, path)
    with pytest.raises(ArtifactError, match=r"foreign\.onnx: an ONNX file that Graft did not write"):
        read_metadata(path)

    onnx.helper.set_model_props(model, METADATA.to_map())
    onnx.save(model, path)
    expected = r"the input is x tensor\(float\) \[1, 3, 8, 8\]; the contract requires image tensor\(uint8\)"
    with pytest.raises(ArtifactError, match=expected):
        read_metadata(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"contract": "2"},
            "for contract 2; this version of Graft reads contracts up to 1. Install a newer Graft",
        ),
        ({"contract": "one"}, "graft.contract is 'one'; expected a whole number from 1"),
        ({"contract": "0"}, "graft.contract is '0'; expected a whole number from 1"),
        ({"task": "juggling"}, "graft.task is 'juggling'; expected classification or segmentation"),
        ({"task": "segmentation"}, "the contract requires mask tensor(uint8) of rank 3"),
        ({"task": None}, "its metadata has no graft.task"),
        ({"labels": "[1, 2]"}, "graft.labels is '[1, 2]'; expected a JSON list of names"),
        ({"labels": "[]"}, "graft.labels is '[]'; expected a JSON list of names"),
        ({"labels": "cat, dog"}, "graft.labels is 'cat, dog'; expected a JSON list of names"),
        ({"metrics": "[]"}, "graft.metrics is '[]'; expected a JSON object"),
        ({"labels": '["a", "b"]'}, "2 labels for 10 classes"),
        ({"unknown": None}, "its metadata has no graft.unknown for its second output"),
        ({"unknown": "{}"}, "expected a JSON object with the numbers threshold and kept"),
        ({"sets": '{"probability": "a", "level": 1}'}, "with the numbers probability and level"),
        ({"contract": "9" * 5000}, "its metadata is damaged"),
        ({"metrics": "[" * 100_000}, "its metadata is damaged"),
    ],
)
def test_metadata_that_is_refused(
    tmp_path: Path, digits_model: DigitsModel, changes: dict[str, str | None], message: str
) -> None:
    path = write_with(tmp_path / "changed.onnx", digits_model.path, **changes)
    with pytest.raises(ArtifactError) as raised:
        read_metadata(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)


def test_optional_metadata_may_be_absent(tmp_path: Path, digits_model: DigitsModel) -> None:
    """A contract-1 file of another writer needs task, labels and spec; the rest is told as empty."""
    path = write_with(
        tmp_path / "sparse.onnx", digits_model.path, metrics=None, weights=None, parity=None, created=None
    )
    assert read_metadata(path).weights == {}
    assert read_metadata(path).created == ""


def test_metadata_that_is_no_text_is_refused(tmp_path: Path, digits_model: DigitsModel) -> None:
    content = digits_model.path.read_bytes()
    assert content.count(b"digits_tiny") == 1
    path = tmp_path / "bytes.onnx"
    path.write_bytes(content.replace(b"digits_tiny", b"digits\xfftiny"))
    with pytest.raises(ArtifactError, match=r"bytes\.onnx: "):
        read_metadata(path)
