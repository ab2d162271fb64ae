"""Files for containers: nothing is built here, but what they name must exist, and commands must parse."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from graft.__main__ import app as graft
from serve.app import OPEN_PATHS
from serve.limits import ServerLimits

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")


def instructions(name: str) -> list[str]:
    """What stands after an instruction of the Dockerfile, in all of its stages."""
    return re.findall(rf"^{name} (.*)$", DOCKERFILE, re.MULTILINE)


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def compose() -> dict[str, Any]:
    [found] = documents("compose.yaml")
    return found["services"]


def pod(name: str) -> dict[str, Any]:
    """The description of the pods of a manifest."""
    first = documents(name)[0]
    return (
        first["spec"]["predictor"]
        if first["kind"] == "InferenceService"
        else first["spec"]["template"]["spec"]
    )


def container(name: str) -> dict[str, Any]:
    [found] = pod(name)["containers"]
    return found


COMMANDS = {
    "Dockerfile": json.loads(instructions("CMD")[-1]),
    "compose.yaml": compose()["graft"]["command"],
    "kubernetes.yaml": container("kubernetes.yaml")["args"],
    "kserve.yaml": container("kserve.yaml")["args"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_server_has_these_options(name: str) -> None:
    command = typer.main.get_command(graft)
    name, serve, arguments = command.resolve_command(
        command.make_context("graft", ["--help"], resilient_parsing=True), COMMANDS[name]
    )
    given = serve.make_context(name, arguments).params
    assert given["host"] == "0.0.0.0"
    assert given["log"] == "json"


def test_the_image_holds_what_it_copies_and_is_no_root() -> None:
    copied = [
        word for line in instructions("COPY") if "--from" not in line for word in shlex.split(line)[:-1]
    ]
    assert all((ROOT / path).exists() for path in copied), copied
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"bench"}
    assert packages <= set(copied)
    assert [int(number) > 0 for number in instructions("USER")[-1].split(":")] == [True, True]
    assert json.loads(instructions("ENTRYPOINT")[-1]) == ["graft"]
    [check] = instructions("HEALTHCHECK")
    assert re.search(r"http://127.0.0.1:8000(/[a-z]+)", check)[1] in OPEN_PATHS  # type: ignore[index]


def test_the_lock_of_the_image_is_that_of_the_rest_without_training() -> None:
    """The same versions, and nothing that only training or the demo needs."""
    pin = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)
    small = pin.findall((DEPLOY / "requirements.lock").read_text())
    all_of_them = pin.findall((ROOT / "requirements.lock").read_text())
    names = {name for name, _ in small}
    assert set(small) <= set(all_of_them)
    assert {"onnxruntime", "fastapi", "prometheus-client"} <= names
    assert not names & {"torch", "gradio", "scipy", "onnx", "pandas"}


def test_compose_names_files_and_limits() -> None:
    graft, prometheus = compose()["graft"], compose()["prometheus"]
    assert (
        DEPLOY / graft["build"]["context"] / graft["build"]["dockerfile"]
    ).resolve() == DEPLOY / "Dockerfile"
    assert graft["read_only"]
    assert graft["cap_drop"] == ["ALL"]
    assert int(graft["stop_grace_period"].removesuffix("s")) > ServerLimits().drain_s + 2
    assert all(port.startswith("127.0.0.1:") for port in graft["ports"] + prometheus["ports"])
    file = prometheus["volumes"][0].split(":")[0]
    [settings] = documents(file)
    [target] = settings["scrape_configs"][0]["static_configs"][0]["targets"]
    assert target == "graft:8000"


@pytest.mark.parametrize("name", ["kubernetes.yaml", "kserve.yaml"])
def test_pods_are_locked_down_and_probed(name: str) -> None:
    found = container(name)
    security = found["securityContext"] | pod(name).get("securityContext", {})
    assert security["runAsNonRoot"]
    assert security["readOnlyRootFilesystem"]
    assert not security["allowPrivilegeEscalation"]
    ports = {port.get("name", port["containerPort"]) for port in found["ports"]}
    for probe in ("readinessProbe", "livenessProbe"):
        assert found[probe]["httpGet"]["path"] in OPEN_PATHS
        assert found[probe]["httpGet"]["port"] in ports
    assert set(found["resources"]) == {"requests", "limits"}


def test_kubernetes_mounts_what_it_names_and_waits_for_the_end() -> None:
    spec, (deployment, service) = pod("kubernetes.yaml"), documents("kubernetes.yaml")
    mounted = {each["name"] for each in container("kubernetes.yaml")["volumeMounts"]}
    assert mounted == {each["name"] for each in spec["volumes"]}
    assert spec["terminationGracePeriodSeconds"] > ServerLimits().drain_s + 2
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"] == labels
