"""A long session by mouse and keys in a real window: a hundred objects, undo, close, resume."""

from __future__ import annotations

import gc
import threading
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_edgeflow._types import AnyArray, Click
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.widget import EdgeFlowWidget

from .canvas import NO_KEY, RIGHT, click, native_canvas
from .conftest import MODELS
from .fakes import PATIENCE_S, FakePredictor, FakeSession, region

ROWS, COLUMNS, PITCH, SIDE = 10, 10, 14, 11
N, N_BACK = ROWS * COLUMNS, 6
ENTER, SPACE, U = Qt.Key.Key_Return, Qt.Key.Key_Space, Qt.Key.Key_U
BACKSPACE = Qt.Key.Key_Backspace
SHIFT = Qt.KeyboardModifier.ShiftModifier


def cells() -> AnyArray:
    """A hundred bright squares on a dark ground."""
    image: AnyArray = np.zeros((ROWS * PITCH, COLUMNS * PITCH), np.uint8)
    for row in range(ROWS):
        for column in range(COLUMNS):
            y, x = row * PITCH + 1, column * PITCH + 1
            image[y : y + SIDE, x : x + SIDE] = 200
    return image


def middle(number: int) -> tuple[int, int]:
    """Centre of a square."""
    row, column = divmod(number, COLUMNS)
    return row * PITCH + 1 + SIDE // 2, column * PITCH + 1 + SIDE // 2


def corner(number: int) -> tuple[int, int]:
    """A pixel near the square's corner, where something is taken away."""
    y, x = middle(number)
    return y - SIDE // 2 + 1, x - SIDE // 2 + 1


@dataclass
class Session:
    """A window with the click tool on, and what it held after each object."""

    viewer: Any
    widget: EdgeFlowWidget
    qtbot: Any
    seen: dict[int, tuple[dict[int, Any], AnyArray]] = field(default_factory=dict)

    @property
    def control(self) -> Controller:
        return self.widget.controller

    @property
    def state(self) -> State:
        assert self.control.project is not None
        return self.control.project.state

    @property
    def labels(self) -> AnyArray:
        assert self.control.target is not None
        return np.array(self.control.target.data)

    def settle(self) -> None:
        self.qtbot.waitUntil(lambda: not self.control.is_busy, timeout=PATIENCE_S * 1000)

    def paint_now_and_then(self, number: int) -> None:
        """Let the window draw every fifth object only: all else is the same, and faster."""
        self.viewer.window._qt_window.setUpdatesEnabled(number % 5 == 0)

    def press(self, key: Any, times: int = 1, modifier: Any = NO_KEY) -> None:
        for _ in range(times):
            QTest.keyClick(native_canvas(self.viewer), key, modifier)
        self.settle()

    def annotate(self, number: int) -> None:
        """Click on an object as a user does: sometimes beside it too, sometimes wrongly first."""
        click(self.viewer, middle(number))
        if number % 3 == 0:
            click(self.viewer, corner(number), RIGHT)
        if number % 5 == 0:
            click(self.viewer, middle((number + 1) % N))
            QTest.keyClick(native_canvas(self.viewer), BACKSPACE)
        if number % 7 == 0:
            QTest.keyClick(native_canvas(self.viewer), U)
            QTest.keyClick(native_canvas(self.viewer), U, SHIFT)
            self.settle()
        self.press(SPACE if number % 2 else ENTER)
        self.seen[len(self.state.objects)] = dict(self.state.objects), self.labels


def expected(image: AnyArray) -> AnyArray:
    """The oracle: every square under its id, less the discs around the clicks beside it."""
    labels: AnyArray = np.zeros(image.shape, np.uint32)
    for number in range(N):
        clicks = [Click(*middle(number))]
        if number % 3 == 0:
            clicks.append(Click(*corner(number), False))
        labels[region(image, clicks)] = number + 1
    return labels


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, cells())
    return path


@pytest.fixture
def begin(make_napari_viewer: Any, qtbot: Any, file: Path) -> Any:
    """Opens the file in a window; keeps nothing of it."""

    def do() -> Session:
        viewer = make_napari_viewer(show=True)
        viewer.add_image(tifffile.imread(file), name="cells", metadata={"path": str(file)})
        control = Controller(viewer, lambda _name: FakePredictor(), FakeSession)
        widget = EdgeFlowWidget(viewer, control, MODELS)
        viewer.window.add_dock_widget(widget, name="EdgeFlow")
        session = Session(viewer, widget, qtbot)
        session.settle()
        widget.tool_button.setChecked(True)
        session.settle()
        return session

    return do


def disturb(session: Session, number: int) -> None:
    """What other people do to layers while somebody works."""
    layers, control = session.viewer.layers, session.control
    binding: Any = control.binding
    labels: Any = control.target
    image: Any = control.image
    clicks: Any = binding.clicks.layer("positive")
    if number == 20:
        image.name, labels.name, clicks.name = "picture", "my nuclei", "here"
    elif number == 35:
        layers.move(layers.index(labels), len(layers))
        layers.move(layers.index(image), len(layers))
        layers.move(layers.index(clicks), 0)
    elif number == 50:
        for layer in (image, labels, clicks, binding.preview.layer):
            layer.visible = False
    elif number == 60:
        for layer in layers:
            layer.visible = True
    elif number == 65:
        layers.remove(labels)
    elif number == 75:
        for kind in ("positive", "negative"):
            layers.remove(binding.clicks.layer(kind))
        layers.remove(binding.preview.layer)
    elif number == 85:
        session.viewer.layers.selection.clear()


def check(session: Session) -> None:
    """The window holds what it held when it had as many objects as now."""
    objects, labels = session.seen[len(session.state.objects)]
    assert dict(session.state.objects) == objects
    np.testing.assert_array_equal(session.labels, labels)


def close(session: Session, qtbot: Any) -> list[weakref.ref[Any]]:
    """Close the window; what must be gone then."""
    control = session.control
    ours = [session.widget, control, control.project, control.binding, control.target]
    ours += [panel for _, panel in session.widget.panels]
    watched = [weakref.ref(one) for one in ours if one is not None]
    session.viewer.close()
    workers = (control.worker, control.projects.worker)
    for worker in workers:
        qtbot.waitUntil(lambda worker=worker: not worker.is_alive, timeout=PATIENCE_S * 1000)
    return watched


@pytest.mark.slow
def test_a_hundred_objects_by_mouse_and_keys(begin: Any, qtbot: Any) -> None:
    session = begin()
    for number in range(N):
        session.paint_now_and_then(number)
        disturb(session, number)
        qtbot.wait(1)  # vispy dies of a click between a layer's end and the next drawing
        session.annotate(number)
    done, labels = session.state, session.labels
    np.testing.assert_array_equal(labels, expected(cells()))
    assert [record.id for record in done.objects.values()] == list(range(1, N + 1))

    for _ in range(N_BACK):
        session.press(U, 10)
        check(session)
    assert len(session.state.objects) < N - 3 * N_BACK
    for _ in range(N_BACK):
        session.press(U, 10, SHIFT)
        check(session)
    assert session.state == done
    np.testing.assert_array_equal(session.labels, labels)

    watched = close(session, qtbot)
    del session
    qtbot.wait(1)
    gc.collect()
    assert [repr(ref()) for ref in watched if ref() is not None] == []
    assert not [one for one in threading.enumerate() if "edgeflow" in one.name]

    again = begin()
    again.widget.resume_bar.resume_button.click()
    again.settle()
    assert again.state == done
    np.testing.assert_array_equal(again.labels, labels)
    close(again, qtbot)
