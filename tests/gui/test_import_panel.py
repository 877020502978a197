"""Importing in a real window: buttons, drops, prompts; objects can be corrected afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from napari.layers import Image
from PIL import Image as Picture
from pycocotools.coco import COCO  # type: ignore[import-untyped]
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication

from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.files.writer import save_coco
from napari_edgeflow.gui.panels.import_panel import ImportPanel

from .fakes import PATIENCE_S, squares

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
Settle = Callable[[], None]


@pytest.fixture
def controller(make_napari_viewer: Any, make_controller: Any) -> Controller:
    viewer = make_napari_viewer(show=True)
    made: Controller = make_controller(viewer)
    made.bind(viewer.add_image(squares(), name="plate"))
    return made


@pytest.fixture
def panel(controller: Controller, qtbot: Any) -> Iterator[ImportPanel]:
    made = ImportPanel(controller.viewer, controller)
    controller.viewer.window.add_dock_widget(made, name="Import")
    yield made
    made.close_down()
    qtbot.waitUntil(lambda: not made.worker.is_alive, timeout=PATIENCE_S * 1000)


@pytest.fixture
def settle(panel: ImportPanel, controller: Controller, qtbot: Any) -> Settle:
    def wait() -> None:
        qtbot.waitUntil(
            lambda: not (panel.worker.is_busy or controller.is_busy), timeout=PATIENCE_S * 1000
        )

    return wait


def _blobs() -> Any:
    labels = np.zeros((60, 80), np.uint8)
    labels[2:8, 40:60] = 4
    labels[30:45, 5:20] = 9
    return labels


def _save(path: Path, labels: Any) -> Path:
    Picture.fromarray(labels).save(path)
    return path


def _shown(controller: Controller) -> Any:
    project = controller.project
    assert project is not None
    assert project.layer is not None
    return project.layer.data


def test_a_mask_comes_in_and_one_undo_takes_it_back(
    panel: ImportPanel, controller: Controller, settle: Settle, tmp_path: Path
) -> None:
    path = _save(tmp_path / "mask.png", _blobs())
    panel.choose_path = lambda: path
    panel.file_button.click()
    settle()
    shown = _shown(controller)
    assert {(int(a), int(b)) for a, b in zip(_blobs().ravel(), shown.ravel(), strict=True)} == {
        (0, 0), (4, 1), (9, 2),
    }  # fmt: skip
    assert panel.line.text() == "2 objects from mask.png"
    controller.undo()
    settle()
    assert not _shown(controller).any()
    panel.meaning.setCurrentIndex(1)
    panel.file_button.click()
    settle()
    assert controller.project is not None
    names = [one.name for one in controller.project.state.classes]
    assert names == ["object", "class 4", "class 9"]
    assert controller.project.layer is not None
    layer = controller.project.layer.as_layer_data_tuple()
    save_coco(str(tmp_path / "saved.json"), [layer])  # napari's dialog knows the project's classes
    coco = COCO(str(tmp_path / "saved.json"))
    for category, label in ((4, 4), (9, 9)):
        (number,) = coco.getAnnIds(catIds=[category])
        assert coco.loadCats([category])[0]["name"] == f"class {label}"
        mask = coco.annToMask(*coco.loadAnns([number])) > 0
        np.testing.assert_array_equal(mask, _blobs() == label)


def test_a_layer_comes_in_and_stays_as_it_is(
    panel: ImportPanel, controller: Controller, settle: Settle, messages: list[str]
) -> None:
    assert not panel.layer_button.isEnabled()
    layer = controller.viewer.add_labels(_blobs(), name="theirs")
    controller.viewer.add_labels(np.zeros((9, 9), int), name="small")
    panel.layer_box.choose(layer)
    assert panel.layer_button.isEnabled()
    panel.layer_button.click()
    settle()
    np.testing.assert_array_equal(_shown(controller) > 0, _blobs() > 0)
    np.testing.assert_array_equal(layer.data, _blobs())
    entries = [panel.layer_box.itemText(row) for row in range(panel.layer_box.count())]
    assert entries == ["small", "theirs"]  # not our own
    panel.layer_box.choose(controller.viewer.layers["small"])
    panel.layer_button.click()
    assert "choose the layer that belongs to this image" in messages[-1]


def test_an_imported_object_is_corrected_with_clicks(
    panel: ImportPanel, controller: Controller, settle: Settle, tmp_path: Path
) -> None:
    panel.take_file(_save(tmp_path / "mask.png", _blobs()))
    settle()
    controller.show_layers()
    controller.take_up(2)
    settle()
    controller.click((38, 10), "negative")
    settle()
    controller.finish()
    settle()
    expected = _blobs() == 9
    y, x = np.ogrid[:60, :80]
    expected &= (y - 38) ** 2 + (x - 10) ** 2 > 9
    np.testing.assert_array_equal(_shown(controller) == 2, expected)
    np.testing.assert_array_equal(_shown(controller) == 1, _blobs() == 4)


def _drop(panel: ImportPanel, *paths: Path) -> bool:
    """Drag files over the panel and let go; False when it does not take them."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    at, copy, left = QPointF(5, 5), Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    none = Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(at.toPoint(), copy, mime, left, none)
    QApplication.sendEvent(panel, enter)
    if enter.isAccepted():
        QApplication.sendEvent(panel, QDropEvent(at, copy, mime, left, none))
    return bool(enter.isAccepted())


