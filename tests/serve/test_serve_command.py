"""`python -m serve`: answers on stdout, one clear message on stderr, exit 2 for what a user can mend."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton
from call_kit import Call
from digits_kit import DigitsModel, save_png
from numpy.typing import NDArray

from graft.__main__ import main as graft
from serve import Predictor
from serve.__main__ import find_free_port, uploads_folder


@pytest.fixture
def image(tmp_path: Path, digits: tuple[NDArray[np.uint8], object]) -> Path:
    return save_png(tmp_path / "digit.png", digits[0][0])


def test_predict_prints_a_line_an_image(call: Call, digits_model: DigitsModel, image: Path) -> None:
    code, out, err = call("predict", digits_model.folder, image, "--top", "2")
    (best, value), second, *_ = Predictor(digits_model.path)(image)
    assert (code, err) == (0, "")
    assert f"{best} {value:.1%}" in out.splitlines()[1]
    assert f"{second[0]} {second[1]:.1%}" in out.splitlines()[1]
    assert len(out.splitlines()[1].removeprefix(str(image)).split("%")) == 3


def test_predict_as_json(call: Call, digits_model: DigitsModel, image: Path) -> None:
    code, out, _ = call("predict", digits_model.path, image, "--json")
    found = Predictor(digits_model.path).predict(image)
    answers = [{"label": label, "probability": value} for label, value in found.answer[:5]]
    about = {"unknown": found.unknown, "unlike": found.unlike, "likely": list(found.likely)}
    assert (code, json.loads(out)) == (0, [{"image": str(image), "answers": answers, **about}])


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_bad_image_is_named_and_the_rest_answered(
    call: Call, digits_model: DigitsModel, image: Path, tmp_path: Path, form: list[str]
) -> None:
    notes = tmp_path / "notes.jpg"
    notes.write_text("milk, eggs")
    code, out, err = call("predict", digits_model.path, notes, image, tmp_path / "none.png", *form)
    assert code == 2
    assert str(image) in out
    first, second = err.splitlines()
    assert first.startswith(f"{notes}: not a JPEG, PNG")
    assert second == f"{tmp_path / 'none.png'}: cannot be read: No such file or directory"


@pytest.mark.parametrize("command", ["predict", "info", "serve"])
def test_bad_model_is_one_line(call: Call, command: str, tmp_path: Path, image: Path) -> None:
    rest = [image] if command == "predict" else []
    code, out, err = call(command, tmp_path / "none.onnx", *rest)
    assert (code, out) == (2, "")
    assert err.startswith(f"{tmp_path / 'none.onnx'}: no such file. Expected a model.onnx")
    assert len(err.splitlines()) == 1


def test_info(call: Call, digits_model: DigitsModel) -> None:
    code, out, _ = call("info", digits_model.folder)
    assert code == 0
    assert "0, 1, 2, 3, 4, 5, 6, 7, 8, 9" in out
    assert f"accuracy {digits_model.accuracy:.4g}" in out
    code, out, _ = call("info", digits_model.folder, "--json")
    assert json.loads(out)["spec"] == "digits_tiny"


def test_export_of_no_run(call: Call, tmp_path: Path) -> None:
    code, out, err = call("export", tmp_path)
    assert (code, out) == (2, "")
    assert err.startswith(str(tmp_path))
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("command", "module", "missing"),
    [
        (["demo"], "serve.demo.page", ("gradio", "demo")),
        (["serve", "model.onnx"], "serve.app", ("fastapi", "serve")),
        (["serve", "model.onnx", "--grpc-port", "8001"], "serve.rpc.server", ("grpc", "grpc")),
    ],
)
def test_missing_package_names_its_extra(
    call: Call, monkeypatch: pytest.MonkeyPatch, command: list[str], module: str, missing: tuple[str, str]
) -> None:
    package, extra = missing
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    code, _, err = call(*command)
    assert code == 2
    assert err == (
        f"this needs the package {package}, which is not installed\n"
        f"  expected: pip install '.[{extra}]' in a checkout of Graft\n"
    )


@pytest.mark.parametrize("command", ["serve", "info"])
def test_graft_has_the_same_commands(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["graft", command, str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        graft()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path}: no model.onnx in this folder")


def test_unknown_option_is_exit_2(call: Call) -> None:
    code, _, err = call("predict", "--colour")
    assert code == 2
    assert "No such option: --colour" in err


def test_serve_listens(digits_model: DigitsModel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free, socket.create_server(("127.0.0.1", 0)) as other:
        port, grpc_port = (str(each.getsockname()[1]) for each in (free, other))
    ports = ["--port", port, "--grpc-port", grpc_port]
    command = [sys.executable, "-m", "serve", "serve", str(digits_model.folder), *ports]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            assert ask_health(f"http://127.0.0.1:{port}/health") == {"status": "ok", "models": 1}
            assert server.poll() is None
            with triton.InferenceServerClient(f"127.0.0.1:{grpc_port}") as client:
                assert client.is_model_ready("digits_tiny")
            decoders = children_of(server.pid)
            assert decoders or sys.platform != "linux"
            half = socket.create_connection(("127.0.0.1", int(port)))
            half.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
            server.terminate()
            assert server.wait(10) == 0
            half.close()
            assert not [pid for pid in decoders if Path(f"/proc/{pid}").exists()]
        finally:
            server.kill()


@pytest.mark.parametrize("command", [["demo"], ["serve", "model.onnx"]])
def test_port_that_is_taken(call: Call, command: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = call(*command, "--port", str(port))
    assert (code, out) == (2, "")
    assert err == f"cannot listen on 127.0.0.1:{port}: Address already in use. Try another --port\n"


def test_a_port_of_grpc_that_is_taken(call: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as other:
        port, free = taken.getsockname()[1], other.getsockname()[1]
        other.close()
        code, _, err = call("serve", "model.onnx", "--port", str(free), "--grpc-port", str(port))
        assert code == 2
        assert err == f"cannot listen on 127.0.0.1:{port}: Address already in use. Try another --grpc-port\n"
        code, _, err = call("serve", "model.onnx", "--port", str(free), "--grpc-port", str(free))
        assert (code, err) == (2, f"--grpc-port: found {free}, which is --port; expected another one\n")


@pytest.mark.parametrize("command", [["demo"], ["serve", "model.onnx"]])
@pytest.mark.parametrize("host", ["nonsense.invalid", "192.0.2.7"])
def test_a_host_that_is_not_this_machines(call: Call, command: list[str], host: str) -> None:
    code, out, err = call(*command, "--host", host)
    assert (code, out) == (2, "")
    assert err.startswith(f"cannot listen on {host}") and err.endswith("Try another --host\n")


def test_the_demo_listens_on_ipv4_only(call: Call) -> None:
    assert call("demo", "--host", "::1")[2].startswith("the demo listens on IPv4 only, and ::1 is")


def test_uploads_of_killed_demos_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed, running = tmp_path / "graft-demo-2147483647-abc", tmp_path / f"graft-demo-{os.getpid()}-abc"
    for folder in (killed, running, tmp_path / "graft-demo-notes-1"):
        folder.mkdir()
        (folder / "photo.jpg").touch()
    with uploads_folder() as uploads:
        assert Path(uploads).parent == tmp_path
        assert not killed.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([running.name, "graft-demo-notes-1"])


def test_the_first_free_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert find_free_port("127.0.0.1", range(port, port + 50)) > port


def children_of(pid: int) -> list[str]:
    """The processes that this one started."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return listed.read_text().split() if listed.exists() else []


def ask_health(address: str, seconds: float = 30) -> object:
    """The answer of a server that is still starting."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(address, timeout=5) as response:
                return json.load(response)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
