"""Pictures: everything stands on the page, nothing stands on anything else, and every wire is drawn once."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest

import zoo
import zoo.__main__ as command
from zoo.describe import Description, describe
from zoo.errors import GraftError
from zoo.picture import draw, lay_out, write_picture
from zoo.picture.boxes import MOST_BOXES, boxes_of
from zoo.picture.columns import columns_of
from zoo.picture.geometry import Rect

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "images" / "resnet18.svg"
SVG = "{http://www.w3.org/2000/svg}"
NAMES = [
    "lenet5", "alexnet_2012", "vgg16", "resnet18", "resnet34", "resnet152", "densenet121", "densenet201",
    "fcn8s", "fcn_resnet50", "specs/examples/unet.yaml", "specs/examples/mobilenet_small.yaml",
]  # fmt: skip


@cache
def described(name: str) -> Description:
    return describe(zoo.read_spec(ROOT / name if name.endswith(".yaml") else name))


@cache
def parsed(name: str) -> ElementTree.Element:
    return ElementTree.fromstring(draw(described(name)))


def overlap(one: Rect, two: Rect) -> bool:
    return one.x < two.right and two.x < one.right and one.y < two.bottom and two.y < one.bottom


@pytest.mark.parametrize("name", NAMES)
def test_boxes_stand_apart_on_the_page_and_within_their_frames(name: str) -> None:
    layout = lay_out(described(name))
    rects, svg = layout.geometry.boxes, parsed(name)
    page = Rect(0, 0, float(svg.attrib["width"]), float(svg.attrib["height"]))
    boxes = [box for column in layout.columns for box in column]
    assert set(rects) == {box.id for box in boxes}
    assert not [pair for pair in combinations(rects, 2) if overlap(rects[pair[0]], rects[pair[1]])]
    assert all(
        rect.x > 0 and rect.right < page.right and rect.bottom < page.bottom for rect in rects.values()
    )
    for frame in layout.geometry.frames:
        column = next(
            c for c in layout.geometry.columns if c.x <= frame.rect.x and frame.rect.right <= c.right
        )
        held = [
            rects[box.id]
            for box in boxes
            if box.path.startswith(f"{frame.path}.") and overlap(rects[box.id], column)
        ]
        assert held
        assert all(frame.rect.x < r.x and r.right < frame.rect.right for r in held), frame.path
        assert all(frame.rect.y < r.y and r.bottom < frame.rect.bottom for r in held), frame.path


@pytest.mark.parametrize("name", NAMES)
def test_every_wire_is_drawn_once_from_box_to_box(name: str) -> None:
    layout = lay_out(described(name))
    boxes = [box for column in layout.columns for box in column]
    routes = list(layout.wires.routes(layout.geometry))
    assert len(routes) == sum(len(box.sources) for box in boxes) == len(layout.wires.pairs)
    for (_, target), route in zip(layout.wires.pairs, routes, strict=True):
        x, y = route.points[-1]
        rect = layout.geometry.boxes[target]
        assert rect.x - 0.1 <= x <= rect.right + 0.1
        assert rect.y - 0.1 <= y <= rect.bottom + 0.1
    drawn = [path for path in parsed(name).iter(f"{SVG}path") if "marker-end" in path.attrib]
    assert len(drawn) == len(routes)


@pytest.mark.parametrize("name", NAMES)
def test_values_go_down_the_page(name: str) -> None:
    layout = lay_out(described(name))
    places = layout.wires.places
    for source, target in layout.wires.pairs:
        one, two = places[source], places[target]
        assert (one.column, one.row) < (two.column, two.row)
    assert len(set(places.values())) == len(places)


@pytest.mark.parametrize("name", NAMES)
def test_picture_fits_a_page_and_its_words_their_boxes(name: str) -> None:
    svg = parsed(name)
    assert 0.5 < float(svg.attrib["width"]) / float(svg.attrib["height"]) < 2.5
    assert len(boxes_of(described(name))) <= MOST_BOXES + 1
    for group in svg.iter(f"{SVG}g"):
        rect = group.find(f"{SVG}rect")
        assert rect is not None
        texts = [text.text or "" for text in group.iter(f"{SVG}text")]
        assert texts
        assert sum(5.2 * len(text) for text in texts) + 10 < float(rect.attrib["width"])


def test_resnet18_is_drawn_layer_by_layer() -> None:
    svg = parsed("resnet18")
    hints = [title.text or "" for group in svg.iter(f"{SVG}g") for title in group.iter(f"{SVG}title")]
    layers = [row for row in described("resnet18").layers if row.kind != "projection"]
    assert [hint.partition(":")[0] for hint in hints] == ["image", *(row.path for row in layers)]
    skips = [path for path in svg.iter(f"{SVG}path") if path.attrib.get("marker-end") == "url(#skip)"]
    assert len(skips) == 8  # a block
    shapes = {text.text for text in svg.iter(f"{SVG}text") if text.attrib.get("class") == "shape"}
    assert {"3x224x224", "64x56x56", "128x28x28", "256x14x14", "512x7x7", "512x1x1", "512"} <= shapes
    frames = [text.text for text in svg.iter(f"{SVG}text") if text.attrib.get("class") == "frame"]
    assert [f"layer{i}" for i in (1, 2, 3, 4)] == [path for path in frames if path and "." not in path]
    assert [f"layer{i}.{j}" for i in (1, 2, 3, 4) for j in (0, 1)] == [
        path for path in frames if path and "." in path
    ]


def test_branches_stand_side_by_side() -> None:
    layout = lay_out(described("resnet18"))
    rects = layout.geometry.boxes
    assert rects["layer2.0.downsample.0"].x > rects["layer2.0.conv2"].right
    assert rects["layer2.0.downsample.1"].y == rects["layer2.0.bn2"].y


def test_values_for_a_later_part_pass_above_the_columns() -> None:
    layout = lay_out(described("specs/examples/unet.yaml"))
    far = [
        route
        for (source, target), route in zip(
            layout.wires.pairs, layout.wires.routes(layout.geometry), strict=True
        )
        if layout.wires.places[target].column - layout.wires.places[source].column > 1
    ]
    assert far
    top = min(column.y for column in layout.geometry.columns)
    assert all(route.kind == "tap" and min(y for _, y in route.points) < top for route in far)


def test_blocks_are_drawn_where_layers_would_be_too_many() -> None:
    boxes = {box.path: box for box in boxes_of(described("resnet152"))}
    block = boxes["layer2.0"]
    assert (block.family, block.name) == ("block", "layer2.0")
    assert block.words == "conv 1x1 128, 3x3 128, 1x1 512, 1x1 512, +"
    assert block.output == (512, 28, 28)
    assert block.sources == (boxes["layer1.2"].id,)


@pytest.mark.parametrize("length", [1, 2, 7, 30])
def test_columns_keep_every_box_in_order(length: int) -> None:
    box = boxes_of(described("lenet5"))[1]
    boxes = [replace(box, id=str(i), path=f"block{i // 8}.conv{i}", part="stage") for i in range(length)]
    for count in range(1, 13):
        columns = columns_of(boxes, ["stage"], count)
        assert [box for column in columns for box in column] == boxes
        assert all(columns)


def test_layers_of_which_no_settings_are_known_are_drawn() -> None:
    description = described("lenet5")
    layers = tuple(replace(row, arguments=()) if row.family == "pool" else row for row in description.layers)
    assert ">avg_pool</text>" in draw(replace(description, layers=layers))


def test_picture_of_another_librarys_network(tmp_path: Path) -> None:
    file = tmp_path / "net.yaml"
    file.write_text("model: {torchvision: squeezenet1_1}\nclasses: 10\n")
    svg = ElementTree.fromstring(draw(describe(zoo.read_spec(file))))
    words = [text.text for text in svg.iter(f"{SVG}text")]
    assert words.count("concat") == 8  # a fire module


def test_picture_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(GraftError, match=r"out\.svg: the picture cannot be written: No such file"):
        write_picture("<svg/>", tmp_path / "missing" / "out.svg")


def test_the_command_writes_the_picture_of_the_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "out.svg"
    monkeypatch.setattr(sys, "argv", ["zoo", "describe", "resnet18", "--graph", str(file)])
    with pytest.raises(SystemExit) as caught:
        command.main()
    assert not caught.value.code
    assert "11,689,512 parameters" in capsys.readouterr().out
    assert file.read_text() == PICTURE.read_text()
