"""Cards: the descriptions of weights next to their files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import safetensors.torch
from rich.console import Console
from weights_kit import sha256, small_spec, small_state, use_folder

import zoo
import zoo.__main__ as command
from zoo.pretrained.card import Card, Score, StageStatistics, card_path, find_card, read_card, write_card
from zoo.pretrained.show import card_of, render_card, render_weights
from zoo.spec import inherit
from zoo.spec.header import TrainedInput


def card(digest: str = "ab" * 32) -> Card:
    return Card(
        name="small",
        spec="specs/small.yaml",
        sha256=digest,
        params=196,
        classes=4,
        input=TrainedInput(height=16, width=16, resize="squash", mean=[0.5, 0.4, 0.3], std=[0.2, 0.2, 0.2]),
        data="four kinds of noise",
        licence="research use: yes, of the images",
        recipe="SGD, 3 epochs",
        command="make pretrain SPEC=specs/small.yaml",
        seed=0,
        score=Score(split="val", images=1000, top1=0.5812, top5=0.9),
        choices={"norm": "batch_norm", "act": "relu"},
        stages={"conv": StageStatistics(mean=[0.0, 2.0], std=[1.0, 0.0])},
        labels=["a", "no", "1e-3", "d"],
    )


def words(renderable: object, width: int = 100) -> str:
    console = Console(width=width, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
    console.print(renderable)
    console.file.close()
    return console.export_text()


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_folder(monkeypatch, tmp_path / "cache")
    path = tmp_path / "small.safetensors"
    safetensors.torch.save_file(small_state(), path)
    write_card(card(sha256(path)), path)
    return path


def test_a_card_is_written_and_read(weights: Path) -> None:
    assert card_path(weights).name == "small.card.yaml"
    assert find_card(weights) == card(sha256(weights))
    assert [path.name for path in weights.parent.glob(".*")] == []


def test_a_file_without_a_card_has_none(tmp_path: Path) -> None:
    assert find_card(tmp_path / "other.safetensors") is None


def test_all_mistakes_in_a_card_are_reported(weights: Path) -> None:
    path = card_path(weights)
    text = path.read_text().replace("params: 196", "parms: 196").replace("top1: 0.5812", "top1: 58.12")
    path.write_text(text)
    with pytest.raises(zoo.SpecError) as caught:
        read_card(path)
    assert "unknown key 'parms'" in str(caught.value)
    assert "did you mean 'params'?" in str(caught.value)
    assert "score.top1: found the number 58.12" in str(caught.value)


def test_weights_are_described_by_their_card(weights: Path) -> None:
    spec = zoo.read_spec(small_spec(weights.parent, "mine: {file: small.safetensors}"))
    _, origin = zoo.load(spec, weights="mine")
    assert origin is not None
    assert (origin.licence, origin.classes) == ("research use: yes, of the images", 4)
    assert origin.origin == "small, trained by Graft on four kinds of noise"
    assert zoo.trained_input(spec, "mine").mean == [0.5, 0.4, 0.3]
    assert card_of(spec, "mine") == card(sha256(weights))


def test_the_file_must_have_the_hash_of_its_card(weights: Path) -> None:
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(zoo.WeightsError, match="damaged, or not the file that was published"):
        zoo.load(small_spec(weights.parent, "mine: {file: small.safetensors}"), weights="mine")


def test_an_activation_that_differs_from_the_card_warns(weights: Path) -> None:
    path = small_spec(weights.parent, "mine: {file: small.safetensors}")
    path.write_text(path.read_text().replace("act: relu", "act: gelu"))
    _, origin = zoo.load(path, weights="mine")
    assert origin is not None
    assert "choices.act is gelu, but these weights were trained with relu" in origin.audit.warnings[0]


def test_shipped_weights_are_found_from_any_folder(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, elsewhere = tmp_path / "box", tmp_path / "elsewhere"
    box.mkdir()
    elsewhere.mkdir()
    for file in (weights, card_path(weights)):
        file.rename(box / file.name)
    monkeypatch.setattr(inherit, "SHIPPED", box)
    spec = zoo.read_spec(small_spec(elsewhere, "default: {file: small.safetensors}"))
    assert "file: small.safetensors" in spec.to_yaml()  # the same spec on every machine
    _, origin = zoo.load(spec, weights="default")
    assert origin is not None
    assert origin.sha256 == sha256(box / "small.safetensors")


def test_every_field_of_a_card_is_shown(weights: Path) -> None:
    shown = words(render_card(card()))
    for part in (
        "small",
        "specs/small.yaml",
        "norm batch_norm, act relu",
        "top-1 58.1%, top-5 90.0% on 1,000 images (val)",
        "196, float32",
        "16x16, squash, mean 0.5 0.4 0.3, std 0.2 0.2 0.2",
        "four kinds of noise",
        "research use: yes, of the images",
        "SGD, 3 epochs",
        "make pretrain SPEC=specs/small.yaml",
        "ab" * 32,
    ):
        assert part in shown
    row = next(line for line in shown.splitlines() if "conv" in line)
    assert row.split()[1:-1] == ["conv", "2", "1.000", "0.500", "1"]


def test_weights_without_a_card_are_shown_as_their_publisher_describes_them(weights: Path) -> None:
    spec = zoo.read_spec(
        small_spec(
            weights.parent,
            "mine: {file: small.safetensors}",
            "imagenet: {torchvision: ResNet18_Weights.IMAGENET1K_V1}",
            "again: {torchvision: ResNet18_Weights.IMAGENET1K_V1}",
            "wrong: {torchvision: Nonsense.V1}",
        )
    )
    shown = words(render_weights(spec))
    assert "four kinds of noise" in shown
    assert "imagenet, again" in shown
    assert "sha256 beginning with f37072fd" in shown
    assert "torchvision has no weights 'Nonsense.V1'" in shown
    assert "no weights are declared" in words(render_weights(zoo.read_spec("lenet5")))


def test_the_card_of_a_damaged_or_missing_file_is_not_shown(weights: Path) -> None:
    spec = zoo.read_spec(small_spec(weights.parent, "mine: {file: small.safetensors}"))
    weights.write_bytes(weights.read_bytes()[:-1])
    shown = " ".join(words(render_weights(spec)).replace("│", "").split())
    assert "damaged, or not the file" in shown
    assert "replace it by the file with the expected hash" in shown
    assert "top-1" not in shown
    weights.unlink()
    gone = " ".join(words(render_weights(spec)).replace("│", "").split())
    assert "these weights are not on this machine: no such file" in gone


def test_describe_prints_the_card(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = small_spec(weights.parent, "mine: {file: small.safetensors}")
    monkeypatch.setattr(sys, "argv", ["zoo", "describe", str(spec), "--weights"])
    with pytest.raises(SystemExit) as caught:
        command.main()
    assert not caught.value.code
    assert "top-1 58.1%" in capsys.readouterr().out
