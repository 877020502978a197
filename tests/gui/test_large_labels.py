"""Objects of a 20 000² raster in a real window: clicked, finished, seen, undone, back later."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from napari_edgeflow._types import AnyArray, Click, Prediction, Window
from napari_edgeflow.annotation.autosave import AutosaveLog
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.commands import NewObject, commit_object
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.objects import ImageInfo
from napari_edgeflow.annotation.records import MemoryLog
from napari_edgeflow.annotation.store_layout import store_place
from napari_edgeflow.annotation.store_zarr import ZarrStore
from napari_edgeflow.gui.bands import open_plane
from napari_edgeflow.gui.labels.large_labels import (
    StoreView,
    is_in_view,
    open_store,
)
from napari_edgeflow.gui.labels.sizes import needs_store
from napari_edgeflow.gui.planes import PlaneImage
from napari_edgeflow.gui.projects.files import compact_if_large
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.lazy import LazyRaster, lazy_levels

from ..raster.virtual import virtual_levels
from .canvas import click
from .fakes import PATIENCE_S, FakePredictor, FakeTimings

SIDE = 20_000
SQUARE = np.full((300, 400, 3), 200, np.uint8)
AT = (9900, 12_000)


class SquareSession:
    """Answers every click with the square, read through the window's raster."""

    def __init__(self, image: PlaneImage, predictor: FakePredictor, field_of_view: float) -> None:
        self.raster, _ = open_plane(image)
        self.threshold, self.timings = 0.5, FakeTimings()
        self.clicks: tuple[Click, ...] = ()
        self.postprocessing: Any = None
        self.largest_component = True

    def reset(self, field_of_view: float | None = None) -> None:
        self.clicks = ()

    def set_clicks(self, clicks: Any, should_stop: Any = None) -> Prediction | None:
        self.clicks = tuple(clicks)
        return self.prediction

    @property
    def prediction(self) -> Prediction | None:
        if not self.clicks:
            return None
        row, column = self.clicks[0].pixel
        window = Window(row - 350, column - 450, row + 350, column + 450)
        mask = self.raster.read(window)[:, :, 0] == 200
        return Prediction(window, mask.astype(np.float32), mask, 0.9)


def _levels() -> list[Any]:
    raster = ArrayRaster(virtual_levels(SQUARE, AT, SIDE, 7), axes="YXS")
    return list(lazy_levels(LazyRaster(raster), (0, 1, 2)))


def _look_at(viewer: Any, centre: tuple[float, float], zoom: float) -> None:
    camera = (viewer.scene if hasattr(viewer, "scene") else viewer).camera
    camera.center, camera.zoom = centre, zoom


def _open(open_widget: Callable[..., Any], *, show: bool = True) -> Any:
    options: dict[str, Any] = {"multiscale": True, "rgb": True, "contrast_limits": (0, 255)}
    widget = open_widget(_levels(), show, session=SquareSession, **options)
    _look_at(widget.viewer, (10_050, 12_200), 0.5)
    widget.tool_button.setChecked(True)
    return widget


def _look(viewer: Any) -> AnyArray:
    """``(h, w)`` ids that napari shows at the middle of the view."""
    (layer,) = [one for one in viewer.layers if one.name.startswith("EdgeFlow labels")]
    shown: AnyArray = np.asarray(layer._data_view)
    return shown


