"""Objects on planes of a lazy (3, 5000, 5000) image in a real window, kept on disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.cli.export_source import annotated_project
from napari_edgeflow.export.formats import FORMATS
from napari_edgeflow.gui.bands import open_plane
from napari_edgeflow.gui.files.exporting import Finished
from napari_edgeflow.gui.files.image_facts import ImageFacts
from napari_edgeflow.gui.labels.brush_window import BrushWindow
from napari_edgeflow.gui.planes import Plane, PlaneImage
from napari_edgeflow.raster.indexing import take

from .canvas import click
from .fakes import PATIENCE_S
from .test_large_labels import SquareSession, _look, _look_at

SHAPE = (3, 5000, 5000)
H, W = 300, 400
TOPS = (2000, 2100, 2200)
LEFT = 2400


class LazyStack:
    """A bright square on dark planes, further down on each; computed when it is read."""

    def __init__(self, level: int = 0) -> None:
        side = -(-SHAPE[1] // 2**level)
        self.shape, self.dtype, self.ndim = (SHAPE[0], side, side), np.dtype(np.uint8), 3
        self.size, self._step = SHAPE[0] * side**2, 2**level

    def __getitem__(self, key: Any) -> AnyArray:
        return take(key, self.shape, self.dtype, 1, self._plane)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:
        raise MemoryError("nobody reads the whole stack")

    def _plane(self, stack: tuple[int, ...], window: Window) -> AnyArray:
        rows, columns = np.ogrid[window.y0 : window.y1, window.x0 : window.x1]
        y, x, top = rows * self._step, columns * self._step, TOPS[stack[0]]
        is_in = (y >= top) & (y < top + H) & (x >= LEFT) & (x < LEFT + W)
        return np.where(is_in, 200, 40 + 5 * stack[0]).astype(np.uint8)


class NoWholePlanes(LazyStack):
    """Refuses to read more than a quarter of a plane at once."""

    def _plane(self, stack: tuple[int, ...], window: Window) -> AnyArray:
        if window.height * window.width > SHAPE[1] * SHAPE[2] // 4:
            raise MemoryError("nobody reads a whole plane")
        return super()._plane(stack, window)


def test_planes_of_one_level_are_read_in_windows() -> None:
    plane = Plane((2, None, None), SHAPE[1:])
    image = PlaneImage("stack", NoWholePlanes(), False, False, plane)
    raster, _ = open_plane(image)
    assert (raster.shape, raster.n_bands) == (SHAPE[1:], 1)
    expected = LazyStack()[2, 2100:2300, 2300:2500]
    pixels = raster.read(Window(2100, 2300, 2300, 2500))
    np.testing.assert_array_equal(pixels[:, :, 0], expected)
    assert {50, 200} == set(np.unique(pixels).tolist())


def _square(plane: int) -> Window:
    return Window(TOPS[plane], LEFT, TOPS[plane] + H, LEFT + W)


def _open(open_widget: Callable[..., Any], qtbot: Any, *, show: bool = True) -> Any:
    levels = [LazyStack(level) for level in range(4)]
    options: dict[str, Any] = {"multiscale": True, "contrast_limits": (0, 255), "name": "stack"}
    widget = open_widget(levels, show, session=SquareSession, **options)
    _look_at(widget.viewer, (2300, 2600), 0.5)
    widget.tool_button.setChecked(True)
    _wait(qtbot, lambda: widget.controller.project.is_open)
    return widget


def _wait(qtbot: Any, is_done: Callable[[], bool]) -> None:
    qtbot.waitUntil(is_done, timeout=PATIENCE_S * 1000)


def _show(viewer: Any, plane: int) -> None:
    viewer.dims.set_point(0, plane)


def _finish(widget: Any, qtbot: Any, plane: int) -> None:
    """Click on the square of a plane with the mouse, and finish it."""
    control = widget.controller
    n_before = len(control.project.state.objects)
    _show(widget.viewer, plane)
    click(widget.viewer, (TOPS[plane] + 150, LEFT + 200))
    _wait(qtbot, lambda: control.active is not None and control.active.prediction is not None)
    control.finish()
    _wait(qtbot, lambda: len(control.project.state.objects) == n_before + 1)


def test_objects_on_planes_of_a_large_stack(
    open_widget: Callable[..., Any],
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    messages: list[str],
) -> None:
    monkeypatch.setenv("NAPARI_EDGEFLOW_PROJECTS", str(tmp_path / "projects"))
    widget = _open(open_widget, qtbot)
    _roll(widget, messages)
    viewer, control = widget.viewer, widget.controller
    project = control.project
    for plane in (1, 2):
        _finish(widget, qtbot, plane)
    objects = project.state.objects
    assert [objects[label].plane for label in (1, 2)] == [(1, None, None), (2, None, None)]
    assert [objects[label].box for label in (1, 2)] == [_square(1), _square(2)]
    layer = project.layer
    assert layer.multiscale
    assert [level.shape for level in layer.data] == [
        SHAPE, (3, 2500, 2500), (3, 1250, 1250), (3, 625, 625), (3, 313, 313),
    ]  # fmt: skip
    for plane, expected in ((0, set()), (1, {1}), (2, {2})):
        _show(viewer, plane)
        assert set(np.unique(_look(viewer)).tolist()) == {0} | expected
    control.undo()
    _wait(qtbot, lambda: sorted(project.state.objects) == [1])
    assert not _look(viewer).any()
    control.redo()
    _wait(qtbot, lambda: sorted(project.state.objects) == [1, 2])
    assert 2 in _look(viewer)
    _take_up(widget, qtbot)
    _paint(widget, qtbot)
    _wait(qtbot, lambda: not project.view.is_saving)
    shutil.copytree(
        tmp_path / "projects", tmp_path / "killed", ignore=shutil.ignore_patterns("*.lock")
    )
    _check_resumed(open_widget, qtbot, tmp_path, monkeypatch)
    _check_exported(tmp_path)


def _roll(widget: Any, messages: list[str]) -> None:
    """With other axes on the screen the first click is refused, with what to do."""
    _show(widget.viewer, 1)
    widget.viewer.dims.order = (1, 0, 2)
    widget.controller.click((1, TOPS[1] + 5, LEFT + 5), "positive")
    assert "roll the axes back" in messages[-1]
    assert widget.controller.active is None
    widget.viewer.dims.order = (0, 1, 2)
    _look_at(widget.viewer, (2300, 2600), 0.5)


def _take_up(widget: Any, qtbot: Any) -> None:
    """Object 1 comes back from another plane, and goes on with one more click."""
    control = widget.controller
    control.take_up(1)
    _wait(qtbot, lambda: control.active is not None and control.active.prediction is not None)
    assert control.object_line == "Correcting object 1 on slice 1"
    assert widget.viewer.dims.current_step[0] == 1
    click(widget.viewer, (TOPS[1] + 100, LEFT + 100))
    _wait(qtbot, lambda: len(control.active.predicted_clicks) == 2 and not control.is_busy)
    control.finish()
    _wait(qtbot, lambda: control.project.state.objects[1].n_positive == 2)
    assert (control.project.read(_square(1), (1, None, None)) == 1).all()


def _paint(widget: Any, qtbot: Any) -> None:
    """The brush takes the first rows of object 1 away and makes object 3, on plane 1 alone."""
    brush = next(panel for _, panel in widget.panels if isinstance(panel, BrushWindow))
    brush.start_button.click()
    _wait(qtbot, lambda: brush.layer is not None)
    layer: Any = brush.layer
    assert layer.data.shape[0] == 1
    at, y0, x0 = (round(value) for value in layer.translate)
    assert at == 1
    rows, columns = np.mgrid[TOPS[1] - y0 : TOPS[1] - y0 + 10, LEFT - x0 : LEFT - x0 + W]
    layer.data_setitem((np.zeros(rows.size, int), rows.ravel(), columns.ravel()), 0)
    layer.paint((0, TOPS[1] - y0 - 40, LEFT - x0 + 50), layer.selected_label)
    brush.keep_button.click()
    _wait(qtbot, lambda: brush.layer is None)
    objects = widget.controller.project.state.objects
    assert objects[1].area_px == (H - 10) * W
    assert objects[3].plane == (1, None, None)
    assert objects[2].area_px == H * W


def _check_resumed(
    open_widget: Callable[..., Any], qtbot: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies on disk while the window still runs is what a kill leaves; another resumes it."""
    monkeypatch.setenv("NAPARI_EDGEFLOW_PROJECTS", str(folder / "killed"))
    again = _open(open_widget, qtbot, show=False)
    project = again.controller.project
    assert project.offer is not None
    project.resume()
    _wait(qtbot, lambda: sorted(project.state.objects) == [1, 2, 3])
    assert (project.read(_square(2), (2, None, None)) == 2).all()
    finest = project.layer.data[0]
    assert np.unique(finest[1, 2000:2600, 2300:2900]).tolist() == [0, 1, 3]
    assert not np.asarray(project.layer.data[4][0]).any()
    again.controller.undo()
    _wait(qtbot, lambda: sorted(project.state.objects) == [1, 2])
    assert (project.read(_square(1), (1, None, None)) == 1).all()
    facts = ImageFacts.of_layer(again.controller.image)
    done: list[Finished] = []
    project.run(lambda history: Finished.of(history, facts, (2, None, None)), done.append, _fail)
    _wait(qtbot, lambda: bool(done))
    done[0].write("label_tiff", folder / "plane.tif")
    _check_mask(folder / "plane.tif")
    _wait(qtbot, lambda: not project.view.is_saving)


def _fail(error: Exception) -> None:
    raise error


def _check_mask(path: Path) -> None:
    import tifffile

    written = tifffile.imread(path)
    assert written.shape == SHAPE[1:]
    assert np.flatnonzero(written.any(axis=1))[[0, -1]].tolist() == [TOPS[2], TOPS[2] + H - 1]
    assert int((written == 2).sum()) == H * W


def _check_exported(folder: Path) -> None:
    """The command's reading of the same project: a set for each plane with objects."""
    (journal,) = (folder / "projects").glob("*.edgeflow")
    copy = folder / "projects-copy"
    shutil.copytree(folder / "projects", copy, ignore=shutil.ignore_patterns("*.lock"))
    with ExitStack() as opened:
        sets = annotated_project(copy / journal.name, None, FORMATS["coco"], opened)
        assert [[one.id for one in each.objects] for each in sets] == [[1, 3], [2]]
        assert (sets[1].labels.read(_square(2)) == 2).all()
        assert (sets[0].labels.read(Window(2110, LEFT, 2400, LEFT + W)) == 1).all()
