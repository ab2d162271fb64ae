"""report.html: complete, safe against names of strangers, and quiet: no request leaves it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finetune.calibration.calibrate import calibrate
from finetune.data.thumbnail import embed_image
from finetune.experiment.recipe import load_data, read_recipe
from finetune.experiment.setup import prepare
from finetune.fit.execute import Trained
from finetune.health.finding import Finding
from finetune.health.run import write_health
from finetune.records.evidence import Evidence
from finetune.records.metrics_log import EpochRecord, write_records
from finetune.records.plan import Plan
from finetune.records.report import BrokenFile, Report
from finetune.records.run_folder import RunFolder
from finetune.records.training import GradientTraining
from finetune.report.page.sentences import describe_run
from finetune.report.page.write import write_page
from finetune.report.report import make_report
from finetune.report.tested import evaluate_network
from finetune.runtime.precision import EXACT

HOSTILE = "<img src=x onerror=alert(1)>"
CLASSES = {HOSTILE: (200, 60, 40), "leaf": (40, 160, 60), "sea": (60, 90, 180)}
SPEC = """
name: small
input: {channels: 3, height: 16, width: 16}
classes: 3
head: fc
stages: [conv1, conv2]
layers:
  conv1: {conv: {out: 6, kernel: 3, padding: 1}}
  act: relu
  conv2: {conv: {out: 8, kernel: 3, stride: 2}}
  pool: {adaptive_avg_pool: {size: 1}}
  flatten: flatten
  fc: {linear: {out: $classes}}
data: {val: 0.3, test: 0.4}
finetune: {precision: float32, strategy: scratch, weights: none}
"""
PLAN = Plan("scratch", ("",), "fresh", 2, 8, 0.1, EXACT, None, ("a <b>reason</b>",), Evidence(12, 4, 4.0))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Report, Path]:
    """The page of a network that was never trained, and makes many errors."""
    root, generator = tmp_path_factory.mktemp("page"), np.random.default_rng(0)
    for name, colour in CLASSES.items():
        (root / "data" / name).mkdir(parents=True)
        for number in range(14):
            pixels = np.clip(np.array(colour) + generator.normal(0, 40, (90, 140, 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(root / "data" / name / f"{number}.jpg")
    (root / "spec.yaml").write_text(SPEC)
    recipe = read_recipe(root / "spec.yaml", str(root / "data"), {})
    setup, folder = prepare(recipe, load_data(recipe)), RunFolder(root / "run")
    write_records(folder.log, [EpochRecord(n, n, 1 / n, 0.1, 9.0, 1 / n, 0.5, best=n == 1) for n in (1, 2)])
    trained = calibrate(Trained(setup.net.eval(), GradientTraining(2, 1, 2)), setup, folder)
    tested = evaluate_network(trained.net, setup)
    report = make_report(setup, PLAN, trained, tested, folder=folder, minutes=1.0)
    report = replace(report, broken=(BrokenFile("<u>.jpg", "cut short"),))
    names = [image.name for image in setup.splits.train.images[:2]]
    doubted = Finding("label", names[0], HOSTILE, detail="90% leaf", other=names[1], suggested="leaf")
    write_health([doubted, Finding("balance", label="sea", detail="only 4 images")], folder)
    path = write_page(setup, trained.net, tested, plan=PLAN, report=report, folder=folder)
    return path.read_text(encoding="utf-8"), report, path


def test_page_says_what_came(page: tuple[str, Report, Path]) -> None:
    text, report, _ = page
    assert f"{report.metrics['accuracy']:.1%}" in text
    for title in ("Each class", "What is taken for what", "The worst errors", "The model file"):
        assert f"<h2>{title}</h2>" in text
    health = text.partition("<h2>Data health</h2>")[2].partition("<h2>")[0]
    assert "Perhaps a wrong label: 1" in health and "<li>sea: only 4 images</li>" in health
    assert health.count("<img") == 2
    assert report.quality is not None
    assert f"{report.quality.log_loss.after.value:.3f}" in text
    assert text.count("<svg") == 3
    wrong = round((1 - report.metrics["accuracy"]) * report.images.test)
    assert text.count('alt="what decided"') == min(12, wrong) > 0


def test_images_of_a_table_are_named_by_the_table(page: tuple[str, Report, Path]) -> None:
    _, report, path = page
    root = path.parent.parent
    rows = [f"data/{label}/{number}.jpg,{label}" for label in ("leaf", "sea") for number in range(14)]
    (root / "labels.csv").write_text("\n".join(["image,label", *rows]))
    recipe = read_recipe(root / "spec.yaml", str(root / "labels.csv"))
    assert f"of {root / 'labels.csv'}: " in describe_run(prepare(recipe, load_data(recipe)), report)


def test_names_of_strangers_stay_text(page: tuple[str, Report, Path]) -> None:
    text = page[0]
    assert HOSTILE not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text
    assert "<b>reason</b>" not in text
    assert "<u>" not in text
    assert "<script" not in text


def test_nothing_is_loaded_from_elsewhere(page: tuple[str, Report, Path]) -> None:
    text = page[0]
    assert all(source.startswith("data:image/jpeg;base64,") for source in re.findall(r'src="([^"]*)"', text))
    assert set(re.findall(r'href="(.)', text)) == {"#"}
    assert not re.findall(r"url\((?!#)|@import", text)
    assert "default-src 'none'" in text
    assert len(text) < 1e6


@pytest.mark.browser
def test_page_in_a_browser_asks_nobody_and_fits_a_phone(page: tuple[str, Report, Path]) -> None:
    from browser_kit import open_browser

    requests: list[str] = []
    with open_browser() as (context, _):
        context.unroute("**/*")
        view = context.new_page()
        view.on("request", lambda request: requests.append(request.url))
        view.set_viewport_size({"width": 390, "height": 800})
        view.goto(page[2].as_uri())
        assert view.evaluate("document.documentElement.scrollWidth") <= 390
        assert view.evaluate("[...document.images].every(one => one.naturalWidth > 0)")
        link = view.locator("table.matrix a").first
        link.click()
        assert view.locator(".cell:target img").first.is_visible()
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


def test_picture_that_is_gone_leaves_a_tile(page: tuple[str, Report, Path], tmp_path: Path) -> None:
    from finetune.data.images import FileImage

    gone = FileImage("gone.jpg", tmp_path / "gone.jpg", tmp_path)
    assert embed_image(gone).startswith("data:image/jpeg;base64,")
