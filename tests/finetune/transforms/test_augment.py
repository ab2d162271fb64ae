"""What holds for every step: kind, probability, random numbers, masks; and the list of them in a spec."""

import warnings
from typing import Any

import pytest
import torch
from augment_kit import draw, noise, spot, step
from pydantic import ValidationError
from torch import Tensor
from torchvision import tv_tensors

from finetune.config.augment import AugmentSettings
from finetune.transforms.augment import build_augment
from finetune.transforms.augmentations import AUGMENTATIONS
from finetune.transforms.defaults import default_augmentation, flip_changes_class, flip_warning
from zoo.registry import Call

NAMES = AUGMENTATIONS.names()
GEOMETRY = NAMES[: NAMES.index("brightness")]
COLOUR = NAMES[NAMES.index("brightness") : NAMES.index("rand_augment")]
read = AUGMENTATIONS.read_call
STRONG: dict[str, dict[str, Any]] = {"blur": {"sigma": 9.0}, "grey": {}, "rand_augment": {"operations": 8}}


@pytest.mark.parametrize("name", NAMES)
def test_every_step_gives_an_image_of_the_same_kind(name: str) -> None:
    for size in [(8, 13), (32, 32)]:
        image = noise(*size)
        before = image.clone()
        for found in (step(name, size, p=1.0)(image), step(name, size)(image)):
            assert found.shape == image.shape
            assert found.dtype == torch.uint8
            assert type(found) is Tensor
        assert torch.equal(image, before)  # what was given stays as it is


@pytest.mark.parametrize("name", NAMES)
def test_probability(name: str) -> None:
    image = noise()
    strong = STRONG.get(name, {})
    assert all(torch.equal(each, image) for each in draw(name, image, 20, p=0.0, **strong))
    always = sum(not torch.equal(each, image) for each in draw(name, image, 60, p=1.0, **strong))
    half = sum(not torch.equal(each, image) for each in draw(name, image, 60, p=0.5, **strong))
    assert always >= 40  # some draws are near enough to no change
    assert 0.25 * always < half < 0.8 * always  # 30 of 60 with a deviation of 4


@pytest.mark.parametrize("name", NAMES)
def test_the_same_random_numbers_give_the_same_pixels(name: str) -> None:
    image, transform, found = noise(), step(name, p=1.0), []
    for _ in range(2):
        torch.manual_seed(7)
        found.append(torch.stack([transform(image) for _ in range(3)]))
    assert torch.equal(*found)


def test_rand_augment_gets_stronger_with_magnitude_and_number() -> None:
    image = (spot((0.3, 0.2), (-0.4, 0.1), size=48).float() * 0.5 + 60).to(torch.uint8)

    def change(**arguments: int) -> float:
        return float((draw("rand_augment", image, 150, **arguments).float() - image.float()).abs().mean())

    weak = change(operations=1, magnitude=3)
    assert change(operations=1, magnitude=27) > 1.3 * weak
    assert change(operations=4, magnitude=3) > 1.5 * weak


def test_trivial_augment_applies_one_step_of_many() -> None:
    image = noise()
    found = {each.numpy().tobytes() for each in draw("trivial_augment", image, 100)}
    assert len(found) > 50


@pytest.mark.parametrize("name", GEOMETRY)
def test_masks_move_with_their_images(name: str) -> None:
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    shape = ((x - 26) ** 2 + (y - 36) ** 2 < 300).to(torch.uint8)
    image, mask = tv_tensors.Image((shape * 255).expand(3, 64, 64).clone()), tv_tensors.Mask(shape)
    transform = step(name, (64, 64), p=1.0)
    for _ in range(10):
        moved, moved_mask = transform(image, mask)
        assert isinstance(moved, tv_tensors.Image)
        assert isinstance(moved_mask, tv_tensors.Mask)
        assert moved_mask.dtype == torch.uint8
        inside, masked = moved[0] > 127, moved_mask == 1
        # the border of a mask is interpolated by nearest neighbour
        assert (inside & masked).sum() / (inside | masked).sum() > 0.9


@pytest.mark.parametrize("name", GEOMETRY)
def test_new_borders_of_masks_are_ignored(name: str) -> None:
    image = tv_tensors.Image(torch.full((3, 32, 24), 200, dtype=torch.uint8))
    mask = tv_tensors.Mask(torch.ones(32, 24, dtype=torch.uint8))
    transform, borders = step(name, (32, 24), p=1.0), 0
    for _ in range(10):
        moved, moved_mask = transform(image, mask)
        assert set(moved_mask.unique().tolist()) <= {1, 255}
        assert (moved[0][moved_mask == 255] < 200).all()
        borders += int((moved_mask == 255).sum())
    assert (borders > 0) == (name not in ("horizontal_flip", "vertical_flip", "random_resized_crop"))


