"""The HTTP application: answers equal to the Predictor's, and every mistake a JSON error."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from call_kit import Call
from digits_kit import DigitsModel, MaskModel
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from serve.app import create_app
from serve.limits import ServerLimits
from serve.predictor import Predictor
from serve.registry import Registry
from serve.routers.native import MAX_FILES

Upload = tuple[str, tuple[str, bytes, str]]


def upload(image: NDArray[np.uint8] | bytes, name: str = "digit.png", field: str = "files") -> Upload:
    """One multipart file."""
    if not isinstance(image, bytes):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        image = file.getvalue()
    return field, (name, image, "application/octet-stream")


@pytest.fixture(scope="module")
def client(digits_model: DigitsModel, mask_model: MaskModel) -> Iterator[TestClient]:
    models = Registry([digits_model.folder, mask_model.path, digits_model.path])
    with TestClient(create_app(models, ServerLimits(upload_mb=1))) as client:
        yield client


def test_models_are_named_by_their_spec(client: TestClient) -> None:
    assert client.get("/health").json() == {"status": "ok", "models": 3}
    models = client.get("/models").json()
    assert [model["name"] for model in models] == ["digits_tiny", "segmenter", "digits_tiny-2"]
    assert [model["task"] for model in models] == ["classification", "segmentation", "classification"]
    assert models[0]["classes"] == 10


def test_everything_about_one_model(client: TestClient, digits_model: DigitsModel) -> None:
    about = client.get("/models/digits_tiny").json()
    assert about["labels"] == list("0123456789")
    assert about["metrics"]["accuracy"] == digits_model.accuracy
    assert about["weights"]["licence"] == "Apache-2.0"


def test_answers_equal_the_predictors(
    client: TestClient, digits_model: DigitsModel, digits: tuple[NDArray[np.uint8], object]
) -> None:
    predictor = Predictor(digits_model.path)
    images = digits[0][:3]
    files = [upload(image, f"{i}.png") for i, image in enumerate(images)]
    answer = client.post("/predict", files=files, data={"top": "2"}).json()
    assert (answer["model"], answer["task"]) == ("digits_tiny", "classification")
    for i, (result, image) in enumerate(zip(answer["results"], images, strict=True)):
        found = predictor.predict(image)
        expected = [{"label": label, "probability": value} for label, value in found.answer[:2]]
        about = {"unknown": found.unknown, "unlike": found.unlike, "likely": list(found.likely)}
        assert result == {"file": f"{i}.png", "answers": expected, "error": None, **about}


def test_broken_file_does_not_spoil_the_others(
    client: TestClient, digits: tuple[NDArray[np.uint8], object]
) -> None:
    files = [upload(b"milk, eggs", "notes.txt"), upload(digits[0][0])]
    response = client.post("/predict", files=files)
    broken, good = response.json()["results"]
    assert response.status_code == 200
    assert broken["error"].startswith("not a JPEG, PNG")
    assert len(good["answers"]) == 5


def test_only_broken_files_are_an_error(client: TestClient) -> None:
    response = client.post("/predict", files=[upload(b"milk, eggs", "notes.txt")])
    assert response.status_code == 422
    assert response.json()["error"].startswith("notes.txt: not a JPEG, PNG")


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    "refused",
    [
        ("notes.txt", b"milk, eggs", "not a JPEG, PNG"),
        ("empty.png", b"", "empty file"),
        ("half.png", png(400, 400)[:50], "truncated image"),
        ("large.png", png(8000, 6251), "too large: 8000x6251 pixels; at most 50,000,000"),
        ("vector.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a JPEG, PNG"),
    ],
    ids=lambda refused: str(refused[0]),
)
def test_the_command_line_refuses_what_the_server_refuses(
    client: TestClient,
    call: Call,
    digits_model: DigitsModel,
    tmp_path: Path,
    refused: tuple[str, bytes, str],
) -> None:
    name, content, reason = refused
    path = tmp_path / name
    path.write_bytes(content)
    response = client.post("/predict", files=[upload(content, name)])
    code, out, err = call("predict", digits_model.path, path, "--json")
    [result] = json.loads(out)
    assert result["error"].startswith(reason)
    assert (code, err) == (2, f"{path}: {result['error']}\n")
    assert (response.status_code, response.json()["error"]) == (422, f"{name}: {result['error']}")


def test_mask_is_a_png_of_the_images_size(client: TestClient, mask_model: MaskModel) -> None:
    image = np.random.default_rng(1).integers(0, 256, (25, 18, 3), dtype=np.uint8)
    response = client.post("/output", files=[upload(image, field="file")], data={"model": "segmenter"})
    assert response.headers["content-type"] == "image/png"
    mask = np.asarray(Image.open(io.BytesIO(response.content)))
    assert (mask == Predictor(mask_model.path).output(image)).all()
    shares = client.post("/predict", files=[upload(image)], data={"model": "segmenter"}).json()
    best = shares["results"][0]["answers"][0]
    number = mask_model.labels.index(best["label"])
    assert best["share"] == pytest.approx((mask == number).mean(), abs=1e-6)  # float32


@pytest.mark.parametrize(
    ("path", "files", "data", "expected"),
    [
        (
            "/predict",
            [upload(b"x")],
            {"model": "nope"},
            (404, "no model 'nope'; expected one of: digits_tiny"),
        ),
        ("/predict", [upload(b"x")], {"top": "0"}, (422, "top: Input should be greater than or equal to 1")),
        ("/predict", [], {"top": "3"}, (422, "files: Field required")),
        ("/predict", [upload(b"x")] * (MAX_FILES + 1), {}, (422, "files: List should have at most 32 items")),
        ("/predict", [upload(b"x" * 2**20)], {}, (413, "upload too large: at most 1 MiB in one request")),
        ("/output", [upload(b"x", "x.png", "file")], {"model": "segmenter"}, (422, "x.png: not a JPEG, PNG")),
    ],
)
def test_mistakes_are_json_errors(
    client: TestClient, path: str, files: list[Upload], data: dict[str, str], expected: tuple[int, str]
) -> None:
    response = client.post(path, files=files, data=data)
    assert response.status_code == expected[0]
    assert response.json()["error"].startswith(expected[1])


def test_probabilities_are_json(
    client: TestClient, digits_model: DigitsModel, digits: tuple[NDArray[np.uint8], object]
) -> None:
    response = client.post("/output", files=[upload(digits[0][0], field="file")])
    assert response.json() == Predictor(digits_model.path).output(digits[0][0]).tolist()


def test_a_forgotten_at_sign_is_explained(client: TestClient) -> None:
    response = client.post("/predict", data={"files": "cat.jpg"}, files={"other": b"x"})
    assert response.status_code == 422
    assert "expected a file; with curl: -F files=@image.jpg" in response.json()["error"]


def test_unknown_addresses_are_json_errors(client: TestClient) -> None:
    assert client.get("/models/nope").json()["error"].startswith("no model 'nope'")
    assert client.get("/nope").json() == {"error": "Not Found"}
    assert client.get("/predict").json() == {"error": "Method Not Allowed"}


def test_what_the_server_itself_does_wrong_is_a_json_error(
    digits_model: DigitsModel, digits: tuple[NDArray[np.uint8], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("a mistake of ours")

    monkeypatch.setattr(Predictor, "describe", fail)
    with TestClient(create_app(Registry([digits_model.path])), raise_server_exceptions=False) as client:
        response = client.post("/predict", files=[upload(digits[0][0])])
    assert (response.status_code, response.json()) == (500, {"error": "the server failed: KeyError"})


def test_upload_that_hides_its_length_is_stopped(client: TestClient) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'

    def body() -> Iterator[bytes]:
        yield head
        for _ in range(64):
            yield b"\0" * 2**16

    response = client.post(
        "/predict", content=body(), headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert response.status_code == 413
    assert response.json() == {"error": "upload too large: at most 1 MiB in one request"}
