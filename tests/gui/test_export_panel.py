"""Export of finished objects from the widget, in a real window."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
import tifffile
from napari.layers import Labels
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox
from skimage.io import imread

from napari_edgeflow.annotation.commands import rename_object
from napari_edgeflow.errors import Cancelled
from napari_edgeflow.export.formats import FORMATS
from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.sample_data import open_aerial_buildings

from .fakes import PATIENCE_S, squares

OpenWidget = Callable[..., Any]
Settle = Callable[[Controller], None]


@pytest.fixture
def widget(open_widget: OpenWidget, qtbot: Any) -> Iterator[Any]:
    opened = open_widget(squares())
    yield opened
    opened.export.close_down()
    qtbot.waitUntil(lambda: not opened.export.worker.is_alive, timeout=PATIENCE_S * 1000)


@pytest.fixture
def choose(widget: Any, qtbot: Any) -> Callable[[str, Path | None], None]:
    """Choose a format and a path, and wait until it is written."""

    def do(name: str, path: Path | None) -> None:
        widget.export.choose_path = lambda *_: path
        widget.export.choose(name)
        widget.export.button.click()
        qtbot.waitUntil(widget.export.button.isEnabled, timeout=PATIENCE_S * 1000)

    return do


def _labels(widget: Any, data: Any) -> Labels:
    """A Labels layer of the user's, chosen in the widget."""
    layer = widget.viewer.add_labels(np.asarray(data))
    widget.controller.target = layer
    return layer


def _two_objects() -> Any:
    data = np.zeros((60, 80), np.uint16)
    data[5:15, 10:30] = 1
    data[40:50, 60:65] = 7
    return data


def test_objects_come_back_from_coco(
    widget: Any, choose: Any, tmp_path: Path, messages: list[str]
) -> None:
    _labels(widget, _two_objects())
    choose("coco", tmp_path / "cells.json")
    content = json.loads((tmp_path / "cells.json").read_text())
    assert [(a["area"], a["bbox"]) for a in content["annotations"]] == [
        (200, [10, 5, 20, 10]),
        (50, [60, 40, 5, 10]),
    ]
    assert (content["images"][0]["height"], content["images"][0]["width"]) == (60, 80)
    assert widget.export.line.text() == f"Exported to {tmp_path / 'cells.json'}"
    assert widget.export.button.isEnabled()


def test_a_label_mask_holds_the_same_pixels_and_says_what_it_lost(
    widget: Any, choose: Any, tmp_path: Path, messages: list[str]
) -> None:
    _labels(widget, _two_objects())
    choose("label_tiff", tmp_path / "cells.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "cells.tif"), _two_objects())
    assert "cells.tif does not hold everything: classes and names" in messages[-1]


def test_a_cut_out_shows_the_image_where_the_objects_are(
    widget: Any, choose: Any, tmp_path: Path
) -> None:
    _labels(widget, _two_objects())
    choose("cutout", tmp_path / "cut.png")
    pixels = imread(tmp_path / "cut.png")
    np.testing.assert_array_equal(pixels[..., 3] > 0, _two_objects() > 0)
    inside = pixels[5:15, 10:30, 0].astype(float)
    shown = np.asarray(squares())[5:15, 10:30].astype(float)
    assert np.array_equal(inside == inside.max(), shown == shown.max())


def test_of_a_stack_the_plane_on_the_screen_is_exported(
    open_widget: OpenWidget, qtbot: Any, tmp_path: Path
) -> None:
    opened = open_widget(np.stack([squares()] * 3))
    data = np.zeros((3, 60, 80), np.uint16)
    data[1], data[2, 0, 0] = _two_objects(), 3
    _labels(opened, data)
    opened.viewer.dims.set_current_step(0, 1)
    opened.export.choose_path = lambda *_: tmp_path / "plane.tif"
    opened.export.choose("label_tiff")
    opened.export.button.click()
    qtbot.waitUntil(opened.export.button.isEnabled, timeout=PATIENCE_S * 1000)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "plane.tif"), data[1])
    opened.export.close_down()


def test_map_formats_need_a_place_on_the_map(
    widget: Any, choose: Any, tmp_path: Path, messages: list[str]
) -> None:
    _labels(widget, _two_objects())
    choose("geopackage", tmp_path / "cells.gpkg")
    assert not list(tmp_path.iterdir())
    assert "place on the map" in messages[-1]
    assert widget.export.line.text() == "Nothing was exported; see the message."
    assert widget.export.button.isEnabled()


def test_objects_of_a_geotiff_lie_at_their_place_on_the_map(
    open_widget: OpenWidget, qtbot: Any, tmp_path: Path
) -> None:
    ((pixels, options, _),) = open_aerial_buildings()
    opened = open_widget(pixels, **options)
    data = np.zeros(pixels.shape[:2], np.uint16)
    data[100:140, 200:260] = 1
    _labels(opened, data)
    path = tmp_path / "roofs.gpkg"
    opened.export.choose_path = lambda *_: path
    opened.export.choose("geopackage")
    opened.export.button.click()
    qtbot.waitUntil(opened.export.button.isEnabled, timeout=PATIENCE_S * 1000)
    with rasterio.open(options["metadata"]["path"]) as source:
        place = source.transform
        assert place.b == place.d == 0
        corners = [
            (place.c + place.a * x, place.f + place.e * y) for x, y in ((200, 100), (260, 140))
        ]
    (x0, y1), (x1, y0) = corners
    info = pyogrio.read_info(path)
    np.testing.assert_allclose(info["total_bounds"], (x0, y0, x1, y1), rtol=1e-12)
    assert info["features"] == 1
    opened.export.close_down()


