"""A model file is checked when it is loaded: a bad one is refused in words, whatever it was made for."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from hostile_kit import write_endless, write_external, write_model

from pixels import ImageError
from serve.artifact import ArtifactError
from serve.graph_file import MAX_FIELDS, NotOnnxError, read_graph_file
from serve.model import Model, read_metadata
from serve.predictor import Predictor
from serve.registry import Registry
from serve.trial import try_model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def test_a_good_one_is_loaded(path: Path) -> None:
    assert Predictor(write_model(path))(np.zeros((9, 9, 3), np.uint8))[0][0] == "a"


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"metrics": '{"accuracy": ' + "9" * 4000 + "}"}, "expected finite numbers below 2**63"),
        ({"metrics": '{"accuracy": NaN}'}, "graft.metrics is 'nan'; expected finite numbers"),
        ({"metrics": '{"accuracy": -Infinity}'}, "expected finite numbers below 2**63"),
        ({"metrics": '{"a":' * 900 + "1" + "}" * 900}, "expected objects nested at most 8 deep"),
        ({"weights": json.dumps({"origin": "x" * 2001})}, "expected at most 2,000 characters"),
        ({"spec": "x" * 2001}, "expected at most 2,000 characters"),
        ({"labels": json.dumps(["a", "b", "x" * 2001])}, "expected at most 2,000 characters"),
        ({"labels": json.dumps([""] * 100_001)}, "expected at most 100,000 names"),
        ({"labels": '["a", "b"]'}, "2 labels for 3 classes"),
    ],
)
def test_metadata_of_the_wrong_kind(path: Path, metadata: dict[str, str], message: str) -> None:
    write_model(path, **metadata)
    for load in (read_metadata, Model):
        with pytest.raises(ArtifactError) as raised:
            load(path)
        assert str(raised.value).startswith(f"{path}: ")
        assert message in str(raised.value)
        assert len(str(raised.value)) < 500


def test_nothing_in_metadata_acts_on_a_terminal(path: Path) -> None:
    evil = "\x1b]0;PWNED\x07\x1b[31mx\x9b\u202e"
    labels = json.dumps([evil, "\ud800", "c"])
    metadata = read_metadata(
        write_model(path, labels=labels, spec=evil, created=evil, weights=json.dumps({"a": evil}))
    )
    mark = "\N{REPLACEMENT CHARACTER}"
    assert metadata.labels == (f"{mark}]0;PWNED{mark}{mark}[31mx{mark}{mark}", mark, "c")
    assert "\x1b" not in metadata.spec + metadata.created + str(metadata.weights)
    json.dumps(metadata.labels, ensure_ascii=False).encode()


@pytest.mark.parametrize(("columns", "shape"), [("4", "(1, 4)"), ("height", "(1, 37)"), ("2", "(1, 2)")])
def test_other_numbers_of_columns_than_declared(path: Path, columns: str, shape: str) -> None:
    with pytest.raises(ArtifactError) as raised:
        Model(write_model(path, columns=columns))
    assert f"the model is damaged: it answers {shape} for 1 image(s) of 3 classes" in str(raised.value)


def test_an_answer_of_another_shape_later_is_an_error_of_that_image(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.model.TRIAL_SHAPE", (1, 3, 5, 3))
    model = Model(write_model(path, columns="height"))
    with pytest.raises(ImageError, match=r"the model is damaged: it answers \(1, 9\)"):
        model(np.zeros((1, 9, 9, 3), np.uint8))


def test_numbers_that_are_not_finite(path: Path) -> None:
    model = onnx.load(write_model(path))
    model.graph.initializer[0].raw_data = np.array([np.nan], np.float32).tobytes()
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ArtifactError, match="it answers numbers that are not finite"):
        Model(path)


def test_a_model_without_end_is_stopped(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.model.TRIAL_S", 0.3)
    start = time.monotonic()
    with pytest.raises(ArtifactError, match=r"the model took over 0\.3 s on 1 image\(s\) of 53x37 pixels"):
        Model(write_endless(path))
    assert time.monotonic() - start < 10


def test_weights_in_other_files_are_refused_before_they_are_opened(path: Path) -> None:
    for load in (read_metadata, Model):
        with pytest.raises(ArtifactError, match="its weights are in other files; the contract requires one"):
            load(write_external(path))


def test_operators_of_its_own_are_refused(path: Path) -> None:
    model = onnx.load(write_model(path))
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    opset = onnx.helper.make_opsetid("", 20)
    model.functions.append(onnx.helper.make_function("own", "F", ["x"], ["y"], [node], [opset]))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ArtifactError, match="it defines 1 operators; the contract allows none"):
        read_metadata(path)


def test_operators_of_the_future_are_refused(path: Path) -> None:
    model = onnx.load(write_model(path))
    model.opset_import[0].version = 999
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ArtifactError, match="not a readable ONNX file"):
        Model(path)


def test_what_is_read_equals_what_onnx_reads(path: Path) -> None:
    model, found = onnx.load(write_model(path)), read_graph_file(path)
    assert found.properties == {entry.key: entry.value for entry in model.metadata_props}
    assert found.opsets == {"": 20}
    assert [(one.name, one.type, one.shape) for one in found.inputs] == [
        ("image", "tensor(uint8)", ["batch", "height", "width", 3])
    ]
    assert [(one.name, one.shape) for one in found.outputs] == [("probabilities", ["batch", 3])]


def test_a_file_of_tiny_parts_is_given_up_soon(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_FIELDS <= 5_000_000
    monkeypatch.setattr("serve.graph_file.MAX_FIELDS", 1000)
    path.write_bytes(write_model(path).read_bytes() + b"\x28\x01" * 1000)
    with pytest.raises(NotOnnxError, match="it has more than 1,000 parts"):
        read_graph_file(path)


def test_damage_anywhere_is_an_artifact_error(path: Path) -> None:
    """Every byte changed, and every length: never another error, never a long time."""
    whole = write_model(path).read_bytes()
    random = np.random.default_rng(0)
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= int(random.integers(1, 256))
        path.write_bytes(changed if place % 2 else whole[:place])
        try:
            read_metadata(path)
        except ArtifactError as error:
            assert str(error).startswith(f"{path}: ")


def test_a_model_is_tried_in_another_process(path: Path) -> None:
    try_model(write_model(path))
    with pytest.raises(ArtifactError) as raised:
        try_model(write_model(path, columns="4"))
    assert str(raised.value).startswith(f"{path}: the model is damaged: it answers (1, 4)")


def test_a_model_that_takes_all_memory_ends_only_that_process(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ArtifactError) as raised:
        try_model(write_model(path, columns="40000000000"))
    assert str(raised.value).startswith(f"{path}: ")


def test_a_bad_model_is_left_out_alone(tmp_path: Path) -> None:
    good, bad = write_model(tmp_path / "good.onnx"), write_model(tmp_path / "bad.onnx", columns="4")
    found = Registry([bad, tmp_path / "none.onnx", good])
    assert list(found.models) == ["evil"]
    assert [str(error).split(": ")[0] for error in found.errors.values()] == [
        str(bad),
        str(tmp_path / "none.onnx"),
    ]
