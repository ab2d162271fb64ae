"""Steps that move pixels do what they say, by as much as they say."""

import math

import torch
from augment_kit import draw, find_spots, noise, spans, spot, step

from finetune.transforms.custom import smooth_noise


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
