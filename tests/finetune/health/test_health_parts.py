"""Odd looks, classes of different sizes, and images unlike all others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from copies_kit import named_items

from finetune.data.look import look_at
from finetune.data.source import Item
from finetune.features.extract import Features
from finetune.health.learned import find_by_features, find_outliers
from finetune.health.looks import find_imbalance, find_odd_looks
from finetune.runtime.precision import EXACT

RNG = np.random.default_rng(0)


def looking(item: Item, height: int = 64, width: int = 64, low: int = 0, high: int = 256) -> Item:
    pixels = RNG.integers(low, high, (height // 8, width // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    return replace(item, look=look_at(pixels))


def test_few_odd_images_are_told_and_many_are_not() -> None:
    items = [looking(item) for item in named_items(0, 60)]
    items[3] = looking(items[3], low=0, high=9)
    items[5] = looking(items[5], low=247)
    items[7] = looking(items[7], height=16)
    items[9] = looking(items[9], width=640)
    found = {(each.image, each.detail.partition(":")[0]) for each in find_odd_looks(items, ["a"])}
    assert {("0/3", "nearly black"), ("0/5", "nearly white"), ("0/7", "small"), ("0/9", "long")} <= found
    assert {name for name, _ in found} == {"0/3", "0/5", "0/7", "0/9"}
    small = [looking(item, height=16, width=16) for item in items]
    assert list(find_odd_looks(small, ["a"])) == []


def test_classes_of_different_sizes_are_told() -> None:
    items = [*named_items(0, 100), *named_items(1, 12), *named_items(2, 90)]
    found = list(find_imbalance(items, ["a", "b", "c"]))
    assert [each.detail for each in found] == ["a has 100 images, b has 12: 8 times fewer", "only 12 images"]
    assert list(find_imbalance(items[:100] + items[112:], ["a", "b", "c"])) == []


def test_an_image_unlike_all_others_is_told() -> None:
    features = RNG.normal([5.0, 0, 0, 0], 0.3, (200, 4)).astype(np.float32)
    features[17] = [-5, 3, 0, 1]
    found = list(find_outliers(named_items(0, 200), features, ["a"]))
    assert found[0].image == "0/17" and len(found) < 10
    assert list(find_outliers(named_items(0, 3), features[:3], ["a"])) == []


def test_many_images_are_checked_in_parts() -> None:
    items = [*named_items(0, 60), *named_items(1, 60), *named_items(0, 1, prefix="wrong")]
    head = RNG.normal(0, 0.3, (121, 4)).astype(np.float32) + 3
    head[60:, 0] -= 6  # the last image is labelled 0 and looks like those of 1
    head[7] = [9, -9, -9, 0]
    features = Features({"low": head}, head, {}, EXACT, computed=121, seconds=0.0)
    for most in (121, 40):
        found = {(each.kind, each.image) for each in find_by_features(items, features, ["a", "b"], 0, most)}
        assert {("outlier", "0/7"), ("label", "wrong/0")} <= found
        assert len(found) < 12
