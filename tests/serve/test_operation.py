"""What people who run a server need: metrics, request ids, logs, keys, pages of the API, deadlines."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from call_kit import Call
from hostile_kit import write_endless, write_model
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

import serve.registry
from serve.app import Access, create_app
from serve.http.keys import read_keys
from serve.http.log import JsonLines
from serve.limits import ServerLimits
from serve.registry import Registry

KEY, ORIGIN = "k" * 20, "https://shop.example"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return Registry([write_model(tmp_path_factory.mktemp("models") / "model.onnx")])


@pytest.fixture
def client(registry: Registry) -> Iterator[TestClient]:
    with TestClient(create_app(registry)) as client:
        yield client


def photo() -> dict[str, bytes]:
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    return {"files": file.getvalue()}


def samples(client: TestClient) -> dict[str, float]:
    """Each value of /metrics, by its name and labels."""
    found = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for one in family.samples:
            found[f"{one.name}{sorted(one.labels.values())}"] = one.value
    return found


def test_metrics_count_requests_images_and_models(client: TestClient, registry: Registry) -> None:
    client.post("/predict", files=photo())
    client.get("/models/cows")
    client.get("/nowhere/at/all")
    found = samples(client)
    assert found["graft_requests_total['/predict', '200', 'POST']"] == 1
    assert found["graft_requests_total['/models/{name}', '404', 'GET']"] == 1
    assert found["graft_requests_total['404', 'GET', 'other']"] == 1
    assert found["graft_request_seconds_count['/predict']"] == 1
    assert found["graft_request_images_sum['evil']"] == 1
    assert found["graft_model_seconds_count['evil']"] == 1
    assert found["graft_queue_requests[]"] == 0
    assert found["graft_model_info['', '1', 'classification', 'evil']"] == 1
    assert found["graft_model_loads_total['loaded', 'model']"] == 1
    assert found["graft_model_errors[]"] == 0
    assert found["process_resident_memory_bytes[]"] > 1e6 or sys.platform != "linux"


def test_request_ids_are_echoed_or_made(client: TestClient) -> None:
    assert client.get("/health", headers={"X-Request-ID": "abc-7"}).headers["x-request-id"] == "abc-7"
    first, second = (client.get("/health").headers["x-request-id"] for _ in range(2))
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert first != second
    hostile = client.get("/health", headers={"X-Request-ID": 'a" onclick="b'})
    assert re.fullmatch("[0-9a-f]{32}", hostile.headers["x-request-id"])


def test_each_request_is_one_line_of_json(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "graft.access"):
        client.get("/models/a%0Ab%1B[31m", headers={"X-Request-ID": "abc-7"})
    [record] = caplog.records
    line = JsonLines().format(record)
    fields = json.loads(line)
    assert "\n" not in line
    assert (fields["request_id"], fields["status"], fields["method"]) == ("abc-7", 404, "GET")
    assert (fields["path"], fields["level"]) == ("/models/a%0Ab%1B%5B31m", "info")
    assert record.getMessage() == "testclient GET /models/a%0Ab%1B%5B31m 404"


def test_an_error_is_one_line_of_json_too() -> None:
    try:
        {}["a mistake"]
    except KeyError:
        record = logging.LogRecord("graft", logging.ERROR, "", 0, "it %s", ("failed",), sys.exc_info())
    line = JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == "it failed"
    assert "KeyError: 'a mistake'" in json.loads(line)["trace"]


def test_a_fault_of_the_server_has_its_request_id(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve.registry.Predictor, "describe", lambda *_: 1 / 0)
    with TestClient(create_app(registry), raise_server_exceptions=False) as client:
        answer = client.post("/predict", files=photo(), headers={"X-Request-ID": "abc-7"})
        assert samples(client)["graft_requests_total['/predict', '500', 'POST']"] == 1
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "abc-7")


def test_keys_are_asked_for(registry: Registry) -> None:
    with TestClient(create_app(registry, access=Access(keys=(KEY, "other" * 5)))) as client:
        for headers in ({}, {"X-API-Key": "guess"}, {"Authorization": f"Basic {KEY}"}):
            refused = client.post("/predict", files=photo(), headers=headers)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert client.get("/metrics").status_code == client.get("/v2/models/evil").status_code == 401
        for headers in ({"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}):
            assert client.post("/predict", files=photo(), headers=headers).status_code == 200
        assert client.get("/health").status_code == client.get("/v2/health/live").status_code == 200


def test_a_file_of_keys(tmp_path: Path, call: Call) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# the shop\n{KEY}\n\n")
    assert read_keys(path) == [KEY]
    for text, reason in (("# none\n", "no key"), ("short\n", "a key is too short"), ("é" * 20, "a key is")):
        path.write_text(text)
        code, out, err = call("serve", tmp_path, "--api-keys", path)
        assert (code, out) == (2, "")
        assert err.startswith(f"--api-keys: {path}: {reason}")
    assert "No such file" in call("serve", tmp_path, "--api-keys", tmp_path / "none")[2]
    assert call("serve", tmp_path, "--log", "xml")[2] == "--log: found 'xml'; expected text or json\n"


def test_web_pages_of_an_origin_may_ask(registry: Registry) -> None:
    access = Access(keys=(KEY,), origins=(ORIGIN,))
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    with TestClient(create_app(registry, access=access)) as client:
        first = client.options("/predict", headers={"Origin": ORIGIN, **asked})
        answer = client.post("/predict", files=photo(), headers={"Origin": ORIGIN, "X-API-Key": KEY})
        other = client.options("/predict", headers={"Origin": "https://evil.example", **asked})
        refused = client.post("/predict", files=photo(), headers={"Origin": ORIGIN})
    assert first.status_code == answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert (other.status_code, "access-control-allow-origin" in other.headers) == (400, False)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, ORIGIN)


def test_the_page_of_the_api_comes_from_this_machine(client: TestClient) -> None:
    page = client.get("/docs").text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert addresses
    for address in addresses:
        assert address.startswith("/")
        assert client.get(address).status_code == 200
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/predict", "/v2/models/{name}/infer", "/metrics"} <= set(paths)


def test_a_model_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request ends at its deadline, and its work with it."""
    monkeypatch.setattr(serve.registry, "try_model", lambda _path: None)
    monkeypatch.setattr("serve.model.Model._run", _first_then(serve.model.Model._run))
    registry = Registry([write_endless(tmp_path / "model.onnx")])
    with TestClient(create_app(registry, ServerLimits(deadline_s=0.3))) as client:
        answer = client.post("/predict", files=photo())
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert answer.json() == {"error": "the server is busy; try again later"}


def _first_then(run: object) -> object:
    """The model's run, of which the trial when it is loaded is left out."""

    def later(self: object, images: np.ndarray, limit_s: float) -> object:
        return None if limit_s == serve.model.TRIAL_S else run(self, images, limit_s)  # type: ignore[operator]

    return later


def test_requests_that_wait_too_long_are_told(registry: Registry) -> None:
    """More than have a turn at a time, behind work that does not end: each is told at its deadline."""
    app = create_app(registry, ServerLimits(deadline_s=0.3, queue=50))
    answers = []
    with TestClient(app) as client, app.state.decoder.place(1), app.state.decoder.place(1):

        def ask() -> None:
            answers.append(client.post("/predict", files=photo()).status_code)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [503] * 8
