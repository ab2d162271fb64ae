"""Preprocess: right by Pillow and torch, the same in ONNX Runtime, for every rule, size and batch."""

import io
import warnings
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image

from finetune.transforms.preprocess import Preprocess, Resize

RULES: tuple[Resize, ...] = ("squash", "crop", "pad")
SIZES = [(1, 1), (1, 2), (2, 1), (3, 3), (1, 300), (300, 1), (5, 200), (201, 7), (32, 24), (31, 23), (33, 25)]
SIZES += [(64, 48), (96, 72), (100, 100), (97, 211), (480, 641), (17, 24), (32, 3), (3, 24)]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def photo(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """uint8 (1, height, width, 3): noise, where a misplaced weight shows most."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (1, height, width, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_squash_is_torch_bilinear_with_antialias(height: int, width: int) -> None:
    image = photo(height, width).permute(0, 3, 1, 2)
    expected = F.interpolate(image.double(), size=(32, 24), mode="bilinear", antialias=True)
    found = Preprocess(height=32, width=24).resize(image)
    assert found.shape == (1, 3, 32, 24)
    assert found.dtype == torch.uint8
    assert (found - expected).abs().max() < 0.5 + 0.0015  # nothing but rounding, halves going up


@pytest.mark.parametrize("size", [(40, 60), (32, 24), (10, 9), (300, 200)])
def test_squash_is_near_pillow(size: tuple[int, int]) -> None:
    pixels = photo(*size)
    expected = Image.fromarray(pixels[0].numpy()).resize((24, 32), Image.Resampling.BILINEAR)
    found = Preprocess(height=32, width=24).resize(pixels.permute(0, 3, 1, 2))[0].permute(1, 2, 0).numpy()
    # Pillow rounds between its two passes and we do not: one grey level
    assert np.abs(found.astype(int) - np.asarray(expected)).max() <= 1


def exact_row_weights(length: int, size: int, scale: Fraction) -> list[list[Fraction]]:
    """The definition in rational numbers: a triangle over each output centre, normalised."""
    support = max(Fraction(1), scale)
    table = []
    for i in range(size):
        centre = Fraction(length, 2) + (i + Fraction(1, 2) - Fraction(size, 2)) * scale
        row = [max(Fraction(0), 1 - abs(j + Fraction(1, 2) - centre) / support) for j in range(length)]
        table.append([w / sum(row) for w in row] if sum(row) else row)
    return table


@pytest.mark.parametrize("rule", ["squash", "crop"])
@pytest.mark.parametrize("size", [(7, 5), (5, 13), (1, 9), (29, 11), (11, 11)])
def test_every_pixel_is_the_exact_average(rule: Resize, size: tuple[int, int]) -> None:
    high, wide = size
    image = photo(high, wide)
    down, across = Fraction(high, 9), Fraction(wide, 6)
    if rule == "crop":
        down = across = min(down, across)
    rows = exact_row_weights(high, 9, down)
    columns = exact_row_weights(wide, 6, across)
    found = Preprocess(height=9, width=6, resize=rule).resize(image.permute(0, 3, 1, 2))[0]
    values = image[0].tolist()
    for channel in range(3):
        for i in range(9):
            for j in range(6):
                exact = sum(
                    (
                        rows[i][y] * columns[j][x] * values[y][x][channel]
                        for y in range(high)
                        for x in range(wide)
                        if rows[i][y] and columns[j][x]
                    ),
                    Fraction(0),
                )
                assert abs(exact - int(found[channel, i, j])) <= Fraction(1, 2) + Fraction(2, 1000)


def test_halves_go_up() -> None:
    image = torch.tensor([[10, 11], [20, 21]], dtype=torch.uint8).repeat(1, 3, 1, 1)
    found = Preprocess(height=2, width=1).resize(image)
    assert found[0, :, :, 0].tolist() == [[11, 21]] * 3


def test_an_image_of_the_right_size_is_left_alone() -> None:
    image = photo(32, 24).permute(0, 3, 1, 2)
    for rule in RULES:
        assert torch.equal(Preprocess(height=32, width=24, resize=rule).resize(image), image)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("value", [0, 1, 127, 200, 255])
def test_one_colour_stays_itself(rule: Resize, value: int) -> None:
    image = torch.full((1, 3, 37, 53), value, dtype=torch.uint8)
    found = Preprocess(height=32, width=24, resize=rule).resize(image)
    assert set(found.unique().tolist()) <= ({value, 0} if rule == "pad" else {value})


def test_crop_keeps_the_middle_and_the_shape() -> None:
    image = torch.zeros(1, 3, 20, 60, dtype=torch.uint8)
    image[..., :20], image[..., 20:40], image[..., 40:] = 50, 100, 150
    found = Preprocess(height=20, width=20, resize="crop").resize(image)
    assert torch.equal(found, torch.full_like(found, 100))
    tall = Preprocess(height=20, width=20, resize="crop").resize(image.transpose(2, 3))
    assert torch.equal(tall, found)
    # a 2:1 target takes a 2:1 part
    wide = Preprocess(height=10, width=20, resize="crop").resize(image)
    assert wide[0, 0, 5].tolist()[0] == 50
    assert wide[0, 0, 5].tolist()[10] == 100
    assert wide[0, 0, 5].tolist()[-1] == 150


def test_crop_agrees_with_resizing_then_cropping() -> None:
    image = photo(120, 200).permute(0, 3, 1, 2)
    shorter = F.interpolate(image.double(), size=(24, 40), mode="bilinear", antialias=True)
    found = Preprocess(height=24, width=24, resize="crop").resize(image)
    assert (found - shorter[..., 8:32]).abs().max() < 0.5 + 0.0015


def test_pad_shows_everything_centred_on_black() -> None:
    image = photo(30, 60).permute(0, 3, 1, 2) // 2 + 100
    found = Preprocess(height=40, width=40, resize="pad").resize(image)
    inner = F.interpolate(image.double(), size=(20, 40), mode="bilinear", antialias=True)
    assert found[:, :, :10].max() == 0
    assert found[:, :, 30:].max() == 0
    assert (found[:, :, 10:30] - inner).abs().max() < 0.5 + 0.0015
    turned = Preprocess(height=40, width=40, resize="pad").resize(image.transpose(2, 3))
    assert torch.equal(turned, found.transpose(2, 3))


@pytest.mark.parametrize("shape", [(1, 4000), (4000, 1), (1, 64), (2, 999)])
@pytest.mark.parametrize("size", [(32, 24), (31, 23)])
def test_pad_never_loses_the_thinnest_image(shape: tuple[int, int], size: tuple[int, int]) -> None:
    image = torch.full((1, 3, *shape), 200, dtype=torch.uint8)
    found = Preprocess(height=size[0], width=size[1], resize="pad").resize(image)
    assert (found == 200).float().mean() >= 1 / 32
    assert torch.equal(found, found.flip(2))  # centred
    assert torch.equal(found, found.flip(3))


@pytest.mark.parametrize("rule", RULES)
def test_mirrored_images_give_mirrored_pixels(rule: Resize) -> None:
    image = photo(45, 77).permute(0, 3, 1, 2)
    preprocess = Preprocess(height=32, width=24, resize=rule)
    found = preprocess.resize(image)
    assert torch.equal(preprocess.resize(image.flip(2)), found.flip(2))
    assert torch.equal(preprocess.resize(image.flip(3)), found.flip(3))


def test_grey_is_pillows() -> None:
    image = photo(40, 50)
    grey = np.asarray(Image.fromarray(image[0].numpy()).convert("L"))
    found = Preprocess(height=40, width=50, channels=1, mean=[0.0], std=[1.0])(image)
    assert found.shape == (1, 1, 40, 50)
    np.testing.assert_array_equal(np.rint(found[0, 0].numpy() * 255), grey)


def test_normalise_by_channel_and_by_mean_image() -> None:
    image = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(1, 3, 1, 1).expand(2, 3, 4, 5)
    found = Preprocess(height=4, width=5, mean=MEAN, std=STD).normalise(image)
    expected = [(v - m) / s for v, m, s in zip((0.0, 0.2, 1.0), MEAN, STD, strict=True)]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found[1, :, 2, 3], torch.tensor(expected))
    mean_image = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(0))
    found = Preprocess(height=4, width=5, mean=mean_image, std=[1.0] * 3).normalise(image)
    torch.testing.assert_close(found, image / 255 - mean_image)
    assert Preprocess(height=4, width=5).normalise(image).aminmax() == (-1.0, 1.0)


def test_both_orders_of_dimensions() -> None:
    image = photo(37, 53)
    preprocess = Preprocess(height=32, width=24, mean=MEAN, std=STD)
    assert torch.equal(preprocess(image), preprocess(image.permute(0, 3, 1, 2)))
    assert torch.equal(preprocess(image), preprocess.normalise(preprocess.resize(image.permute(0, 3, 1, 2))))


def test_a_batch_gives_what_each_image_gives() -> None:
    images = torch.cat([photo(75, 49, seed) for seed in range(5)])
    preprocess = Preprocess(height=32, width=24, resize="crop")
    assert torch.equal(preprocess(images), torch.cat([preprocess(image[None]) for image in images]))


def test_mixed_precision_around_it_changes_nothing() -> None:
    image = photo(75, 49)
    preprocess = Preprocess(height=32, width=24, mean=MEAN, std=STD)
    expected = preprocess(image)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = preprocess(image)
    assert torch.equal(found, expected)


def test_nothing_of_it_is_saved_with_a_network() -> None:
    assert Preprocess(height=4, width=5).state_dict() == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 4}, "channels: found 4; expected 1"),
        ({"mean": [0.5]}, r"mean: found shape \(1,\); expected one number per channel, 3"),
        ({"std": [1.0, 0.0, 1.0]}, r"std: found \[1\.0, 0\.0, 1\.0\]; expected positive"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Preprocess(height=4, width=5, **arguments)


def export(preprocess: Preprocess) -> onnxruntime.InferenceSession:
    """The module as an ONNX session: NHWC in, with batch, height and width dynamic."""
    buffer = io.BytesIO()
    dynamic = torch.export.Dim.DYNAMIC
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        program = torch.onnx.export(
            preprocess,
            (photo(37, 53).repeat(2, 1, 1, 1),),
            dynamo=True,
            verbose=False,
            input_names=["image"],
            dynamic_shapes=({0: dynamic, 1: dynamic, 2: dynamic},),
        )
    assert program is not None
    program.save(buffer)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    return onnxruntime.InferenceSession(buffer.getvalue(), options, providers=["CPUExecutionProvider"])


VARIANTS: dict[str, dict[str, Any]] = {
    "squash": {"height": 32, "width": 24, "mean": MEAN, "std": STD},
    "crop": {"height": 32, "width": 24, "resize": "crop"},
    "pad to grey": {"height": 32, "width": 24, "channels": 1, "resize": "pad"},
}


@pytest.fixture(scope="module", params=VARIANTS)
def exported(request: pytest.FixtureRequest) -> Iterator[tuple[Preprocess, onnxruntime.InferenceSession]]:
    preprocess = Preprocess(**VARIANTS[request.param])
    yield preprocess, export(preprocess)


@pytest.mark.parametrize("batch", [1, 3])
def test_onnx_gives_the_same_pixels(
    exported: tuple[Preprocess, onnxruntime.InferenceSession], batch: int
) -> None:
    preprocess, session = exported
    for height, width in SIZES:
        images = torch.cat([photo(height, width, seed) for seed in range(batch)])
        found = run(session, images)
        expected = preprocess(images).numpy()
        assert (
            found.shape == expected.shape == (batch, preprocess.channels, preprocess.height, preprocess.width)
        )
        # one grey level is 4e-3 at least after normalising: this allows none, only float32's last bits
        np.testing.assert_allclose(found, expected, atol=2e-6, rtol=0, err_msg=f"{height}x{width}")


def test_onnx_holds_at_thousands_of_pixels(
    exported: tuple[Preprocess, onnxruntime.InferenceSession],
) -> None:
    preprocess, session = exported
    for height, width in [(1999, 1501), (3, 6007), (6007, 3)]:
        image = photo(height, width)
        np.testing.assert_allclose(run(session, image), preprocess(image).numpy(), atol=2e-6, rtol=0)


def run(session: onnxruntime.InferenceSession, images: torch.Tensor) -> NDArray[np.float32]:
    (found,) = session.run(None, {"image": images.numpy()})
    assert isinstance(found, np.ndarray)
    return found


@pytest.mark.parametrize("rule", ["squash", "crop", "pad"])
@pytest.mark.parametrize("size", [(90, 61), (5, 400), (400, 5)])
def test_large_images_in_strips_are_the_same(
    rule: Resize, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    preprocess = Preprocess(height=24, width=20, resize=rule)
    image = torch.randint(
        0, 256, (2, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    whole = preprocess.resize(image)
    monkeypatch.setattr("finetune.transforms.preprocess.STRIP_PIXELS", 700)
    assert torch.equal(preprocess.resize(image), whole)
