"""What each augmentation does to pixels, how often, and how far."""

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torchvision import tv_tensors

from finetune.augment.colour import __name__ as colour_family
from finetune.augment.geometry import __name__ as geometry_family
from finetune.augment.sheet import augment_sheet
from finetune.augment.sides import sides_matter
from finetune.augment.steps import AUGMENTS, build_augment, default_calls, needs_statistics, warn_flips
from finetune.augment.transforms import smooth_noise
from finetune.dataset import one_thread
from finetune.settings.augment import AugmentSettings
from finetune.statistics import Statistics, measure_statistics
from zoo.registry import Call

GEOMETRY = [name for name in AUGMENTS.names() if AUGMENTS[name].function.__module__ == geometry_family]
COLOUR = [name for name in AUGMENTS.names() if AUGMENTS[name].function.__module__ == colour_family]
# wide enough that each draw changes something
STRONG: dict[str, dict[str, Any]] = {"blur": {"sigma": 9.0}, "grey": {}, "rand_augment": {"operations": 8}}


@pytest.fixture(autouse=True)
def repeatable() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(0)
        yield


def noise(height: int = 32, width: int = 32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator)


def statistics() -> Statistics:
    rng = np.random.default_rng(0)
    base = rng.normal(128, 50, (4, 1, 32, 32)) + rng.normal(0, 25, (4, 3, 32, 32))
    return measure_statistics(base.clip(0, 255).astype(np.uint8))


def step(name: str, size: tuple[int, int] = (32, 32), **arguments: object) -> Any:  # noqa: ANN401
    return build_augment([AUGMENTS.read_call({name: arguments})], size=size, statistics=statistics())


def draw(name: str, image: Tensor, count: int, **arguments: object) -> Tensor:
    """(count, 3, height, width) of one image, with probability 1 unless told."""
    transform = step(name, (image.shape[1], image.shape[2]), **{"p": 1.0, **arguments})
    return torch.stack([transform(image) for _ in range(count)])


def spot(*places: tuple[float, float], size: int = 65) -> Tensor:
    """White spots on black, at (right, down) from the middle in half sides."""
    image = torch.zeros(3, size, size)
    y, x = torch.meshgrid(torch.linspace(-1, 1, size), torch.linspace(-1, 1, size), indexing="ij")
    for right, down in places:
        image += torch.exp(-((x - right) ** 2 + (y - down) ** 2) / 0.01)
    return (image.clamp(0, 1) * 255).to(torch.uint8)


def find_spots(images: Tensor) -> Tensor:
    """(N, 2): where the spot of each image is, (right, down) from the middle in half sides."""
    weights = images[:, 0].double()
    side = torch.linspace(-1, 1, images.shape[-1], dtype=torch.float64)
    total = weights.sum((1, 2))
    return torch.stack([(weights.sum(1) * side).sum(1) / total, (weights.sum(2) * side).sum(1) / total], 1)


def spans(values: Tensor, low: float, high: float, slack: float) -> bool:
    """Whether draws stay within a range, give or take, and come near both of its ends."""
    reach = 0.15 * (high - low)
    inside = low - slack <= values.min() and values.max() <= high + slack
    return bool(inside and values.min() < low + reach and values.max() > high - reach)


@pytest.mark.parametrize("name", AUGMENTS.names())
def test_every_step_gives_an_image_of_the_same_kind(name: str) -> None:
    for size in [(8, 13), (32, 32)]:
        image = noise(*size)
        before = image.clone()
        for found in (step(name, size, p=1.0)(image), step(name, size)(image)):
            assert found.shape == image.shape
            assert found.dtype == torch.uint8
            assert type(found) is Tensor
        assert torch.equal(image, before)  # what was given stays as it is


@pytest.mark.parametrize("name", AUGMENTS.names())
def test_probability(name: str) -> None:
    image = noise()
    strong = STRONG.get(name, {})
    assert all(torch.equal(each, image) for each in draw(name, image, 20, p=0.0, **strong))
    always = sum(not torch.equal(each, image) for each in draw(name, image, 60, p=1.0, **strong))
    half = sum(not torch.equal(each, image) for each in draw(name, image, 60, p=0.5, **strong))
    assert always >= 40  # some draws are near enough to no change
    assert 0.25 * always < half < 0.8 * always  # 30 of 60 with a deviation of 4


