"""A day with a series in the real widget: keys, marks, going back, the next day, one export."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture
from pycocotools.coco import COCO  # type: ignore[import-untyped]
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_edgeflow._types import AnyArray, Click
from napari_edgeflow.gui.panels.series_panel import SeriesPanel

from .canvas import native_canvas
from .fakes import PATIENCE_S, region, squares

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
BRIGHT, DIM = (15, 20), (40, 50)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_EDGEFLOW_PROJECTS", str(tmp_path / "spare"))
    made = tmp_path / "images"
    (made / "b").mkdir(parents=True)
    for number, name in enumerate(["plate 2.png", "plate 10.png", "b/plate 2.png"]):
        Picture.fromarray(squares() + np.uint8(10 * number)).save(made / name)
    return made


@pytest.fixture
def quiet(qtbot: Any) -> Callable[[Any], None]:
    """Wait until a widget has nothing left to read, show or write."""

    def wait(widget: Any) -> None:
        panel, controller = widget.series_panel, widget.controller

        def is_quiet() -> bool:
            workers = (*panel.series.workers, panel.export.worker)
            busy = any(worker.is_busy for worker in workers) or panel.series.is_loading
            return not (busy or controller.is_busy)

        qtbot.waitUntil(is_quiet, timeout=PATIENCE_S * 1000)

    return wait


def _open(panel: SeriesPanel, folder: Path, pattern: str = "**/*.png") -> None:
    panel.filter.setText(pattern)
    panel.choose_folder = lambda: folder
    panel.folder_button.click()


def _finish(widget: Any, yx: tuple[int, int], quiet: Callable[[Any], None]) -> None:
    widget.controller.click(yx, "positive")
    widget.controller.finish()
    quiet(widget)


def _rows(panel: SeriesPanel) -> list[str]:
    return [str(panel.rows.data(panel.rows.index(row))) for row in range(panel.rows.rowCount())]


def _painted(coco: COCO, name: str) -> AnyArray:
    (image,) = [one for one in coco.dataset["images"] if one["file_name"] == name]
    labels = np.zeros((image["height"], image["width"]), int)
    for one in coco.loadAnns(coco.getAnnIds([image["id"]])):
        labels[coco.annToMask(one) > 0] = one["attributes"]["object_id"]
    return labels


def test_a_day_with_a_series(
    open_widget: Any, quiet: Callable[[Any], None], folder: Path, tmp_path: Path, qtbot: Any
) -> None:
    widget = open_widget()
    panel = widget.series_panel
    _open(panel, folder)
    quiet(widget)
    assert _rows(panel) == ["○  b/plate 2.png", "○  plate 2.png", "○  plate 10.png"]
    widget.tool_button.setChecked(True)
    _finish(widget, BRIGHT, quiet)
    panel.done_button.click()  # and on to the next
    quiet(widget)
    assert widget.image_box.layer.name == "plate 2"
    _finish(widget, DIM, quiet)
    _finish(widget, BRIGHT, quiet)
    canvas = native_canvas(widget.viewer)
    QTest.keyClick(canvas, Qt.Key.Key_PageDown)
    quiet(widget)
    assert widget.controller.image.name == "plate 10"
    assert widget.controller.project.state.objects == {}
    panel.skip_button.click()
    quiet(widget)
    assert panel.series.index == 1  # the one that is still to do
    project = widget.controller.project
    assert list(project.state.objects) == [1, 2]
    assert project.state.objects[1].clicks == (Click(*DIM),)
    assert project.can_undo
    expected = np.zeros((60, 80), int)
    expected[region(squares(), [Click(*DIM)])] = 1
    expected[region(squares(), [Click(*BRIGHT)])] = 2
    np.testing.assert_array_equal(project.layer.data, expected)
    assert _rows(panel) == ["✓  b/plate 2.png", "○  plate 2.png", "↷  plate 10.png"]
    assert panel.line.text() == "Image 2 of 3 · 1 of 3 done, 1 skipped"
    assert (panel.bar.value(), panel.bar.maximum()) == (1, 3)
    widget.close_down()
    qtbot.waitUntil(lambda: not widget.controller.projects.worker.is_alive, timeout=60_000)

    later = open_widget()
    panel = later.series_panel
    _open(panel, folder)
    quiet(later)
    assert panel.series.current.name == "plate 2.png"
    np.testing.assert_array_equal(later.controller.project.layer.data, expected)
    panel.export.choose("coco")
    panel.export.choose_path = lambda *_: tmp_path / "all.json"
    panel.export.button.click()
    qtbot.waitUntil(lambda: "exported to" in panel.export.line.text(), timeout=60_000)
    coco = COCO(str(tmp_path / "all.json"))
    assert [one["file_name"] for one in coco.dataset["images"]] == [
        "b/plate 2.png",
        "plate 2.png",
    ]
    np.testing.assert_array_equal(_painted(coco, "plate 2.png"), expected)
    np.testing.assert_array_equal(_painted(coco, "b/plate 2.png"), expected == 2)
    assert panel.export.line.text().startswith("3 objects of 2 images")
    panel.export.choose("label_tiff")
    panel.export.done_box.setChecked(True)
    panel.export.choose_path = lambda *_: tmp_path / "masks"
    panel.export.button.click()
    qtbot.waitUntil(lambda: "masks" in panel.export.line.text(), timeout=60_000)
    quiet(later)
    (mask,) = (tmp_path / "masks").iterdir()
    assert mask.name == "b_plate 2.tif"
    np.testing.assert_array_equal(tifffile.imread(mask) > 0, expected == 2)


def test_looking_leaves_no_file_but_the_marks(
    open_widget: Any, quiet: Callable[[Any], None], folder: Path, messages: list[str]
) -> None:
    widget = open_widget()
    panel = widget.series_panel
    before = sorted(path for path in folder.rglob("*") if path.is_file())
    _open(panel, folder, "*.png")
    quiet(widget)
    panel.next_button.click()
    quiet(widget)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert set(files) - set(before) == {folder / "edgeflow-series.json"}
    assert json.loads((folder / "edgeflow-series.json").read_text())["last"] == "plate 10.png"
    panel.export.choose_path = lambda *_: folder / "x.json"
    panel.export.button.click()
    quiet(widget)
    assert "expected finished objects in the series, got none" in messages[-1]
    assert not (folder / "x.json").exists()
    panel.view.activated.emit(panel.rows.index(0))
    quiet(widget)
    assert widget.controller.image.name == "plate 2"


def test_the_panel_fits_and_says_what_each_control_does(open_widget: Any) -> None:
    widget = open_widget()
    panel = widget.series_panel
    parts = (
        panel.folder_button, panel.layers_button, panel.filter, panel.view, panel.previous_button,
        panel.next_button, panel.todo_button, panel.done_button, panel.skip_button,
        panel.undo_button, panel.go_on_box, panel.bar, panel.line, panel.export.formats,
        panel.export.button, panel.export.done_box, panel.export.cancel, panel.export.bar,
    )  # fmt: skip
    assert all(part.toolTip() for part in parts)
    assert panel.minimumSizeHint().width() <= 280
    assert not panel.next_button.isEnabled()
    assert not panel.export.button.isEnabled()
    assert panel.line.text() == "No series is open."
