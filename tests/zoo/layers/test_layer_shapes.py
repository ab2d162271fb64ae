"""The declared output shape of every layer is that of what its module computes; parameters are counted."""

from __future__ import annotations

import pytest
import torch
from nets import LAYERS, make

from zoo.layers.shape import ShapeError
from zoo.registry import DROPS, NORMS

WINDOWS = [
    (name, {"kernel": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil})
    for name, kernel in (("max_pool", 3), ("avg_pool", 2))
    for stride in (1, 2, 3, 4)
    for padding in (0, 1)
    for ceil in (False, True)
]
SHAPED: list[tuple[str, dict[str, object]]] = [
    ("conv", {"out": 4, "kernel": 3}),
    ("conv", {"out": 4, "kernel": 3, "groups": 2, "bias": False}),
    ("depthwise_conv", {"kernel": 3, "bias": False}),
    ("conv_transpose", {"out": 4, "kernel": 2, "groups": 2, "bias": False}),
    *[(name, {"affine": False}) for name in ("batch_norm", "group_norm", "layer_norm", "instance_norm")],
    ("conv", {"out": 4, "kernel": (3, 5), "stride": (2, 3), "padding": (1, 0), "dilation": (2, 1)}),
    ("depthwise_conv", {"kernel": 3, "stride": 2, "multiplier": 2}),
    ("conv_transpose", {"out": 4, "kernel": (2, 3), "stride": 2, "padding": 1, "output_padding": (1, 0)}),
    ("conv_transpose", {"out": 4, "kernel": 3, "stride": 3, "dilation": 2, "output_padding": 2}),
    *WINDOWS,
    ("max_pool", {"kernel": 3, "dilation": 2, "ceil_mode": True}),
    ("adaptive_avg_pool", {"size": (3, 2)}),
    ("adaptive_max_pool", {"size": 2}),
    ("flatten", {}),
    ("upsample", {"scale": 1.7}),
    ("upsample", {"scale": 0.4, "mode": "nearest"}),
    ("upsample", {"size": (5, 3), "mode": "bicubic"}),
    ("pad", {"size": (1, 2, 3, 0)}),
    ("pad", {"size": 2, "mode": "reflect"}),
    ("pad", {"size": (0, 3, 1, 0), "mode": "replicate"}),
    ("pad_to_multiple", {"multiple": 4}),
    ("pad_shortcut", {"out": 5, "stride": 2}),
    ("pad_shortcut", {"out": 2, "stride": 3}),
    ("pad_shortcut", {"out": 7, "sides": "both"}),
    ("maxout", {}),
    *[(name, {}) for name in LAYERS if name in NORMS or name in DROPS],
]


@pytest.mark.parametrize(("name", "given"), SHAPED)
def test_declared_shape_and_parameters_are_those_of_the_module(name: str, given: dict[str, object]) -> None:
    for size in ((9, 9), (10, 13), (12, 11), (7, 16)):
        shape = (2, *size)
        module, layer = make(name, shape, **given), LAYERS[name].function(shape, **given)
        assert layer.output == tuple(module(torch.zeros(1, *shape)).shape[1:])
        assert layer.parameters == sum(parameter.numel() for parameter in module.parameters())


JOINED = [
    ("concat", [(2, 4, 5), (3, 4, 5)]),
    ("add", [(2, 4, 5), (2, 4, 5), (2, 4, 5)]),
    ("multiply", [(2, 1, 1), (2, 4, 5)]),
    ("multiply", [(2, 4, 5), (1, 4, 1)]),
    ("resize_to", [(2, 4, 5), (3, 7, 6)]),
    ("crop_to", [(2, 8, 9), (3, 7, 6)]),
    ("auxiliary", [(2, 4, 5), (3, 7, 6)]),
    ("linear", [(7,)]),
]


@pytest.mark.parametrize(("name", "shapes"), JOINED)
def test_declared_shape_of_several_inputs(name: str, shapes: list[tuple[int, ...]]) -> None:
    given = {"out": 3} if name == "linear" else {}
    module, layer = make(name, *shapes, **given), LAYERS[name].function(*shapes, **given)
    assert layer.output == tuple(module(*(torch.zeros(1, *shape) for shape in shapes)).shape[1:])
    assert layer.parameters == sum(parameter.numel() for parameter in module.parameters())


def test_multiply_needs_inputs_that_broadcast() -> None:
    for shapes in ([(2, 4, 5), (3, 4, 5)], [(5,), (2, 4, 5)]):
        with pytest.raises(ShapeError, match="broadcast"):
            LAYERS["multiply"].function(*shapes)


def test_output_padding_is_smaller_than_stride_or_dilation() -> None:
    with pytest.raises(ShapeError, match="output_padding 2"):
        LAYERS["conv_transpose"].function((2, 4, 4), out=2, kernel=3, stride=2, output_padding=2)