@pytest.mark.parametrize("name", AUGMENTS.names())
def test_the_same_random_numbers_give_the_same_pixels(name: str) -> None:
    image, transform, found = noise(), step(name, p=1.0), []
    for _ in range(2):
        torch.manual_seed(7)
        found.append(torch.stack([transform(image) for _ in range(3)]))
    assert torch.equal(*found)


def test_flips_mirror() -> None:
    image = noise()
    assert torch.equal(step("horizontal_flip", p=1.0)(image), image.flip(2))
    assert torch.equal(step("vertical_flip", p=1.0)(image), image.flip(1))


def test_crop_takes_every_window_of_the_padded_image() -> None:
    image = noise(8, 6).clamp(min=1)
    padded = torch.nn.functional.pad(image, [2, 2, 2, 2])
    windows = {
        padded[:, top : top + 8, left : left + 6].numpy().tobytes() for top in range(5) for left in range(5)
    }
    assert {each.numpy().tobytes() for each in draw("crop", image, 400, padding=2)} == windows
    assert draw("crop", image, 50, padding=2, fill="reflect").min() > 0


def test_random_resized_crop_keeps_to_area_and_shape() -> None:
    ramp = torch.linspace(0, 255, 64).round().to(torch.uint8)
    image = torch.stack([ramp.expand(64, 64), ramp.expand(64, 64).T, torch.zeros(64, 64, dtype=torch.uint8)])
    found = draw("random_resized_crop", image, 300, smallest=0.25, ratio=1.5).float()
    wide = (found[:, 0].amax((1, 2)) - found[:, 0].amin((1, 2))) / 255
    high = (found[:, 1].amax((1, 2)) - found[:, 1].amin((1, 2))) / 255
    assert spans(wide * high, 0.25, 1.0, 0.06)  # a pixel more or less on each side
    assert spans(wide / high, 1 / 1.5, 1.5, 0.1)


def test_rotation_turns_by_up_to_the_angle() -> None:
    found = find_spots(draw("rotation", spot((0.6, 0.0)), 300, degrees=30.0))
    angles = torch.atan2(found[:, 1], found[:, 0]).rad2deg()
    assert spans(angles, -30, 30, 0.5)
    assert (found.norm(dim=1) - 0.6).abs().max() < 0.02


def test_scale_zooms_about_the_middle() -> None:
    found = find_spots(draw("scale", spot((0.5, 0.0)), 300, factor=1.5))
    assert spans(found[:, 0], 0.5 / 1.5, 0.5 * 1.5, 0.01)
    assert found[:, 1].abs().max() < 0.01


def test_translation_shifts_by_up_to_the_share() -> None:
    found = find_spots(draw("translation", spot((0.0, 0.0)), 300, share=0.2))
    assert spans(found[:, 0], -0.4, 0.4, 0.02)  # 0.2 of a side is 0.4 of half a side
    assert spans(found[:, 1], -0.4, 0.4, 0.02)


def test_shear_slants() -> None:
    found = find_spots(draw("shear", spot((0.0, 0.5)), 300, degrees=20.0))
    assert spans(found[:, 0], -0.5 * math.tan(math.radians(20)), 0.5 * math.tan(math.radians(20)), 0.02)


