"""Who keeps contested pixels: the user is asked whatever the size of the object."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_edgeflow._types import AnyArray, MaskPatch, Prediction, Window
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.objects import ObjectRecord
from napari_edgeflow.annotation.store import ArrayStore
from napari_edgeflow.annotation.tiling import tiles_of
from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.projects.overlap import OverlapFoundError, check_overlaps

from .fakes import FakePredictor, FakeSession, squares

WINDOW = Window(3, 5, 43, 65)


def _state(*, locked: int = 0) -> tuple[State, AnyArray]:
    labels = np.zeros((60, 80), np.uint32)
    labels[0:10, 0:20], labels[20:30, 60:80] = 1, 2
    boxes = {1: Window(0, 0, 10, 20), 2: Window(20, 60, 30, 80)}
    objects = {i: ObjectRecord(i, 1, box, 200, is_locked=i == locked) for i, box in boxes.items()}
    return State(ClassList().add("field"), objects), labels


def _in_cells(mask: AnyArray) -> Prediction:
    """The mask in cells that say nothing true, under patches of pixels that do."""
    patches = tuple(MaskPatch(t, mask[t.relative_to(WINDOW).slices]) for t in tiles_of(WINDOW, 13))
    cells = np.random.default_rng(0).random((10, 15)) > 0.5
    return Prediction(WINDOW, cells.astype(np.float32), cells, 0.9, 4, patches=patches)


@pytest.mark.parametrize("is_coarse", [False, True])
@pytest.mark.parametrize("tile_px", [7, 1024])
def test_the_question_counts_pixels_not_cells(is_coarse: bool, tile_px: int) -> None:
    mask = np.random.default_rng(1).random(WINDOW.shape) > 0.4
    state, labels = _state()
    whole = np.zeros(labels.shape, bool)
    whole[WINDOW.slices] = mask
    wanted = {i: int((whole & (labels == i)).sum()) for i in (1, 2)}
    prediction = _in_cells(mask)
    if not is_coarse:
        prediction = Prediction(WINDOW, mask.astype(np.float32), mask, 0.9)
    store = ArrayStore(labels)
    with pytest.raises(OverlapFoundError) as raised:
        check_overlaps(state, store, prediction, None, tile_px=tile_px)
    for label, count in wanted.items():
        assert f"object {label} “field” ({count} px)" in str(raised.value)
    with pytest.raises(OverlapFoundError, match=r"partly on object 2 “field” \(\d+ px\)\. Who"):
        check_overlaps(state, store, prediction, 1, tile_px=tile_px)
    locked, _ = _state(locked=2)
    check_overlaps(locked, store, prediction, 1, tile_px=tile_px)


class CoarseSession(FakeSession):
    """Keeps its answer in cells of 4 px, as for an object too large for an array of pixels."""

    @property
    def prediction(self) -> Prediction | None:
        found = super().prediction
        if found is None:
            return None
        patch = MaskPatch(found.window, found.mask)
        cells = found.mask[::4, ::4]
        return Prediction(
            found.window, cells.astype(np.float32), cells, 0.9, 4, 4.0, patches=(patch,)
        )


def test_the_user_is_asked_about_an_object_found_at_a_coarse_level(
    settle: Any, predictor: FakePredictor
) -> None:
    viewer = ViewerModel()
    image = viewer.add_image(squares())
    controller: Any = Controller(viewer, lambda _name: predictor, CoarseSession)
    try:
        controller.bind(image)
        settle(controller)
        asked: list[tuple[str, Any]] = []
        controller.ask_overlaps_by(lambda text, answer: asked.append((text, answer)))
        controller.overlap_rule = "ask"
        for place in ((15, 20), (15, 20)):
            controller.click(place, "positive")
            settle(controller)
            controller.finish()
            settle(controller)
        ((text, answer),) = asked
        assert text.startswith("The object lies partly on object 1 “object” (300 px).")
        assert set(controller.project.state.objects) == {1}
        answer("new_on_top")
        settle(controller)
        assert set(controller.project.state.objects) == {2}
    finally:
        controller.close()
