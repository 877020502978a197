"""The whole way with the bundled weights: a click in napari gives the Python API's mask."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel

from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.inference.predictor import Predictor
from napari_edgeflow.inference.session import Session


def blob_image() -> Any:
    """A bright disc on a dark noisy ground, 16 bit."""
    y, x = np.mgrid[:160, :200]
    disc = (y - 70) ** 2 + (x - 90) ** 2 <= 25**2
    noise = np.random.default_rng(0).normal(0, 300, disc.shape)
    return np.clip(np.where(disc, 20_000, 4_000) + noise, 0, 65_535).astype(np.uint16)


def test_the_viewer_gives_the_mask_of_the_python_api(qtbot: Any) -> None:
    viewer = ViewerModel()
    viewer.canvas.size = (400, 400)
    viewer.scene.camera.zoom = 4.0
    controller = Controller(viewer)
    controller.bind(viewer.add_image(blob_image(), scale=(0.5, 0.5)))
    controller.threshold = 0.4
    controller.click((35.0, 45.0), "positive")
    controller.click((10.0, 10.0), "negative")
    qtbot.waitUntil(lambda: not controller.is_busy, timeout=60_000)
    active = controller.active
    assert active is not None
    assert active.prediction is not None
    session = Session(blob_image(), Predictor.from_zoo(), field_of_view=160.0)
    session.threshold = 0.4
    session.add_click(70.0, 90.0)
    expected = session.add_click(20.0, 20.0, is_positive=False)
    assert active.prediction.window == expected.window
    assert np.array_equal(active.prediction.mask, expected.mask)
    assert expected.mask[70 - expected.window.y0, 90 - expected.window.x0]
    assert controller.device_line == Predictor.from_zoo().device_line
    controller.close()
    qtbot.waitUntil(lambda: not controller.worker.is_alive)