def test_affine_does_what_its_parts_do() -> None:
    image = spot((0.5, 0.0))
    still = {"degrees": 0.0, "translate": 0.0, "scale": 1.0, "shear": 0.0}
    assert torch.equal(draw("affine", image, 1, **still)[0], image)
    turned = find_spots(draw("affine", image, 200, **{**still, "degrees": 20.0}))
    assert spans(torch.atan2(turned[:, 1], turned[:, 0]).rad2deg(), -20, 20, 0.5)
    zoomed = find_spots(draw("affine", image, 200, **{**still, "scale": 1.3}))
    assert spans(zoomed[:, 0], 0.5 / 1.3, 0.5 * 1.3, 0.01)
    shifted = find_spots(draw("affine", image, 200, **{**still, "translate": 0.1}))
    assert spans(shifted[:, 0], 0.3, 0.7, 0.02)
    slanted = find_spots(draw("affine", image, 200, **{**still, "shear": 15.0}))
    assert spans(slanted[:, 1], -0.5 * math.tan(math.radians(15)), 0.5 * math.tan(math.radians(15)), 0.02)


def test_stretch_scales_each_side_on_its_own() -> None:
    found = find_spots(draw("stretch", spot((0.5, 0.5)), 300, factor=1.4))
    assert spans(found[:, 0], 0.5 / 1.4, 0.5 * 1.4, 0.02)
    assert spans(found[:, 1], 0.5 / 1.4, 0.5 * 1.4, 0.02)
    correlation = torch.corrcoef(found.T)[0, 1]
    assert correlation.abs() < 0.2  # of 300 independent pairs: deviation 0.06


def test_perspective_moves_corners_in() -> None:
    white = torch.full((3, 33, 33), 255, dtype=torch.uint8)
    assert torch.equal(draw("perspective", white, 1, distortion=0.0)[0], white)
    shares = (draw("perspective", white, 100, distortion=0.5)[:, 0] < 128).float().mean((1, 2))
    assert shares.max() < 1 - 0.5**2 + 0.05  # every corner half way to the middle
    assert 0.2 < shares.mean() < 0.5


def test_smooth_noise_has_deviation_one_and_its_length() -> None:
    fields = torch.stack([smooth_noise(40, 40, 3.0)[0] for _ in range(200)])
    assert fields.shape == (200, 2, 40, 40)
    assert abs(float(fields.std()) - 1) < 0.03
    assert abs(float(fields.mean())) < 0.03
    for distance in (3, 6):  # the autocorrelation of noise under a Gaussian
        found = float((fields[..., distance:] * fields[..., :-distance]).mean())
        assert abs(found - math.exp(-(distance**2) / (4 * 3.0**2))) < 0.05


def test_elastic_shifts_by_its_strength() -> None:
    ramp = torch.linspace(0, 255, 64).expand(3, 64, 64).round().to(torch.uint8)
    found = draw("elastic", ramp, 60, strength=0.03, smoothness=0.1)[:, 0].float()
    shift_px = ((found - ramp[0]) / 255 * 63)[:, 16:48, 16:48]  # away from the border
    assert abs(float(shift_px.std()) / (0.03 * 64) - 1) < 0.1
    assert torch.equal(draw("elastic", ramp, 1, strength=0.0)[0], ramp)


def flat(red: int, green: int, blue: int, size: int = 8) -> Tensor:
    return torch.tensor([red, green, blue], dtype=torch.uint8).reshape(3, 1, 1).repeat(1, size, size)


def test_brightness_multiplies() -> None:
    found = draw("brightness", flat(100, 50, 0), 300, strength=0.4)[:, :, 0, 0].float()
    assert spans(found[:, 0], 60, 140, 1)
    assert (found[:, 1] - found[:, 0] / 2).abs().max() <= 1
    assert found[:, 2].max() == 0


def test_contrast_stretches_about_the_mean() -> None:
    image = noise() // 4 + 96
    found = draw("contrast", image, 300, strength=0.4).float()
    assert spans(found.std((1, 2, 3)) / image.float().std(), 0.6, 1.4, 0.02)
    assert (found.mean((1, 2, 3)) - image.float().mean()).abs().max() < 2


def test_saturation_stretches_about_grey() -> None:
    image = flat(140, 100, 120)
    found = draw("saturation", image, 300, strength=0.5)[:, :, 0, 0].float()
    assert spans(found[:, 0] - found[:, 1], 20, 60, 2)
    grey = draw("saturation", flat(90, 90, 90), 20).float()
    assert (grey - 90).abs().max() <= 1  # torchvision rounds down