def test_files_can_be_dropped_and_wrong_ones_are_refused_in_words(
    panel: ImportPanel, controller: Controller, settle: Settle, tmp_path: Path, messages: list[str]
) -> None:
    assert _drop(panel, _save(tmp_path / "mask.png", _blobs()))
    settle()
    np.testing.assert_array_equal(_shown(controller) > 0, _blobs() > 0)
    before = _shown(controller).copy()
    assert _drop(panel, _save(tmp_path / "large.png", np.ones((61, 80), np.uint8)))
    settle()
    assert "60 × 80 px (rows × columns), got large.png of 61 × 80" in messages[-1]
    (tmp_path / "notes.txt").write_text("hello")
    assert _drop(panel, tmp_path / "notes.txt")
    settle()
    assert "expected annotations ending in" in messages[-1]
    np.testing.assert_array_equal(_shown(controller), before)
    assert not _drop(panel)
    assert panel.line.text() == "Nothing was imported; see the message."


def test_without_an_image_nothing_is_imported(
    panel: ImportPanel, controller: Controller, tmp_path: Path, messages: list[str]
) -> None:
    controller.bind(None)
    assert not panel.file_button.isEnabled()
    panel.take_file(_save(tmp_path / "mask.png", _blobs()))
    assert messages[-1].startswith("Choose an image first")


def test_prompts_are_gone_through_one_by_one(
    panel: ImportPanel, controller: Controller, settle: Settle, tmp_path: Path, messages: list[str]
) -> None:
    rasterio, pyogrio = pytest.importorskip("rasterio"), pytest.importorskip("pyogrio")
    place = rasterio.Affine(2, 0, 1000, 0, -2, 5000)
    options = {"height": 60, "width": 80, "count": 1, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(tmp_path / "map.tif", "w", driver="GTiff", transform=place, **options) as f:
        f.write(squares()[None])
    image = controller.viewer.add_image(squares(), metadata={"path": str(tmp_path / "map.tif")})
    assert isinstance(image, Image)
    controller.bind(image)
    settle()
    controller.show_layers()
    points = [shapely.Point(place @ (x + 0.5, y + 0.5)) for y, x in ((15, 20), (56, 3), (40, 50))]
    pyogrio.raw.write(
        tmp_path / "points.gpkg", geometry=shapely.to_wkb(np.array(points)), field_data=[],
        fields=[], geometry_type="Point", crs="EPSG:32633",
    )  # fmt: skip
    panel.meaning.setCurrentIndex(2)
    panel.take_file(tmp_path / "points.gpkg")
    settle()
    assert panel.line.text() == "Prompt 1 of 3"
    assert panel.prompt_row.isVisible()
    controller.finish()
    settle()
    assert panel.line.text() == "Prompt 2 of 3"
    controller.undo()  # the clicks of the second prompt
    controller.undo()  # the first object: not a finished one
    settle()
    assert panel.line.text() == "Prompt 2 of 3"
    panel.stop_button.click()
    assert not panel.prompt_row.isVisible()
    controller.reset()
    settle()
    panel.take_file(tmp_path / "points.gpkg")
    settle()
    controller.finish()
    settle()
    panel.next_button.click()  # the speck is not wanted
    settle()
    controller.finish()
    settle()
    assert messages[-1] == "All 3 prompts were gone through."
    assert not panel.prompt_row.isVisible()
    expected = np.zeros((60, 80), int)
    expected[10:25, 10:30], expected[35:50, 40:70] = 2, 3  # 1 was taken back
    np.testing.assert_array_equal(_shown(controller), expected)
    panel.take_file(_save(tmp_path / "mask.png", _blobs()))
    settle()
    assert "as prompts, got mask.png; import it as objects" in messages[-1]


def test_every_control_says_what_it_does(panel: ImportPanel) -> None:
    for part in (
        panel.meaning, panel.file_button, panel.layer_box, panel.layer_button, panel.next_button,
        panel.stop_button, panel.line,
    ):  # fmt: skip
        assert part.toolTip()
    assert panel.minimumSizeHint().width() <= 280
