"""Published weights and their card: found by a spec, as accurate as the card says, and checked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from search_kit import write_digits
from small_kit import without_export

import zoo
from finetune.finished import load_trained
from finetune.publish import measure, pretrain, publish, restate_norms
from finetune.records.run_folder import RunFolder
from zoo.pretrained.card import Card, find_card

pytestmark = pytest.mark.usefixtures("unexported")

QUIET = Console(quiet=True)
QUICK: dict[str, object] = {
    **{"data.val": 0.2, "data.test": 0, "finetune.epochs": 6, "finetune.precision": "float32"},
    **{"finetune.weights": "none", "finetune.checks": "none", "finetune.monitor": "none"},
    **{"finetune.report": False, "card.data": "digits of scikit-learn", "card.licence": "BSD-3-Clause"},
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of weights of a short run; beside it a spec that starts from them."""
    folder = tmp_path_factory.mktemp("published")
    with without_export():
        path = pretrain(
            "specs/resnet_tiny.yaml",
            data=str(write_digits(folder / "digits", each=40)),
            set=QUICK,
            folder=folder / "run",
            out=folder,
            console=QUIET,
        )
    (folder / "user.yaml").write_text(
        "extends: resnet_tiny\nweights: {default: {file: resnet_tiny.safetensors}}\n"
    )
    return path


def card_of(path: Path) -> Card:
    card = find_card(path)
    assert card is not None
    return card


def test_the_card_says_what_the_weights_are(published: Path) -> None:
    card = card_of(published)
    net = zoo.build("resnet_tiny", classes=10)
    assert (card.name, card.classes) == ("resnet_tiny", 10)
    assert card.params == sum(parameter.numel() for parameter in net.parameters())
    assert card.data == "digits of scikit-learn"
    assert card.licence == "BSD-3-Clause"
    assert card.command == "graft pretrain specs/resnet_tiny.yaml --data FOLDER"
    assert card.recipe.startswith("scratch, 6 epochs, batch size")
    assert card.labels == [str(digit) for digit in range(10)]
    assert card.choices == {"norm": "batch_norm", "act": "relu"}
    assert {name: len(stage.mean) for name, stage in card.stages.items()} == {
        "layer1": 20,
        "layer2": 40,
        "layer3": 80,
    }


def test_the_cards_accuracy_is_that_of_the_file(published: Path) -> None:
    card = card_of(published)
    setup, _ = load_trained(RunFolder(published.parent / "run"))
    setup.net.load_state_dict(load_file(published))
    assert measure(setup.net, setup) == card.score
    assert card.score.images == len(setup.val)
    assert card.score.top1 > 0.3
    assert card.score.top5 is not None
    assert card.score.top5 > card.score.top1


def test_statistics_that_do_not_fit_the_images_are_computed_again(published: Path) -> None:
    setup, trained = load_trained(RunFolder(published.parent / "run"))
    net = trained.net.eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean += 3  # type: ignore[operator]
    before = measure(net, setup).top1
    restated = restate_norms(net, setup)
    assert restated is not net
    assert measure(restated, setup).top1 > before + 0.1
    assert restate_norms(restated, setup) is restated  # nothing is left to gain


def test_half_precision_is_used_if_accuracy_does_not_fall(published: Path) -> None:
    state = load_file(published)
    expected = torch.float16 if card_of(published).dtype == "float16" else torch.float32
    assert {value.dtype for value in state.values()} == {expected, torch.int64}


def test_a_spec_starts_from_them(published: Path) -> None:
    spec = zoo.read_spec(published.parent / "user.yaml")
    assert list(zoo.available_weights(spec)) == ["default"]
    net, origin = zoo.load(zoo.override(spec, {"classes": 3}), weights="default", seed=0)
    assert origin is not None
    state, own = load_file(published), net.state_dict()
    assert torch.equal(own["layer2.0.conv1.weight"], state["layer2.0.conv1.weight"].float())
    assert zoo.trained_input(spec, "default").mean == card_of(published).input.mean


def test_a_damaged_file_is_found_by_its_hash(published: Path, tmp_path: Path) -> None:
    for name in ("resnet_tiny.safetensors", "resnet_tiny.card.yaml", "user.yaml"):
        shutil.copy(published.parent / name, tmp_path)
    damaged = bytearray((tmp_path / published.name).read_bytes())
    damaged[-1] ^= 1
    (tmp_path / published.name).write_bytes(damaged)
    with pytest.raises(zoo.WeightsError, match="sha256"):
        zoo.load(zoo.read_spec(tmp_path / "user.yaml"), weights="default", seed=0)


def test_only_the_network_of_a_spec_is_published(tmp_path: Path) -> None:
    with pytest.raises(zoo.GraftError, match="no run here"):
        publish(tmp_path / "nothing", tmp_path, "", QUIET)
    several = QUICK | {"finetune.epochs": 6, "finetune.ensemble": {"average": 2}, "data.val": 0.8}
    with pytest.raises(zoo.GraftError, match="expected a classifier whose network"):
        pretrain("specs/lenet5.yaml", set=several, folder=tmp_path / "run", out=tmp_path, console=QUIET)
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_spec_that_chooses_a_network_has_no_weights_to_publish(tmp_path: Path) -> None:
    with pytest.raises(zoo.GraftError, match="auto: chooses a network"):
        pretrain("auto", out=tmp_path)
