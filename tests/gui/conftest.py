"""Fixtures of the window's tests: a controller on fakes, and the messages that were shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.utils.notifications import notification_manager

from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.widget import EdgeFlowWidget

from .fakes import PATIENCE_S, FakePredictor, FakeSession

MODELS = [("fake", "region grow"), ("other", "the same")]


def wait_for_threads(qtbot: Any, controller: Controller) -> None:
    """Wait until the threads of a closed controller have ended."""
    for worker in (controller.worker, controller.projects.worker):
        qtbot.waitUntil(
            lambda worker=worker: not worker.is_alive,
            timeout=PATIENCE_S * 1000,
        )


@pytest.fixture(autouse=True)
def spare_projects(tmp_path_factory: pytest.TempPathFactory, monkeypatch: Any) -> Path:
    """A folder of the test's own for the steps of images without a file."""
    folder: Path = tmp_path_factory.mktemp("projects")
    monkeypatch.setenv("NAPARI_EDGEFLOW_PROJECTS", str(folder))
    return folder


@pytest.fixture
def messages() -> Iterator[list[str]]:
    """Texts of the napari notifications of the test."""
    shown: list[str] = []

    def note(event: Any) -> None:
        shown.append(str(event.message))

    notification_manager.notification_ready.connect(note)
    yield shown
    notification_manager.notification_ready.disconnect(note)


@pytest.fixture
def predictor() -> FakePredictor:
    return FakePredictor()


@pytest.fixture
def make_controller(qtbot: Any, predictor: FakePredictor) -> Iterator[Callable[..., Controller]]:
    made: list[Controller] = []

    def make(viewer: Any) -> Controller:
        controller = Controller(viewer, lambda _name: predictor, FakeSession)
        made.append(controller)
        return controller

    yield make
    predictor.gate.set()
    for controller in made:
        controller.close()
        wait_for_threads(qtbot, controller)


@pytest.fixture
def settle(qtbot: Any) -> Callable[[Controller], None]:
    """Wait until the controller's workers have nothing left to do."""

    def wait(controller: Controller) -> None:
        qtbot.waitUntil(lambda: not controller.is_busy, timeout=PATIENCE_S * 1000)

    return wait


@pytest.fixture
def preview_mask() -> Callable[[Controller, tuple[int, ...]], Any]:
    """The preview's pixels in an array of the image's shape."""

    def full(controller: Controller, shape: tuple[int, ...]) -> Any:
        whole = np.zeros(shape, dtype=bool)
        layer = controller.binding.preview.layer if controller.binding else None
        if layer is not None and layer.data.any():
            start = [round(float(t)) for t in layer.translate]
            box = tuple(slice(s, s + n) for s, n in zip(start, layer.data.shape, strict=True))
            whole[box] = layer.data.astype(bool)
        return whole

    return full


@pytest.fixture
def open_widget(
    make_napari_viewer: Any, predictor: FakePredictor, qtbot: Any
) -> Iterator[Callable[..., EdgeFlowWidget]]:
    opened: list[EdgeFlowWidget] = []

    def make(
        image: Any = None, show: bool = True, session: Any = FakeSession, **kwargs: Any
    ) -> EdgeFlowWidget:
        viewer = make_napari_viewer(show=show)
        if image is not None:
            viewer.add_image(image, **kwargs)
        controller = Controller(viewer, lambda _name: predictor, session)
        widget = EdgeFlowWidget(viewer, controller, MODELS)
        viewer.window.add_dock_widget(widget, name="EdgeFlow")
        opened.append(widget)
        qtbot.waitUntil(lambda: not controller.is_busy, timeout=PATIENCE_S * 1000)
        qtbot.wait(1)
        return widget

    yield make
    predictor.gate.set()
    for widget in opened:
        widget._let_go()
        wait_for_threads(qtbot, widget.controller)
