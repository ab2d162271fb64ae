"""Plans as files, and the table they come from."""

import pytest
from rich.console import Console

from finetune.planning.table import QUITE_A_LOT, TABLE, draw_table, find_cell
from finetune.records.plan import SIMILARITIES, SIZES
from finetune.strategies import STRATEGIES, find_strategy
from zoo.errors import GraftError

STAGES = (("layer1",), ("layer2.0", "layer2.1"), ("layer3",))


def test_every_cell_names_a_strategy() -> None:
    assert {(size, similarity) for size in SIZES for similarity in SIMILARITIES} == set(TABLE)
    assert set(TABLE.values()) <= set(STRATEGIES)


def test_cells_follow_size_and_similarity() -> None:
    assert find_cell(QUITE_A_LOT - 1, similar=True) == (SIZES[0], SIMILARITIES[0])
    assert find_cell(QUITE_A_LOT, similar=False) == (SIZES[1], SIMILARITIES[1])


@pytest.mark.parametrize(
    ("name", "trains"),
    [
        ("linear_probe", ("fc",)),
        ("partial", ("layer2.0", "layer2.1", "layer3", "fc")),
        ("full", ("",)),
        ("scratch", ("",)),
    ],
)
def test_strategies_name_what_trains(name: str, trains: tuple[str, ...]) -> None:
    assert find_strategy(name).trains("fc", STAGES, 2) == trains


def test_partial_is_never_deeper_than_the_network() -> None:
    assert find_strategy("partial").trains("fc", STAGES, 9) == (
        "layer1",
        "layer2.0",
        "layer2.1",
        "layer3",
        "fc",
    )


def test_an_unknown_strategy_is_named_with_what_there_is() -> None:
    with pytest.raises(GraftError, match="'probing' is unknown; expected one of: linear_probe"):
        find_strategy("probing")


def test_the_table_marks_one_cell() -> None:
    console = Console(width=100, record=True, file=None)
    with console.capture() as captured:
        console.print(draw_table((SIZES[1], SIMILARITIES[0]), "partial"))
    marked = [line for line in captured.get().splitlines() if "▶" in line]
    assert len(marked) == 1
    assert "partial" in marked[0]
