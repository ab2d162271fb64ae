"""What the frozen network makes of the training images: the numbers that a plan is chosen by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from finetune.estimate import Estimate, gain
from finetune.feature_cache import FeatureCache, default_folder
from finetune.features import Features, extract_features, feature_key
from finetune.probe import Probe, fit_probe
from finetune.setup import Setup
from finetune.stage_select import tap_blocks
from finetune.taps import HEAD


@dataclass(frozen=True)
class Evidence:
    """Size and similarity of the data, as numbers (`numbers`) and in words (`reasons`)."""

    images_a_class: float
    similar: bool
    numbers: Mapping[str, object]
    reasons: tuple[str, ...]


def measure_evidence(setup: Setup) -> Evidence:
    """One frozen pass over the training images, and what it tells of size and similarity."""
    sizes, stated = count_images(setup), setup.data.similarity
    median = setup.splits.train.median(len(setup.classes))
    size = f"{sizes['images']} training images, {median:g} in the median class"
    if stated != "auto":
        return Evidence(median, stated == "similar", sizes, (size, f"data.similarity says {stated}"))
    likeness = measure_likeness(stage_probes(setup, network_features(setup)))
    return Evidence(median, likeness.similar, sizes | likeness.numbers(), (size, *likeness.words()))


@dataclass(frozen=True)
class Likeness:
    """How well the top stage separates the classes, against the earlier stage that does so best.

    `accuracies` are those of linear probes by cross-validation, HEAD being what the head is given; `ahead` is
    that one's gain over the best earlier stage (`rival`), image by image.
    """

    accuracies: Mapping[str, Estimate]
    rival: str
    ahead: Estimate

    @property
    def similar(self) -> bool:
        """No earlier stage tells the classes apart better than the top, by more than a standard error.

        A first rule: features of the last stages are the most particular to what a network was trained on, so
        on other images they fall behind (Yosinski et al. 2014, arXiv:1411.1792).
        """
        return self.ahead.value >= -self.ahead.error

    def numbers(self) -> dict[str, object]:
        """For plan.json."""
        return {
            "probe_accuracy": {name: each.value for name, each in self.accuracies.items()},
            "probe_error": {name: each.error for name, each in self.accuracies.items()},
            "top_over_best_earlier": self.ahead.value,
            "top_over_best_earlier_error": self.ahead.error,
        }

    def words(self) -> tuple[str, str]:
        """What was measured, and the rule."""
        top, rival = self.accuracies[HEAD], self.accuracies[self.rival]
        verdict = "similar: no" if self.similar else "different: an"
        return (
            f"a linear classifier on the top stage is right on {top} of images left out, on {self.rival} "
            f"on {rival}; the top is ahead by {self.ahead.value:+.3f} ± {self.ahead.error:.3f}",
            f"{verdict} earlier stage tells the classes apart better by more than a standard error",
        )


def measure_likeness(probes: Mapping[str, Probe]) -> Likeness:
    """Compare the probe of what the head is given (HEAD) with those of the stages before it."""
    top = probes[HEAD]
    earlier = {name: probe for name, probe in probes.items() if name != HEAD} or {HEAD: top}
    rival = max(earlier, key=lambda stage: earlier[stage].accuracy.value)
    accuracies = {name: probe.accuracy for name, probe in probes.items()}
    return Likeness(accuracies, rival, gain(top.hits, earlier[rival].hits))


def stage_probes(setup: Setup, features: Features) -> dict[str, Probe]:
    """A linear probe of every stage, and of what the head is given (HEAD), on the same folds."""
    blocks = tap_blocks(features)
    classes, seed = len(setup.classes), setup.settings.seed
    targets = setup.splits.train.targets
    return {name: fit_probe(block, targets, classes=classes, seed=seed) for name, block in blocks.items()}


def network_features(setup: Setup) -> Features:
    """Features of the training images, not augmented: one frozen pass, and none for images that are known."""
    train = replace(setup.train, augment=None)
    folder = setup.settings.cache
    cache = FeatureCache(
        feature_key(setup.net, setup.anatomy.head, setup.preprocess),
        Path(folder).expanduser() if folder else default_folder(),
    )
    return extract_features(
        setup.net,
        train,
        setup.preprocess,
        head=setup.anatomy.head,
        stages=setup.anatomy.stages,
        cache=cache,
        digests=[image.digest() for image in setup.splits.train.images],
    )


def count_images(setup: Setup) -> dict[str, object]:
    """How many training images there are: in all, in the smallest class, in the median class."""
    classes = len(setup.classes)
    train = setup.splits.train
    return {
        "images": len(train),
        "smallest_class": min(train.counts(classes)),
        "median_class": train.median(classes),
    }
