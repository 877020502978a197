"""A series of images in a real window: what comes, what goes, what is kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Labels, Points
from PIL import Image as Picture

from napari_edgeflow.annotation.commands import edit_classes
from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.series.files import FILE_NAME
from napari_edgeflow.gui.series.load import LoadedImage, load_image
from napari_edgeflow.gui.series.series import Series

from .canvas import drag
from .fakes import PATIENCE_S, squares

Settle = Callable[[], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pictures of different brightness, one of another size, and a broken file."""
    made = tmp_path / "images"
    made.mkdir()
    for number, add in ((1, 0), (2, 20), (10, 40)):
        Picture.fromarray(squares() + np.uint8(add)).save(made / f"plate {number}.png")
    (made / "plate 3.png").write_bytes(b"\x89PNG\r\n\x1a\n, but no more")
    Picture.fromarray(squares((70, 90))).save(made / "plate 11.png")
    return made


@pytest.fixture
def controller(make_napari_viewer: Any, make_controller: Any) -> Controller:
    made: Controller = make_controller(make_napari_viewer())
    return made


@pytest.fixture
def series(controller: Controller, tmp_path: Path, qtbot: Any) -> Iterator[Series]:
    made = Series(controller.viewer, controller, lambda: tmp_path / "autosave")
    yield made
    made.close()
    for worker in made.workers:
        qtbot.waitUntil(lambda worker=worker: not worker.is_alive, timeout=PATIENCE_S * 1000)


@pytest.fixture
def settle(series: Series, controller: Controller, qtbot: Any) -> Settle:
    """Wait until nothing is read, shown or written any more."""

    def is_quiet() -> bool:
        busy = any(worker.is_busy for worker in series.workers)
        return not (busy or series.is_loading or controller.is_busy)

    def wait() -> None:
        qtbot.waitUntil(is_quiet, timeout=PATIENCE_S * 1000)

    return wait


def _images(controller: Controller) -> list[str]:
    return [layer.name for layer in controller.viewer.layers if isinstance(layer, Image)]


def _finish_one(controller: Controller, qtbot: Any, yx: tuple[float, float] = (15, 20)) -> None:
    controller.click(yx, "positive")
    controller.finish()
    project = controller.project
    assert project is not None
    qtbot.waitUntil(lambda: len(project.state.objects) > 0, timeout=PATIENCE_S * 1000)


def test_images_come_in_natural_order_and_broken_ones_are_passed_over(
    series: Series, controller: Controller, settle: Settle, folder: Path, messages: list[str]
) -> None:
    series.open_folder(folder)
    settle()
    assert series.names == [f"plate {n}.png" for n in (1, 2, 3, 10, 11)]
    assert _images(controller) == ["plate 1"]
    assert controller.image is not None
    np.testing.assert_array_equal(controller.image.data, squares())
    seen = [series.index]
    for _ in range(3):
        series.next()
        settle()
        seen.append(series.index)
    assert seen == [0, 1, 3, 4]
    assert series.progress == "0 of 5 done, 1 unreadable"
    assert any("plate 3.png cannot be read and is passed over" in text for text in messages)
    series.next()
    assert messages[-1] == "This is the last image of the series."
    series.previous()
    settle()
    series.previous()
    settle()
    assert series.index == 1  # not the broken one


def test_ours_go_and_the_users_layers_stay(
    series: Series, controller: Controller, settle: Settle, folder: Path, qtbot: Any
) -> None:
    viewer = controller.viewer
    notes = viewer.add_points([[1, 1]], name="notes")
    other = viewer.add_image(np.ones((5, 5)), name="other")
    own = viewer.add_labels(np.zeros((60, 80), int), name="own")
    series.open_folder(folder)
    settle()
    controller.show_layers()
    _finish_one(controller, qtbot)
    controller.click((40, 50), "positive")
    settle()
    assert len(viewer.layers) > 4
    series.next()
    settle()
    kept = [layer for layer in viewer.layers if layer in (notes, other, own)]
    assert len(kept) == 3
    names = [layer.name for layer in viewer.layers if layer not in kept]
    assert "plate 2" in names
    assert not [name for name in names if name.startswith("plate 1")]
    assert not [
        x for x in viewer.layers if isinstance(x, Points) and x is not notes and len(x.data)
    ]