def test_without_objects_or_labels_the_user_is_told(
    widget: Any, choose: Any, tmp_path: Path, messages: list[str]
) -> None:
    choose("coco", tmp_path / "none.json")
    assert "finish one first" in messages[-1]
    _labels(widget, np.zeros((60, 80), np.uint8))
    choose("coco", tmp_path / "none.json")
    assert "expected objects on the plane of" in messages[-1]
    assert not list(tmp_path.iterdir())


def test_a_changed_mind_and_an_unwritable_folder_change_nothing(
    widget: Any, choose: Any, tmp_path: Path, messages: list[str]
) -> None:
    _labels(widget, _two_objects())
    choose("coco", None)
    assert "Exported" not in widget.export.line.text()
    choose("coco", tmp_path / "missing" / "cells.json")
    assert "make it first" in messages[-1]
    assert not list(tmp_path.iterdir())


def test_classes_names_and_measurements_of_the_project_are_written(
    widget: Any, choose: Any, qtbot: Any, tmp_path: Path
) -> None:
    _labels(widget, _two_objects())
    project = widget.controller.project
    qtbot.waitUntil(lambda: project.is_open, timeout=PATIENCE_S * 1000)
    done: list[Any] = []
    project.do(lambda state, _store: rename_object(state, 7, "odd one"), done.append)
    qtbot.waitUntil(lambda: bool(done), timeout=PATIENCE_S * 1000)
    choose("measurements", tmp_path / "cells.csv")
    with (tmp_path / "cells.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["name"], row["area_px"]) for row in rows] == [
        ("1", "", "200"), ("7", "odd one", "50")
    ]  # fmt: skip
    expected = np.asarray(squares())[_two_objects() == 7].mean()
    assert float(rows[1]["intensity_mean"]) == pytest.approx(expected)


def test_options_of_a_format_are_shown_kept_and_used(
    widget: Any, choose: Any, tmp_path: Path
) -> None:
    labels = _two_objects()
    labels[8:10, 12:14] = 0  # a hole
    _labels(widget, labels)
    panel = widget.export
    panel.choose("label_tiff")
    assert panel.options.isHidden()
    panel.choose("labelme")
    (combo,) = panel.options.findChildren(QComboBox)
    assert [combo.itemText(i) for i in range(combo.count())] == ["5.3", "5.0"]
    assert "holes" in combo.toolTip()
    combo.setCurrentText("5.0")
    panel.choose("coco")
    choose("labelme", tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["version"] == "5.0.0"
    assert {shape["shape_type"] for shape in content["shapes"]} == {"polygon"}
    panel.choose("geopackage")
    (number,) = panel.options.findChildren(QDoubleSpinBox)
    number.setValue(1.5)
    assert panel.options.values == {"tolerance": 1.5}


def test_progress_and_cancel(
    widget: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(*_args: Any, progress: Any, should_stop: Any, **_options: Any) -> None:
        progress(0.25)
        gate = threading.Event()
        while not should_stop():
            gate.wait(0.01)
        raise Cancelled("nothing was exported")

    monkeypatch.setattr("napari_edgeflow.export.formats.export", endless)
    _labels(widget, _two_objects())
    panel = widget.export
    panel.choose_path = lambda *_: tmp_path / "a.json"
    panel.choose("coco")
    panel.button.click()
    qtbot.waitUntil(lambda: panel.bar.value() == 250, timeout=PATIENCE_S * 1000)
    assert not panel.button.isEnabled()
    assert not panel.formats.isEnabled()
    assert panel.cancel.isEnabled()
    panel.cancel.click()
    assert panel.line.text() == "Stopping…"
    qtbot.waitUntil(panel.button.isEnabled, timeout=PATIENCE_S * 1000)
    assert panel.line.text() == "Cancelled; nothing was exported."
    assert panel.bar.isHidden()
    assert panel.cancel.isHidden()


def test_every_format_can_be_chosen_and_is_explained(widget: Any) -> None:
    panel = widget.export
    entries = [panel.formats.itemData(row) for row in range(panel.formats.count())]
    assert [entry for entry in entries if entry] == list(FORMATS)
    for name, form in FORMATS.items():
        panel.choose(name)
        assert panel.form is form
        assert form.cannot_hold in panel.line.text()
        assert form.cannot_hold in panel.formats.toolTip()
        assert set(panel.options.values) == {option.name for option in form.options}


def test_a_window_that_closes_gives_the_file_up(
    widget: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = threading.Event()

    def endless(*_args: Any, progress: Any, should_stop: Any, **_options: Any) -> None:
        progress(0.5)
        gate = threading.Event()
        while not should_stop():
            gate.wait(0.01)
        stopped.set()
        raise Cancelled("nothing was exported")

    monkeypatch.setattr("napari_edgeflow.export.formats.export", endless)
    _labels(widget, _two_objects())
    widget.export.choose_path = lambda *_: tmp_path / "a.json"
    widget.export.button.click()
    qtbot.waitUntil(lambda: widget.export.bar.value() == 500, timeout=PATIENCE_S * 1000)
    widget.export.close_down()
    assert stopped.wait(PATIENCE_S)
