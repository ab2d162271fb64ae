"""The techniques that `make bench-recipe` compares: what each writes into a spec that has nothing else."""

from __future__ import annotations

from collections.abc import Mapping

NOTHING = "nothing: SGD with momentum at a constant rate"
DEFAULT = "**the default recipe**"
Overrides = Mapping[str, object]

BARE: Overrides = {
    "augment": [],
    "finetune.optimizer": {"sgd": {"momentum": 0.9, "nesterov": False}},
    "finetune.schedule": "constant",
    "finetune.warm_up": "none",
    "finetune.clip": "none",
    "finetune.weight_decay": 0.0,
    "finetune.label_smoothing": 0.0,
}


def _with(*steps: object, **settings: object) -> Overrides:
    """Nothing, and these augmentation steps and keys of `finetune`."""
    return {**BARE, "augment": list(steps), **{f"finetune.{key}": value for key, value in settings.items()}}


TECHNIQUES: Mapping[str, Overrides] = {
    NOTHING: BARE,
    "Nesterov momentum": _with(optimizer="sgd"),
    "AdamW, rate 0.001": _with(optimizer="adamw", learning_rate=1e-3),
    "warm-up, 5%": _with(warm_up={"fraction": 0.05}),
    "cosine schedule": _with(schedule="cosine"),
    "clipping by norm 1": _with(clip={"norm": 1.0}),
    "weight decay 1e-3": _with(weight_decay=1e-3),
    "L1, 1e-5": _with(l1=1e-5),
    "label smoothing 0.1": _with(label_smoothing=0.1),
    "moving average of the weights": _with(ema={"decay": 0.99}),
    "noise on inputs, 0.1": _with(input_noise=0.1),
    "mixup 0.2": _with(mixup=0.2),
    "cutmix 1.0": _with(cutmix=1.0),
    "horizontal flip": _with("horizontal_flip"),
    "crop, padding 2": _with({"crop": {"padding": 2}}),
    "rotation, 10 degrees": _with({"rotation": {"degrees": 10.0}}),
    "erasing": _with("erasing"),
    "TrivialAugment": _with("trivial_augment"),
    "snapshots of 3 cosine cycles": _with(
        schedule={"cosine_restarts": {"cycles": 3}}, ensemble={"snapshots": 3}
    ),
    "flip at test time": _with(test_time="flip"),
    DEFAULT: {},
}

MORE: Mapping[str, Overrides] = {
    "one cycle": _with(schedule="one_cycle"),
    "noise on weights, 0.02": _with(weight_noise=0.02),
    "adversarial training": _with(adversarial={"fgsm": {}}),
    "random resized crop, 0.5": _with({"random_resized_crop": {"smallest": 0.5}}),
    "brightness and contrast": _with("brightness", "contrast"),
    "Fancy PCA": _with("fancy_pca"),
    "progressive resizing": _with(progressive_resizing={}),
    "soup of the 3 best epochs": _with(ensemble={"soup": 3}),
    "ten crops at test time": _with(test_time="ten_crop"),
    "less the mean image": {**BARE, "data.normalise": "mean_image"},
    "the default recipe and a moving average": {"finetune.ema": {"decay": 0.99}},
    "the default recipe without label smoothing": {"finetune.label_smoothing": 0.0},
}
"""What `--all` adds: as much work again."""
