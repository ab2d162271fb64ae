"""Weights inside an installed Python package."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from weights_kit import sha256, small_spec, small_state

import zoo
from zoo.errors import WeightsError, WeightsUnavailableError

FILE = "small_model/small.pth"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages with one, small-model 1.0, that has a file of weights."""
    folder = tmp_path / "site"
    about = folder / "small_model-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: small-model\nVersion: 1.0\n")
    (folder / FILE).parent.mkdir()
    torch.save(small_state(), folder / FILE)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    return folder


def declare(folder: Path, address: str, known: str) -> zoo.Spec:
    return zoo.read_spec(small_spec(folder, f"mine: {{package: {address}, sha256: '{known}'}}"))


def test_a_file_of_an_installed_package_loads_and_is_named(tmp_path: Path, site: Path) -> None:
    known = sha256(site / FILE)
    spec = declare(tmp_path, f"small-model==1.0/{FILE}", known)
    assert zoo.available_weights(spec) == ("mine",)
    net = zoo.build(spec, weights="mine")
    for name, value in small_state().items():
        assert torch.equal(net.state_dict()[name], value)


@pytest.mark.parametrize("package", ["small-model==2.0", "other-model==1.0"])
def test_a_package_that_is_not_installed_is_named_with_its_version(
    tmp_path: Path, site: Path, package: str
) -> None:
    spec = declare(tmp_path, f"{package}/{FILE}", sha256(site / FILE))
    assert zoo.available_weights(spec) == ()
    with pytest.raises(WeightsUnavailableError, match=f"not installed(.|\n)*pip install {package}"):
        zoo.build(spec, weights="mine")


def test_a_package_with_other_weights_is_refused(tmp_path: Path, site: Path) -> None:
    spec = declare(tmp_path, f"small-model==1.0/{FILE}", "0" * 64)
    with pytest.raises(WeightsError, match=r"not the file(.|\n)*install the package again"):
        zoo.build(spec, weights="mine")


@pytest.mark.parametrize(
    "address",
    ["small-model", f"small-model/{FILE}", "small-model==1.0/../secret.pth", "small-model==1.0//etc/x"],
)
def test_an_address_that_is_no_file_in_a_package_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(WeightsError, match="expected: DISTRIBUTION==VERSION/FILE"):
        zoo.build(declare(tmp_path, f"'{address}'", "0" * 64), weights="mine")