def test_classes_are_carried_over(
    series: Series, controller: Controller, settle: Settle, folder: Path
) -> None:
    series.open_folder(folder)
    settle()
    project = controller.project
    assert project is not None
    project.do(lambda state, _store: edit_classes(state, state.classes.add("débris")))
    settle()
    series.next()
    settle()
    assert controller.project is not None
    assert controller.project is not project
    assert [one.name for one in controller.project.state.classes] == ["object", "débris"]
    assert not controller.project.can_undo  # it began with them
    content = json.loads((folder / FILE_NAME).read_text())
    assert [one["name"] for one in content["classes"]] == ["object", "débris"]


def test_marks_and_place_are_there_the_next_day(
    series: Series, controller: Controller, settle: Settle, folder: Path, tmp_path: Path
) -> None:
    series.open_folder(folder)
    settle()
    series.mark("done")
    series.next()
    settle()
    series.mark("skipped")
    settle()
    series.next_todo()
    settle()
    assert series.progress == "1 of 5 done, 1 skipped, 1 unreadable"
    assert (series.current and series.current.name) == "plate 10.png"
    later = Series(controller.viewer, controller, lambda: tmp_path / "autosave")
    later.open_folder(folder)
    settle()
    worker, _ = later.workers
    assert PATIENCE_S
    _wait(later, settle)
    assert (later.progress, later.index) == (series.progress, 3)
    later.close()
    worker.close()


def _wait(series: Series, settle: Settle) -> None:
    import time

    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + PATIENCE_S
    while series.is_loading or any(worker.is_busy for worker in series.workers):
        assert time.monotonic() < end
        QApplication.processEvents()
    settle()


def test_the_next_image_is_read_ahead(series: Series, settle: Settle, folder: Path) -> None:
    read: list[str] = []

    def count(path: Path) -> LoadedImage:
        read.append(path.name)
        return load_image(path)

    series.read = count
    series.open_folder(folder, "plate 1*.png")
    settle()
    assert read == ["plate 1.png", "plate 10.png"]
    series.next()
    settle()
    assert read == ["plate 1.png", "plate 10.png", "plate 11.png"]
    series.previous()
    settle()
    assert read[3:] == ["plate 1.png"]


def test_an_image_is_left_only_when_its_steps_are_on_disk(
    series: Series, controller: Controller, settle: Settle, folder: Path, qtbot: Any,
    predictor: Any,
) -> None:  # fmt: skip
    series.open_folder(folder)
    settle()
    controller.show_layers()
    project = controller.project
    assert project is not None
    settle()
    predictor.gate.clear()
    controller.click((15, 20), "positive")
    controller.finish()
    series.next()
    qtbot.wait(60)
    assert series.index == 0  # the network still runs for the object that is being finished
    predictor.gate.set()
    settle()
    assert series.index == 1
    assert [record.area_px for record in project.state.objects.values()] == [15 * 20]


def test_a_list_of_layers(
    series: Series, controller: Controller, settle: Settle, qtbot: Any
) -> None:
    viewer = controller.viewer
    layers = [viewer.add_image(squares(), name=name) for name in ("a", "b")]
    own = viewer.add_labels(np.zeros((60, 80), int), name="own")
    series.open_layers(layers)
    settle()
    assert controller.image is layers[0]
    assert [layer.visible for layer in layers] == [True, False]
    controller.show_layers()
    _finish_one(controller, qtbot)
    settle()
    first = controller.project
    assert first is not None
    assert first.layer is not None
    series.mark("done")
    series.next()
    settle()
    assert controller.image is layers[1]
    assert [layer.visible for layer in (*layers, own, first.layer)] == [False, True, True, False]
    series.previous()
    settle()
    assert controller.project is first
    assert first.layer.visible
    assert series.progress == "1 of 2 done"
    viewer.layers.remove(layers[1])
    series.next()
    settle()
    assert series.mark_of(1) == "broken"
    series.close()
    assert isinstance(own, Labels)