@pytest.mark.parametrize("name", COLOUR)
def test_masks_keep_their_colours(name: str) -> None:
    mask = tv_tensors.Mask(torch.randint(0, 4, (32, 32), dtype=torch.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision says that erasing passes masks through
        found = step(name, p=1.0)(tv_tensors.Image(noise()), mask)[1]
    assert isinstance(found, tv_tensors.Mask)
    assert torch.equal(found, mask)


def test_steps_are_applied_in_their_order() -> None:
    image = noise()
    calls = [
        read({"grey": {"p": 1.0}}),
        read({"horizontal_flip": {"p": 1.0}}),
    ]
    found = build_augment(calls, size=(32, 32))(image)
    assert torch.equal(found, step("grey", p=1.0)(image).flip(2))
    erase_last = [
        read({"erasing": {"p": 1.0, "value": 255}}),
        read("brightness"),
    ]
    assert 255 in build_augment(erase_last[::-1], size=(32, 32))(image // 4)
    assert build_augment([], size=(32, 32))(image) is image


def test_default_steps() -> None:
    assert [call.op for call in default_augmentation(["cat", "dog"], (64, 64))] == [
        "horizontal_flip",
        "crop",
        "rotation",
    ]
    assert [call.op for call in default_augmentation(list("0123456789"), (64, 64))] == ["crop", "rotation"]
    assert default_augmentation(["cat", "dog"], (224, 160))[1].args["padding"] == 10
    assert default_augmentation(["cat", "dog"], (8, 8))[1].args["padding"] == 1


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (["0", "1", "2"], True),
        (["a", "b", "C"], True),
        (["letter_a", "letter_b"], True),
        (["digit 7", "Digit8", "class10"], True),
        (["zero", "one", "two"], True),
        (["turn left", "turn right", "stop"], True),
        (["left_hand", "right_hand"], True),
        (["cat", "dog"], False),
        (["daisy", "rose", "x"], False),
        (["copyright", "leftover"], False),
        (["one way", "two way"], False),
        ([], False),
    ],
)
def test_class_sets_that_a_mirror_spoils(classes: list[str], expected: bool) -> None:
    assert flip_changes_class(classes) is expected


def test_flips_of_digits_are_warned_of() -> None:
    flip, crop = read("horizontal_flip"), read("crop")
    digits = [str(i) for i in range(10)]
    warning = flip_warning(digits, [crop, flip])
    assert warning is not None
    assert warning.startswith("horizontal_flip mirrors images")
    assert "(0, 1, 2, 3, 4, …)" in warning
    assert flip_warning(digits, [crop]) is None
    assert flip_warning(["cat", "dog"], [flip]) is None
    assert flip_warning(digits, [read({"horizontal_flip": {"p": 0.0}})]) is None


def test_settings_tell_nothing_from_an_empty_list() -> None:
    assert AugmentSettings.model_validate({}).calls is None
    assert AugmentSettings.model_validate(None).calls is None
    assert AugmentSettings.model_validate([]).calls == ()
    settings = AugmentSettings.model_validate([{"horizontal_flip": {"p": 0.25}}, "grey"])
    assert settings.calls == (Call("horizontal_flip", {"p": 0.25}), Call("grey", {"p": 0.1}))
    assert AugmentSettings.model_validate(settings.model_dump()) == settings


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("gray", "expected augmentation: NAME or {NAME: {arguments}}, one of"),
        ({"rotation": {"degree": 3.0}}, "Extra inputs are not permitted"),
        ({"rotation": {"degrees": 200.0}}, "less than or equal to 180"),
        ({"crop": {"padding": 0}}, "greater than or equal to 1"),
        ({"crop": {"padding": "4"}}, "valid integer"),
        ({"grey": {"p": 1.5}}, "less than or equal to 1"),
        ({"scale": {"factor": 0.5}}, "greater than or equal to 1"),
        ({"random_resized_crop": {"smallest": 0.0}}, "greater than 0"),
        ({"blur": {"sigma": 0.05}}, "greater than 0.1"),
        ({"hue": {"strength": 0.6}}, "less than or equal to 0.5"),
        ({"rand_augment": {"magnitude": 31}}, "less than or equal to 30"),
    ],
)
def test_wrong_items_are_refused(item: object, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        AugmentSettings.model_validate([item])
    assert message in str(caught.value)