def test_an_object_of_a_large_raster(
    open_widget: Callable[..., Any], qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAPARI_EDGEFLOW_PROJECTS", str(tmp_path / "projects"))
    widget = _open(open_widget)
    viewer, control = widget.viewer, widget.controller
    qtbot.waitUntil(lambda: control.project.is_open, timeout=PATIENCE_S * 1000)
    click(viewer, (10_050, 12_200))
    qtbot.waitUntil(
        lambda: control.active is not None and control.active.prediction is not None,
        timeout=PATIENCE_S * 1000,
    )
    control.finish()
    qtbot.waitUntil(lambda: len(control.project.state.objects) == 1, timeout=PATIENCE_S * 1000)
    (record,) = control.project.state.objects.values()
    box = Window(AT[0], AT[1], AT[0] + 300, AT[1] + 400)
    assert (record.box, record.area_px) == (box, 300 * 400)
    layer = control.project.layer
    assert layer.multiscale
    assert [level.shape for level in layer.data][:2] == [(SIDE, SIDE), (SIDE // 2, SIDE // 2)]
    assert 1 in _look(viewer)
    mask, window = control.project.mask_of(record)
    assert window == box
    assert mask.all()
    control.undo()
    qtbot.waitUntil(lambda: not control.project.state.objects, timeout=PATIENCE_S * 1000)
    assert not _look(viewer).any()
    control.redo()
    qtbot.waitUntil(lambda: len(control.project.state.objects) == 1, timeout=PATIENCE_S * 1000)
    assert 1 in _look(viewer)
    qtbot.waitUntil(lambda: not control.project.view.is_saving, timeout=PATIENCE_S * 1000)
    _check_killed(open_widget, qtbot, tmp_path, monkeypatch)


def _check_killed(
    open_widget: Callable[..., Any], qtbot: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies on disk while the window still runs is what a kill leaves; another resumes it."""
    left = shutil.ignore_patterns("*.lock")
    shutil.copytree(folder / "projects", folder / "killed", ignore=left)
    monkeypatch.setenv("NAPARI_EDGEFLOW_PROJECTS", str(folder / "killed"))
    again = _open(open_widget, show=False)  # two windows on the screen share OpenGL badly
    project = again.controller.project
    qtbot.waitUntil(lambda: project.is_open, timeout=PATIENCE_S * 1000)
    assert project.offer is not None
    project.resume()
    qtbot.waitUntil(lambda: bool(project.state.objects), timeout=PATIENCE_S * 1000)
    assert project.mask_of(project.state.objects[1])[0].all()
    assert 1 in np.asarray(project.layer.data[5])
    again.controller.undo()
    qtbot.waitUntil(lambda: not project.state.objects, timeout=PATIENCE_S * 1000)
    assert not np.asarray(project.layer.data[5]).any()
    qtbot.waitUntil(lambda: not project.view.is_saving, timeout=PATIENCE_S * 1000)


def _commit(history: History, y: int, x: int) -> None:
    mask = np.ones((600, 700), dtype=bool)
    window = Window(y, x, y + 600, x + 700)
    about = NewObject(class_id=1)
    history.do(commit_object(history.state, history.store, window, mask, about))


def _begin(path: Path, shape: tuple[int, int] = (SIDE, SIDE)) -> History:
    store, notes = open_store(path, shape, is_new=True)
    assert not notes
    image, state = ImageInfo("a.tif", shape), State(ClassList().add("cell"))
    return History.begin(Journal.open(path), image, store, state)


def _end(history: History) -> None:
    log: Any = history.log
    log.close()


def _resume(path: Path) -> tuple[History, tuple[str, ...]]:
    with Journal.open(path) as journal:
        store, notes = open_store(path, (SIDE, SIDE), is_new=False)
        return History.resume(journal, store), notes


def test_it_comes_back_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "a.edgeflow"
    history = _begin(path)
    _commit(history, 10_000, 500)
    history.store.flush()  # type: ignore[attr-defined]
    _commit(history, 19_300, 19_200)  # in the journal alone
    _end(history)
    again, notes = _resume(path)
    assert notes == ()
    assert store_place(path).name == "a.edgeflow.zarr"
    assert sorted(again.state.objects) == [1, 2]
    for record in again.state.objects.values():
        assert (again.store.read(record.box) == record.id).all()
        assert record.area_px == 600 * 700


@pytest.mark.parametrize("damage", ["lost", "damaged", "another size"])
def test_labels_that_are_no_use_are_made_anew(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.edgeflow"
    history = _begin(path)
    _commit(history, 10_000, 500)
    history.store.flush()  # type: ignore[attr-defined]
    _end(history)
    place = store_place(path)
    if damage == "damaged":
        (place / "zarr.json").write_text("{")
    else:
        place.rename(tmp_path / "elsewhere")
    if damage == "another size":
        ZarrStore.create(place, (600, 600))
    again, notes = _resume(path)
    assert (again.store.read(again.state.objects[1].box) == 1).all()
    assert bool(notes) == (damage != "lost")
    if notes:
        kept = next(tmp_path.glob("*.old-*"))
        assert kept.name in notes[0]


def test_a_new_journal_does_not_take_old_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.edgeflow"
    old = _begin(path)
    _commit(old, 0, 0)
    old.store.flush()  # type: ignore[attr-defined]
    _end(old)
    path.unlink()
    store, notes = open_store(path, (SIDE, SIDE), is_new=True)
    assert not store.read(Window(0, 0, 100, 100)).any()
    assert "belonged to another journal" in notes[0]


def test_without_a_journal_the_labels_go_with_the_store() -> None:
    store, _ = open_store(None, (SIDE, SIDE), is_new=True)
    folder = Path(store._group.store.root)
    store.write(Window(0, 0, 2, 2), np.ones((2, 2), np.uint32))
    store.flush()
    assert folder.exists()
    del store
    gc.collect()
    assert not folder.exists()


def test_only_what_is_in_view_is_drawn_again(
    make_napari_viewer: Callable[..., Any], qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = make_napari_viewer(show=True)
    image = viewer.add_image(_levels(), multiscale=True, rgb=True)
    _look_at(viewer, (10_000, 10_000), 1.0)
    store, _ = open_store(None, (SIDE, SIDE), is_new=True)
    info, state = ImageInfo("a", (SIDE, SIDE)), State(ClassList().add("cell"))
    history = History.begin(MemoryLog(), info, store, state)
    view = StoreView(viewer, image, SimpleNamespace(say=pytest.fail))  # type: ignore[arg-type]
    view.fill(store)
    layer = view.ensure()
    qtbot.wait(1)
    drawn: list[int] = []
    monkeypatch.setattr(type(layer), "refresh", lambda self, **_: drawn.append(1))
    for place, count in (((0, 0), 0), ((9900, 9900), 1), ((19_000, 10_000), 1)):
        _commit(history, *place)
        change = _last(history)
        view.show(change, is_forward=True)
        assert len(drawn) == count
    assert is_in_view(layer, Window(10_000, 10_000, 10_001, 10_001))
    qtbot.waitUntil(lambda: not view.is_saving, timeout=PATIENCE_S * 1000)
    assert store.n_unflushed == 0
    view.close()
    qtbot.waitUntil(lambda: not view._saver.is_alive, timeout=PATIENCE_S * 1000)


def _last(history: History) -> Any:
    from napari_edgeflow.annotation.changes import change_from_record

    return change_from_record(history.log.read(history._done[-1]))


@pytest.mark.parametrize(
    ("shape", "is_large"),
    [
        ((4096, 4096), False),
        ((4096, 4097), True),
        ((3, 9000, 9000), True),
        ((100, 200), False),
        ((256, 2048, 2048), False),
        ((257, 2048, 2048), True),
        ((2, 4096, 4096), False),
    ],
)
def test_which_images_keep_labels_on_disk(shape: tuple[int, ...], is_large: bool) -> None:
    assert needs_store(shape) == is_large


def test_a_journal_that_grew_large_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("LARGE_BYTES", 1000), ("KEPT_STEPS", 2)):
        monkeypatch.setattr(f"napari_edgeflow.gui.projects.files.{name}", value)
    monkeypatch.setattr("napari_edgeflow.annotation.compaction.compact.__defaults__", (2,))
    history = _begin(tmp_path / "a.edgeflow")
    for number in range(5):
        _commit(history, 1000 * number, 700 * number)
    n_records = len(cast(Journal, history.log))
    history.log = AutosaveLog.resumed(cast(Journal, history.log))
    compact_if_large(history, (SIDE, SIDE))
    journal = history.log.journal
    assert journal is not None
    assert history.n_undo == 2
    assert len(journal) == 1 + len(_tiles(3)) + 2 != n_records
    journal.close()
    again, notes = _resume(tmp_path / "a.edgeflow")
    assert not notes
    assert sorted(again.state.objects) == [1, 2, 3, 4, 5]
    for record in again.state.objects.values():
        assert (again.store.read(record.box) == record.id).all()


def _tiles(n: int) -> set[tuple[int, int]]:
    """Tiles of 512² that hold the first n objects of that journal."""
    return {
        (row, column)
        for k in range(n)
        for row in range(1000 * k // 512, (1000 * k + 599) // 512 + 1)
        for column in range(700 * k // 512, (700 * k + 699) // 512 + 1)
    }
