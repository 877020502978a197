"""The refine panel in a real window, on a session whose network sees 16 px a side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from tests.inference.fakes import ColourPredictor

from napari_edgeflow._types import AnyArray, BoolArray, Click, FloatArray
from napari_edgeflow.gui.panels.refine_panel import RefinePanel
from napari_edgeflow.gui.planes import PlaneImage
from napari_edgeflow.inference.predictor import RawPrediction
from napari_edgeflow.inference.session import Session
from napari_edgeflow.raster.open import open_raster
from napari_edgeflow.raster.stretch import Stretch

from .fakes import PATIENCE_S, FakePredictor

FULL = Stretch((0.0,) * 3, (255.0,) * 3)


class GatedPredictor(ColourPredictor):
    """Waits at the fake predictor's gate before each answer."""

    def __init__(self, fake: FakePredictor) -> None:
        super().__init__(32)
        self._fake = fake

    def predict(
        self, image: FloatArray, clicks: Sequence[Click], prior: FloatArray | None
    ) -> RawPrediction:
        self._fake.started.set()
        assert self._fake.gate.wait(2 * PATIENCE_S), "the test never opened the gate"
        return super().predict(image, clicks, prior)


def _session(image: PlaneImage, predictor: FakePredictor, field_of_view: float | None) -> Session:
    source, axes, index = image.source()
    raster = open_raster(source, axes=axes, index=index)
    return Session(raster, GatedPredictor(predictor), field_of_view, stretch=FULL)


def _truth() -> BoolArray:
    y, x = np.mgrid[:256, :256]
    angle = np.arctan2(y - 128, x - 128)
    inside: BoolArray = np.hypot(y - 128, x - 128) < 80 + 6 * np.sin(13 * angle)
    return inside


def _picture() -> AnyArray:
    image = np.full((256, 256, 3), 90, np.uint8)
    image[_truth()] = (220, 0, 0)
    return image


@pytest.fixture
def open_panel(open_widget: Callable[..., Any], settle: Any) -> Callable[[], Any]:
    """(panel, controller) of a window in which the object was clicked once."""

    def make() -> Any:
        widget = open_widget(_picture(), session=_session)
        controller = widget.controller
        settle(controller)
        panel = next(part for _, part in widget.panels if isinstance(part, RefinePanel))
        assert not panel.start_button.isEnabled()
        assert "Click on a large object" in panel.line.text()
        controller.click((128, 128), "positive")
        settle(controller)
        return panel, controller

    return make


def test_the_button_makes_the_preview_exact_and_the_other_takes_it_back(
    open_panel: Any, settle: Any, preview_mask: Any
) -> None:
    panel, controller = open_panel()
    coarse = preview_mask(controller, (256, 256))
    assert panel.start_button.isEnabled()
    assert not panel.back_button.isEnabled()
    assert (coarse != _truth()).any()
    panel.start_button.click()
    settle(controller)
    np.testing.assert_array_equal(preview_mask(controller, (256, 256)), _truth())
    assert "full resolution" in panel.line.text()
    assert not panel.start_button.isEnabled()
    panel.back_button.click()
    settle(controller)
    np.testing.assert_array_equal(preview_mask(controller, (256, 256)), coarse)
    assert panel.start_button.isEnabled()


def test_progress_is_shown_and_cancel_leaves_the_outline(
    open_panel: Any, settle: Any, qtbot: Any, predictor: FakePredictor, preview_mask: Any
) -> None:
    panel, controller = open_panel()
    coarse = preview_mask(controller, (256, 256))
    told: list[tuple[int, int]] = []
    panel._refining.progressed.connect(lambda done, total: told.append((done, total)))
    predictor.gate.clear()
    predictor.started.clear()
    panel.start_button.click()
    qtbot.waitUntil(predictor.started.is_set, timeout=PATIENCE_S * 1000)
    assert panel._refining.is_running
    assert not panel.progress.isHidden()
    assert not panel.cancel_button.isHidden()
    panel.cancel_button.click()
    predictor.gate.set()
    settle(controller)
    np.testing.assert_array_equal(preview_mask(controller, (256, 256)), coarse)
    assert panel.progress.isHidden()
    assert panel.start_button.isEnabled()
    panel.start_button.click()
    settle(controller)
    assert told
    assert told[-1][0] == told[-1][1]
    np.testing.assert_array_equal(preview_mask(controller, (256, 256)), _truth())


def test_a_click_stops_it_and_counts(
    open_panel: Any, settle: Any, qtbot: Any, predictor: FakePredictor, preview_mask: Any
) -> None:
    panel, controller = open_panel()
    predictor.gate.clear()
    predictor.started.clear()
    panel.start_button.click()
    qtbot.waitUntil(predictor.started.is_set, timeout=PATIENCE_S * 1000)
    controller.click((10, 10), "negative")
    predictor.gate.set()
    settle(controller)
    assert not panel._refining.is_running
    assert not panel._refining.is_refined
    assert not preview_mask(controller, (256, 256))[10, 10]
    assert controller.active.predicted_clicks is not None
    assert len(controller.active.predicted_clicks) == 2


def test_a_refined_object_is_committed_as_it_is_shown(open_panel: Any, settle: Any) -> None:
    panel, controller = open_panel()
    panel.start_button.click()
    settle(controller)
    controller.finish()
    settle(controller)
    project = controller.project
    np.testing.assert_array_equal(project.layer.data == 1, _truth())
    assert project.state.objects[1].is_edited
    assert not panel.start_button.isEnabled()
    controller.undo()
    settle(controller)
    assert not (project.layer.data == 1).any()


def test_every_control_has_a_tooltip_and_fits(open_panel: Any) -> None:
    panel, _ = open_panel()
    parts = (panel.start_button, panel.back_button, panel.cancel_button, panel.progress, panel.line)
    assert all(part.toolTip() for part in parts)
    assert panel.minimumSizeHint().width() <= 300