def test_hue_turns_the_wheel() -> None:
    found = draw("hue", flat(255, 0, 0), 300, strength=0.1)[:, :, 0, 0].float()
    assert (found[:, 0] == 255).all()
    turns = (found[:, 1] - found[:, 2]) / 255 / 6  # from red, green comes in one way and blue the other
    assert spans(turns, -0.1, 0.1, 0.005)


def test_grey_is_the_luma() -> None:
    found = draw("grey", flat(200, 100, 50), 1)[0]
    assert (found == found[:1]).all()
    assert abs(int(found[0, 0, 0]) - (0.299 * 200 + 0.587 * 100 + 0.114 * 50)) <= 1


def test_blur_takes_detail_and_keeps_the_mean() -> None:
    image = noise(32, 32)
    found = draw("blur", image, 100, sigma=3.0).float()
    kept = found.std((1, 2, 3)) / image.float().std()
    assert kept.max() > 0.8  # a narrow Gaussian
    assert kept.min() < 0.2  # white noise under sigma 3 keeps 1 / (2 sqrt(pi) 3) = 0.09
    assert (found.mean((1, 2, 3)) - image.float().mean()).abs().max() < 4


def test_noise_has_its_strength() -> None:
    image = flat(128, 128, 128, size=64)
    found = draw("gaussian_noise", image, 10, strength=0.05).float() - 128
    assert abs(float(found.std()) - 0.05 * 255) < 0.3
    assert abs(float(found.mean())) < 0.2
    assert float(torch.corrcoef(found[0].reshape(3, -1)).fill_diagonal_(0).abs().max()) < 0.08


def test_erasing_paints_a_rectangle_of_its_area() -> None:
    found = draw("erasing", flat(0, 0, 0, size=64), 300, largest=0.3, value=200)
    painted = found[:, 0] == 200
    assert ((found == 0) | (found == 200)).all()
    assert spans(painted.float().mean((1, 2)), 0.02, 0.3, 0.02)
    rows, columns = painted.any(2).sum(1), painted.any(1).sum(1)
    assert torch.equal(rows * columns, painted.sum((1, 2)))


def test_fancy_pca_draws_with_the_training_sets_covariance() -> None:
    known, sigma = statistics(), 0.5
    found = draw("fancy_pca", flat(128, 128, 128), 4000, sigma=sigma).double()
    assert (found == found[:, :, :1, :1]).all()  # one shift an image
    shifts = (found[:, :, 0, 0] - 128) / 255
    values, vectors = np.linalg.eigh(np.array(known.covariance))
    expected = vectors @ np.diag((sigma * values) ** 2) @ vectors.T
    # 4000 draws know a variance to 2%; the uint8 grid adds 1/12 of a level
    np.testing.assert_allclose(torch.cov(shifts.T).numpy(), expected, atol=0.1 * expected.max())
    assert expected.max() * 255**2 > 100 / 12
    along = (shifts @ torch.from_numpy(vectors)).std(0)
    assert along[2] / along[1] > 5  # most of it along the first component