def test_an_empty_folder_is_said_in_words(
    series: Series, settle: Settle, tmp_path: Path, messages: list[str]
) -> None:
    series.open_folder(tmp_path, "*.tif")
    settle()
    assert "got none that fit '*.tif'" in messages[-1]
    series.open_layers([])
    assert "got none: open images first" in messages[-1]
    series.mark("done")
    assert messages[-1].startswith("Open a series first")


def _helpers(controller: Controller) -> list[Any]:
    binding: Any = controller.binding
    points = [binding.clicks.layer(kind) for kind in ("positive", "negative")]
    return [*points, binding.preview.layer, controller.target]


def test_helper_layers_go_along_from_image_to_image(
    series: Series, controller: Controller, settle: Settle, folder: Path, qtbot: Any
) -> None:
    series.open_folder(folder)
    settle()
    controller.show_layers()
    _finish_one(controller, qtbot)
    controller.click((40, 50), "positive")  # a draft, which stays with the first image
    settle()
    helpers, came, went = _helpers(controller), [], []
    controller.viewer.layers.events.inserted.connect(lambda event: came.append(event.value))
    controller.viewer.layers.events.removed.connect(lambda event: went.append(event.value))
    target: Any = controller.target
    target.data_setitem((np.array([0]), np.array([0])), 7)  # of this image alone
    settle()
    for name, (step, size, n_clicks) in {
        "plate 2": (series.next, (60, 80), 0),
        "plate 10": (series.next, (60, 80), 0),
        "plate 11": (series.next, (70, 90), 0),
        "plate 1": (lambda: series.go(0), (60, 80), 1),
    }.items():
        step()
        settle()
        controller.show_layers()
        settle()
        assert _helpers(controller) == helpers
        assert [layer.name for layer in helpers[:3]] == [
            f"{name} · {what}" for what in ("positive clicks", "negative clicks", "active object")
        ]
        assert target.data.shape == size
        assert target.data.any() == bool(n_clicks)
        assert len(helpers[0].data) == n_clicks
        before = target.data.copy()
        target.undo()
        np.testing.assert_array_equal(target.data, before)
    assert [type(layer) for layer in (*came, *went)] == [Image] * 8
    assert controller.project is not None
    assert 1 in controller.project.state.objects
    np.testing.assert_array_equal(np.unique(target.data[10:25, 10:30]), [1])


def test_strokes_of_the_brush_stay_with_their_image(
    series: Series, controller: Controller, settle: Settle, folder: Path, qtbot: Any
) -> None:
    viewer = controller.viewer
    viewer.window.show()
    series.open_folder(folder)
    settle()
    controller.show_layers()
    _finish_one(controller, qtbot)
    settle()
    for label, row in ((7, 5), (8, 30)):
        layer, project = controller.target, controller.project
        assert layer is not None
        assert project is not None
        viewer.layers.selection.active = layer
        layer.mode, layer.selected_label, layer.brush_size = "paint", label, 3
        qtbot.wait(1)
        drag(viewer, (row, 10), (row, 30))
        settle()
        area = int((layer.data == label).sum())
        assert area > 20
        assert project.state.objects[label].area_px == area
        series.next()
        settle()
        series.previous()
        settle()
        controller.show_layers()
        settle()
        assert controller.project is not None
        assert controller.project.state.objects[label].area_px == area
    layer = controller.target
    assert layer is not None
    assert set(np.unique(layer.data)) == {0, 1, 7, 8}


