"""Splits follow from the content of the images."""

from collections import Counter

import pytest
from copies_kit import named_item, named_items, split_by_name

from finetune.data import DataError
from finetune.data.copies import Copies
from finetune.data.cut import cut_splits


def moved(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return [name for name, split in before.items() if name in after and after[name] != split]


@pytest.mark.parametrize("seed", range(5))
def test_an_added_or_removed_image_moves_no_other(seed: int) -> None:
    items = [*named_items(0, 100), *named_items(1, 150)]
    before = split_by_name(items, seed)
    for number in range(20):
        assert moved(before, split_by_name([*items, named_item(f"new{number}", number % 2)], seed)) == []
        assert moved(before, split_by_name(items[:number] + items[number + 1 :], seed)) == []


def test_in_a_class_of_any_size_at_most_one_image_moves_a_part() -> None:
    for seed in range(10):
        items = named_items(0, 3)
        for number in range(40):
            before = split_by_name(items, seed)
            items.append(named_item(f"new{number}"))
            after = split_by_name(items, seed)
            for part in ("test", "val"):
                crossed = [name for name in moved(before, after) if part in (before[name], after[name])]
                assert len(crossed) <= 1, (seed, number)


def test_a_renamed_or_an_added_class_moves_nothing() -> None:
    items = [*named_items(0, 7), *named_items(1, 20), *named_items(2, 50)]
    before = split_by_name(items)
    others = [named_item(item.image.name, 2 - item.stratum) for item in items]  # each class in another place
    assert split_by_name(others[::-1]) == before
    assert moved(before, split_by_name([*items, *named_items(3, 30)])) == []
    renamed = [named_item("renamed/" + item.image.name, item.stratum, item.image.name) for item in items]
    assert {name.removeprefix("renamed/"): split for name, split in split_by_name(renamed).items()} == before


def test_every_class_gets_its_share_of_every_part() -> None:
    sizes = {0: 3, 1: 5, 2: 10, 3: 20, 4: 100, 5: 1000}
    for seed in range(10):
        items = [item for stratum, size in sizes.items() for item in named_items(stratum, size)]
        found = split_by_name(items, seed)
        for stratum, size in sizes.items():
            counts = Counter(split for name, split in found.items() if name.startswith(f"{stratum}/"))
            for part in ("test", "val"):
                assert max(1, int(0.075 * size)) <= counts[part] <= max(1, 0.3 * size)
            assert counts["train"] >= max(1, int(0.35 * size))
    shares = Counter(found.values())
    assert shares["test"] / len(found) == pytest.approx(0.15, abs=0.03)
    assert shares["val"] / len(found) == pytest.approx(0.15, abs=0.03)


def test_the_seed_decides_too() -> None:
    items = named_items(0, 100)
    assert split_by_name(items, 0) == split_by_name(items, 0) != split_by_name(items, 1)


def test_equal_images_are_in_one_part_across_classes() -> None:
    items = [named_item(f"{k}/{i}", k, content=str(i)) for k in range(2) for i in range(40)]
    equal = {item.image.key: [other] for item, other in zip(items, items[40:] + items[:40], strict=True)}
    found = split_by_name(items, copies=Copies(equal=equal))
    assert {found[f"0/{i}"] for i in range(40)} == {"train", "val", "test"}
    assert all(found[f"0/{i}"] == found[f"1/{i}"] for i in range(40))


def test_a_class_without_images_of_its_own_is_cut_too() -> None:
    items = [*named_items(0, 30), *(named_item(f"1/{i}", 1, content=f"0/{i}") for i in range(6))]
    equal = {item.image.key: [other] for item, other in zip(items[:6], items[30:], strict=True)}
    equal |= {item.image.key: [other] for item, other in zip(items[30:], items[:6], strict=True)}
    found = split_by_name(items, copies=Copies(equal=equal))
    for stratum in "01":
        assert {part for name, part in found.items() if name[0] == stratum} == {"train", "val", "test"}


def test_frames_of_one_video_are_divided_one_by_one_and_told() -> None:
    items = [*named_items(0, 60), *named_items(1, 60)]
    near = {items[i].image.key: [items[i + 1]] for i in range(55)}
    shares = {"test": 0.15, "val": 0.15}
    parts, told = cut_splits(items, Copies(near=near), shares, 0, classes=["film", "photos"], where="here")
    assert Counter(item.stratum for item in parts["test"])[0] >= 4
    [sentence] = told
    assert "as frames of one video do (film)" in sentence


def test_too_few_images_are_told() -> None:
    items = [*named_items(0, 9), *named_items(1, 2), named_item("2/0", 2), named_item("2/1", 2, "2/0")]
    equal = {"2/0": [items[-1]], "2/1": [items[-2]]}
    with pytest.raises(DataError, match=r"needs 3 different images or more.* too few in b \(2\), c \(1\)"):
        cut_splits(
            items, Copies(equal=equal), {"test": 0.1, "val": 0.1}, 0, classes=["a", "b", "c"], where="here"
        )