def test_fancy_pca_without_statistics() -> None:
    calls = [AUGMENTS.read_call("fancy_pca")]
    assert needs_statistics(calls)
    assert not needs_statistics([AUGMENTS.read_call("crop")])
    with pytest.raises(ValueError, match="fancy_pca needs the statistics of the training images"):
        build_augment(calls, size=(8, 8))


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
        seen, told = moved[0] > 127, moved_mask > 0
        assert (seen & told).sum() / (seen | told).sum() > 0.9  # the border is drawn by nearest neighbour


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
    calls = [AUGMENTS.read_call({"grey": {"p": 1.0}}), AUGMENTS.read_call({"horizontal_flip": {"p": 1.0}})]
    found = build_augment(calls, size=(32, 32))(image)
    assert torch.equal(found, step("grey", p=1.0)(image).flip(2))
    erase_last = [AUGMENTS.read_call({"erasing": {"p": 1.0, "value": 255}}), AUGMENTS.read_call("brightness")]
    assert 255 in build_augment(erase_last[::-1], size=(32, 32))(image // 4)
    assert build_augment([], size=(32, 32))(image) is image


def test_default_steps() -> None:
    assert [call.op for call in default_calls(["cat", "dog"], (64, 64))] == [
        "horizontal_flip",
        "crop",
        "rotation",
    ]
    assert [call.op for call in default_calls(list("0123456789"), (64, 64))] == ["crop", "rotation"]
    assert default_calls(["cat", "dog"], (224, 160))[1].args["padding"] == 10
    assert default_calls(["cat", "dog"], (8, 8))[1].args["padding"] == 1


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
    assert sides_matter(classes) is expected


def test_flips_of_digits_are_warned_of() -> None:
    flip, crop = AUGMENTS.read_call("horizontal_flip"), AUGMENTS.read_call("crop")
    digits = [str(i) for i in range(10)]
    assert warn_flips(digits, [crop, flip]) == (
        "horizontal_flip mirrors images whose classes look like letters, digits or sides (0, 1, 2, 3, 4, …): "
        "a mirrored one may be another class, or none; leave the flip out unless a mirror changes nothing"
    )
    assert warn_flips(digits, [crop]) is None
    assert warn_flips(["cat", "dog"], [flip]) is None
    assert warn_flips(digits, [AUGMENTS.read_call({"horizontal_flip": {"p": 0.0}})]) is None


def test_settings_tell_nothing_from_an_empty_list() -> None:
    assert AugmentSettings.model_validate({}).calls is None
    assert AugmentSettings.model_validate(None).calls is None
    assert AugmentSettings.model_validate([]).calls == ()
    read = AugmentSettings.model_validate([{"horizontal_flip": {"p": 0.25}}, "grey"])
    assert read.calls == (Call("horizontal_flip", {"p": 0.25}), Call("grey", {"p": 0.1}))
    assert AugmentSettings.model_validate(read.model_dump()) == read


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


def test_the_sheet_shows_the_original_and_eight_draws_of_each() -> None:
    calls = [
        AUGMENTS.read_call({"horizontal_flip": {"p": 0.5}}),
        AUGMENTS.read_call({"erasing": {"value": 200}}),
    ]
    image = noise(18, 24) // 2
    sheet = augment_sheet([image, noise(18, 24, seed=1)], calls, None, seed=3)
    pixels = np.asarray(sheet)
    tiles, top = {}, 4 + 19
    # two steps and all together, for two images; the label of erasing is higher than a tile
    for row, height in enumerate([54, 54, 60, 54, 54, 54]):
        for column in range(9):
            left = 180 + column * (72 + 4)  # enlarged threefold, to 72 pixels
            tiles[row, column] = pixels[top : top + 54 : 3, left : left + 72 : 3].transpose(2, 0, 1)
        top += height + 4
    assert sheet.size == (180 + 9 * 76, top)
    original = image.numpy()
    np.testing.assert_array_equal(tiles[0, 0], original)
    for column in range(1, 9):  # a single step is always applied
        np.testing.assert_array_equal(tiles[0, column], original[:, :, ::-1])
        assert (tiles[2, column] == 200).any()
    erased = [(tiles[4, column] == 200).any() for column in range(1, 9)]
    mirrored = [(tiles[4, column] == original[:, :, ::-1]).mean() > 0.5 for column in range(1, 9)]
    assert 0 < sum(erased) < 8  # all together: each with its own probability
    assert 0 < sum(mirrored) < 8
    images = [image, noise(18, 24, seed=1)]
    assert augment_sheet(images, calls, None, seed=3).tobytes() == sheet.tobytes()
    assert augment_sheet(images, calls, None, seed=4).tobytes() != sheet.tobytes()


def test_the_sheet_leaves_random_numbers_alone_and_needs_no_step() -> None:
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    sheet = augment_sheet([noise(80, 80)], [], None, seed=0)
    assert torch.equal(torch.rand(2), expected)
    assert sheet.size == (180 + 9 * 84, 4 + 19 + 84)