def test_what_napari_took_back_is_gone_when_the_image_comes_again(
    series: Series, controller: Controller, settle: Settle, folder: Path, qtbot: Any
) -> None:
    series.open_folder(folder)
    settle()
    controller.show_layers()
    _finish_one(controller, qtbot)
    settle()
    layer: Any = controller.target
    layer.paint((5, 40), 7)
    settle()
    layer.undo()  # nobody is told of it
    series.next()
    settle()
    series.previous()
    settle()
    assert controller.project is not None
    assert set(controller.project.state.objects) == {1}


def test_helper_layers_with_other_axes_are_made_anew(
    series: Series, controller: Controller, settle: Settle, tmp_path: Path
) -> None:
    import tifffile

    mixed = tmp_path / "mixed"
    mixed.mkdir()
    tifffile.imwrite(mixed / "a.tif", squares())
    tifffile.imwrite(mixed / "b.tif", np.stack([squares()] * 4), photometric="minisblack")
    series.open_folder(mixed)
    settle()
    controller.show_layers()
    settle()
    series.next()
    settle()
    controller.show_layers()
    settle()
    layers = [layer for layer in controller.viewer.layers if not isinstance(layer, Image)]
    assert [layer.ndim for layer in layers] == [3] * 4


def test_a_change_leaves_the_event_loop_room_between_its_parts(
    series: Series, controller: Controller, settle: Settle, folder: Path
) -> None:
    series.open_folder(folder)
    settle()
    first = controller.image
    series.next()
    assert (_images(controller), controller.image) == (["plate 2", "plate 1"], first)
    assert series.is_loading  # the rest comes in other turns
    project: Any = controller.project
    controller.click((15, 20), "positive")  # in between: it belongs to the image that is bound
    settle()
    assert _images(controller) == ["plate 2"]
    assert controller.image is not first
    assert series.index == 1
    series.previous()
    settle()
    binding: Any = controller.binding
    assert controller.project is not project
    assert [click.kind for click in binding.log.rows("positive")] == ["positive"]


def test_another_image_asked_for_during_a_change_comes_after_it(
    series: Series, controller: Controller, settle: Settle, folder: Path
) -> None:
    series.open_folder(folder, "plate 1*.png")
    settle()
    shown: list[Any] = []
    series.next()
    series.changed.connect(lambda: shown.append(series.index))
    assert series.is_loading
    series.next()
    settle()
    assert (shown[-1], series.index, _images(controller)) == (2, 2, ["plate 11"])
    assert 1 in shown


def test_another_series_ends_a_change_at_once(
    series: Series, controller: Controller, settle: Settle, folder: Path
) -> None:
    series.open_folder(folder, "plate 1*.png")
    settle()
    series.next()
    assert len(_images(controller)) == 2
    series.open_layers([controller.viewer.add_image(squares(), name="own")])
    settle()
    assert _images(controller) == ["plate 10", "own"]
    assert controller.image is controller.viewer.layers["own"]
    content = json.loads((folder / FILE_NAME).read_text())
    assert content["last"] == "plate 10.png"


def test_a_series_that_is_closed_during_a_change_leaves_both_images(
    series: Series, controller: Controller, settle: Settle, folder: Path, qtbot: Any
) -> None:
    series.open_folder(folder, "plate 1*.png")
    settle()
    bound = controller.image
    series.next()
    series.close()
    qtbot.wait(50)
    assert _images(controller) == ["plate 10", "plate 1"]
    assert controller.image is bound
    assert not series.is_loading


def test_a_new_image_that_is_deleted_during_a_change_is_not_bound(
    series: Series, controller: Controller, settle: Settle, folder: Path
) -> None:
    series.open_folder(folder, "plate 1*.png")
    settle()
    series.next()
    viewer = controller.viewer
    viewer.layers.remove(viewer.layers["plate 10"])
    settle()
    assert (_images(controller), controller.image) == ([], None)
    series.next()
    settle()
    assert _images(controller) == ["plate 11"]
