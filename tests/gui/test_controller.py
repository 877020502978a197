"""The controller on napari's viewer model (no window), with a fake session."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_edgeflow._types import AnyArray, Click
from napari_edgeflow.gui.controller import Controller

from .fakes import PATIENCE_S, FakePredictor, region, squares

Settle = Callable[[Controller], None]
PreviewMask = Callable[[Controller, tuple[int, ...]], Any]


@pytest.fixture
def viewer() -> Any:
    return ViewerModel()


@pytest.fixture
def bound(viewer: Any, make_controller: Any) -> Any:
    """A controller on the image of the two squares."""
    image = viewer.add_image(squares())
    controller = make_controller(viewer)
    controller.bind(image)
    return controller


def clicks_of(controller: Any) -> list[Click]:
    assert controller.binding is not None
    plane = controller.binding.shown_plane
    assert plane is not None
    return [logged.click for logged in controller.binding.log.on_plane(plane)]


def commit_at(controller: Controller, settle: Settle, y: float, x: float) -> None:
    controller.click((y, x), "positive")
    settle(controller)
    controller.finish()
    settle(controller)


# --- clicks ------------------------------------------------------------------------------


def test_a_click_makes_the_mask_of_the_object(
    bound: Any, settle: Settle, preview_mask: PreviewMask
) -> None:
    bound.click((15.0, 20.0), "positive")
    settle(bound)
    expected = region(squares(), [Click(15, 20)])
    assert expected.sum() == 15 * 20
    assert np.array_equal(preview_mask(bound, (60, 80)), expected)
    assert bound.binding.preview.layer.data.shape == (15, 20)
    assert bound.device_line == "fake · no network"
    assert str(bound.timings).startswith("read 1 · network 2 · post 3 · layer")


def test_sign_and_order_reach_the_session(
    bound: Any, settle: Settle, predictor: FakePredictor
) -> None:
    bound.click((15.0, 20.0), "positive")
    bound.click((12.4, 11.6), "negative")
    bound.click((40.0, 50.0), "positive")
    settle(bound)
    expected = (Click(15, 20), Click(12.4, 11.6, False), Click(40, 50))
    assert predictor.click_lists[-1] == expected


def test_moving_a_point_moves_the_mask(
    bound: Any, settle: Settle, preview_mask: PreviewMask
) -> None:
    bound.click((15.0, 20.0), "positive")
    settle(bound)
    layer = bound.binding.clicks.layer("positive")
    layer.data = np.array([[40.0, 50.0]])
    settle(bound)
    assert clicks_of(bound) == [Click(40, 50)]
    assert np.array_equal(preview_mask(bound, (60, 80)), region(squares(), [Click(40, 50)]))


def test_deleting_the_first_point_keeps_the_order_of_the_others(
    bound: Any, settle: Settle, predictor: FakePredictor
) -> None:
    for place in ((15, 20), (40, 50), (12, 12), (2, 2)):
        bound.click(place, "negative" if place == (12, 12) else "positive")
    settle(bound)
    bound.binding.clicks.layer("positive").remove([0])
    settle(bound)
    expected = (Click(40, 50), Click(12, 12, False), Click(2, 2))
    assert predictor.click_lists[-1] == expected


def test_deleting_every_point_clears_the_mask(
    bound: Any, settle: Settle, preview_mask: PreviewMask
) -> None:
    bound.click((15, 20), "positive")
    settle(bound)
    layer = bound.binding.clicks.layer("positive")
    layer.selected_data = {0}
    layer.remove_selected()
    settle(bound)
    assert not preview_mask(bound, (60, 80)).any()
    assert bound.active is None
    bound.undo()
    settle(bound)
    assert preview_mask(bound, (60, 80)).sum() == 300


def test_emptying_the_layer_by_assignment_clears_the_mask(
    bound: Any, settle: Settle, preview_mask: PreviewMask
) -> None:
    bound.click((15, 20), "positive")
    bound.click((40, 50), "positive")
    settle(bound)
    bound.binding.clicks.layer("positive").data = np.empty((0, 2))
    settle(bound)
    assert bound.active is None
    assert not preview_mask(bound, (60, 80)).any()


def test_a_point_added_in_the_layer_is_a_click(
    bound: Any, settle: Settle, preview_mask: PreviewMask
) -> None:
    bound.show_layers()
    bound.binding.clicks.layer("positive").add([[15, 20], [40, 50]])
    bound.binding.clicks.layer("negative").add([[11, 11]])
    settle(bound)
    expected = [Click(15, 20), Click(40, 50), Click(11, 11, False)]
    assert clicks_of(bound) == expected
    assert np.array_equal(preview_mask(bound, (60, 80)), region(squares(), expected))


@pytest.mark.parametrize("place", [(-0.6, 10), (10, 79.6), (1e6, 1e6), (float("nan"), 3)])
def test_a_click_outside_is_refused_with_a_message(
    bound: Any, settle: Settle, qtbot: Any, messages: list[str], place: tuple[float, float]
) -> None:
    bound.click((15, 20), "positive")
    settle(bound)
    bound.click(place, "positive")
    qtbot.waitUntil(
        lambda: len(bound.binding.clicks.layer("positive").data) == 1, timeout=PATIENCE_S * 1000
    )
    assert clicks_of(bound) == [Click(15, 20)]
    assert any("Expected a click on the image" in text for text in messages)


def test_a_point_added_outside_is_taken_back(
    bound: Any, settle: Settle, qtbot: Any, messages: list[str]
) -> None:
    bound.click((15, 20), "positive")
    settle(bound)
    bound.binding.clicks.layer("negative").add([[15, 300], [11, 11]])
    qtbot.waitUntil(
        lambda: len(bound.binding.clicks.layer("negative").data) == 1, timeout=PATIENCE_S * 1000
    )
    settle(bound)
    assert clicks_of(bound) == [Click(15, 20), Click(11, 11, False)]
    assert any("Expected a click on the image" in text for text in messages)


@pytest.mark.parametrize("place", [(-0.4, -0.4), (59.4, 79.4)])
def test_the_outermost_pixels_can_be_clicked(
    bound: Any, settle: Settle, place: tuple[float, float]
) -> None:
    bound.click(place, "positive")
    settle(bound)
    assert bound.active.prediction.mask[Click(*place).pixel]


def test_a_point_moved_out_of_the_image_moves_back(
    bound: Any, settle: Settle, qtbot: Any, messages: list[str]
) -> None:
    bound.click((15, 20), "positive")
    settle(bound)
    layer = bound.binding.clicks.layer("positive")
    layer.data = np.array([[15.0, 200.0]])
    qtbot.waitUntil(lambda: np.array_equal(layer.data, [[15, 20]]), timeout=PATIENCE_S * 1000)
    assert clicks_of(bound) == [Click(15, 20)]
    assert any("moved back" in text for text in messages)


# --- undo, redo, reset -------------------------------------------------------------------


def test_undo_and_redo_go_through_clicks_moves_and_resets(
    bound: Any, settle: Settle, preview_mask: PreviewMask
) -> None:
    states = []

    def note() -> None:
        settle(bound)
        states.append((clicks_of(bound), preview_mask(bound, (60, 80))))

    note()
    bound.click((15, 20), "positive")
    note()
    bound.click((12, 12), "negative")
    note()
    bound.binding.clicks.layer("negative").data = np.array([[20.0, 25.0]])
    note()
    bound.reset()
    note()
    assert states[4][0] == []
    for step in (bound.undo, bound.redo):
        order = range(3, -1, -1) if step == bound.undo else range(1, 5)
        for i in order:
            step()
            settle(bound)
            assert clicks_of(bound) == states[i][0]
            assert np.array_equal(preview_mask(bound, (60, 80)), states[i][1]), (step, i)
            rows = bound.binding.clicks.layer("positive").data
            assert len(rows) == sum(click.is_positive for click in states[i][0])


def test_a_new_click_forgets_what_was_undone(bound: Any, settle: Settle) -> None:
    bound.click((15, 20), "positive")
    bound.click((40, 50), "positive")
    bound.undo()
    settle(bound)
    assert bound.project.can_redo
    bound.click((2, 2), "positive")
    settle(bound)
    assert not bound.project.can_redo
    assert clicks_of(bound) == [Click(15, 20), Click(2, 2)]


# --- settings ----------------------------------------------------------------------------


def test_threshold_and_largest_part_run_no_network(
    bound: Any, settle: Settle, predictor: FakePredictor, preview_mask: PreviewMask
) -> None:
    bound.click((15, 20), "positive")
    settle(bound)
    runs = predictor.runs
    bound.largest_component = False
    settle(bound)
    assert np.array_equal(preview_mask(bound, (60, 80)), squares() == 200)
    bound.threshold = 0.7
    settle(bound)
    assert np.array_equal(preview_mask(bound, (60, 80)), region(squares(), [Click(15, 20)]))
    bound.threshold = 0.95
    settle(bound)
    assert not preview_mask(bound, (60, 80)).any()
    assert predictor.runs == runs


def test_clicks_right_after_the_threshold_are_kept(
    viewer: Any, make_controller: Any, settle: Settle, preview_mask: PreviewMask
) -> None:
    controller = make_controller(viewer)
    controller.bind(viewer.add_image(squares()))  # its project is still being opened
    controller.threshold = 0.4
    controller.click((15, 20), "positive")
    settle(controller)
    assert controller.active is not None
    assert preview_mask(controller, (60, 80))[15, 20]
    controller.undo()
    settle(controller)
    assert controller.active is None


def test_a_threshold_outside_0_1_is_refused(bound: Any) -> None:
    with pytest.raises(ValueError, match="between 0 and 1, got 1"):
        bound.threshold = 1


def test_another_model_gives_the_mask_again(
    viewer: Any, make_controller: Any, settle: Settle, predictor: FakePredictor
) -> None:
    asked = []

    def new_predictor(name: str) -> FakePredictor:
        asked.append(name)
        return predictor

    controller = make_controller(viewer)
    controller._runner.engine._new_predictor = new_predictor
    controller.bind(viewer.add_image(squares()))
    controller.click((15, 20), "positive")
    settle(controller)
    controller.model = "big"
    settle(controller)
    assert asked == ["default", "big"]
    assert predictor.runs == 2


def test_field_of_view_is_what_the_user_saw_at_the_first_click(
    bound: Any, settle: Settle, predictor: FakePredictor, viewer: Any
) -> None:
    viewer.canvas.size = (300, 400)
    viewer.scene.camera.zoom = 10.0
    bound.click((15, 20), "positive")
    settle(bound)
    viewer.scene.camera.zoom = 20.0
    bound.click((16, 20), "positive")
    settle(bound)
    assert predictor.fields_of_view == [30.0, 30.0]
    bound.finish()
    settle(bound)
    bound.click((40, 50), "positive")
    settle(bound)
    viewer.scene.camera.zoom = 0.1
    bound.reset()
    bound.click((40, 50), "positive")
    settle(bound)
    assert predictor.fields_of_view[2:] == [15.0, 60.0]


# --- commit ------------------------------------------------------------------------------


def test_commits_get_ids_and_spare_neighbours(bound: Any, settle: Settle) -> None:
    commit_at(bound, settle, 15, 20)
    bound.click((15, 20), "positive")
    bound.click((40, 50), "positive")
    settle(bound)
    bound.finish()
    settle(bound)
    expected = np.zeros((60, 80), np.uint32)
    expected[region(squares(), [Click(40, 50)])] = 2
    expected[region(squares(), [Click(15, 20)])] = 1
    assert np.array_equal(bound.target.data, expected)
    assert "300 px stayed with its neighbours" in bound.status
    assert bound.object_line == "Next object: 3"
    assert bound.active is None
    assert not len(bound.binding.clicks.layer("positive").data)


def test_overwriting_neighbours_when_asked(bound: Any, settle: Settle) -> None:
    commit_at(bound, settle, 15, 20)
    bound.overlap_rule = "new_on_top"
    commit_at(bound, settle, 15, 20)
    assert set(np.unique(bound.target.data)) == {0, 2}


def test_undo_takes_the_commit_back_and_its_clicks_return(
    bound: Any, settle: Settle, preview_mask: PreviewMask
) -> None:
    commit_at(bound, settle, 15, 20)
    commit_at(bound, settle, 40, 50)
    bound.undo()
    settle(bound)
    expected = np.where(region(squares(), [Click(15, 20)]), 1, 0)
    assert np.array_equal(bound.target.data, expected)
    assert clicks_of(bound) == [Click(40, 50)]
    assert np.array_equal(preview_mask(bound, (60, 80)), region(squares(), [Click(40, 50)]))
    bound.click((2, 2), "positive")
    settle(bound)
    assert bound.active.prediction.mask.sum() == 60 * 80 - 300 - 12


def test_what_others_write_to_the_layer_is_a_step_of_its_own(bound: Any, settle: Settle) -> None:
    commit_at(bound, settle, 15, 20)
    bound.target.data[10:15, 10:30] = 5  # without a word to anybody
    bound.undo()
    settle(bound)
    assert bound.project.redo_title == "paint object 1, 5"
    assert (bound.target.data[10:25, 10:30] == 1).all()
    bound.redo()
    settle(bound)
    assert (bound.target.data[10:15, 10:30] == 5).all()
    records = bound.project.state.objects
    assert {i: record.area_px for i, record in records.items()} == {1: 200, 5: 100}
    bound.undo()
    bound.undo()
    settle(bound)
    assert not bound.target.data.any()
    assert clicks_of(bound) == [Click(15, 20)]


def test_commit_uses_the_next_free_id_of_a_chosen_layer(
    bound: Any, settle: Settle, viewer: Any
) -> None:
    labels = np.zeros((60, 80), np.int32)
    labels[0, 0] = 41
    bound.target = viewer.add_labels(labels)
    settle(bound)
    assert bound.object_line == "Next object: 42"
    commit_at(bound, settle, 15, 20)
    assert set(np.unique(labels)) == {0, 41, 42}


def test_an_id_that_does_not_fit_changes_nothing(
    bound: Any, settle: Settle, viewer: Any, messages: list[str]
) -> None:
    labels = np.zeros((60, 80), np.uint8)
    labels[0, 0] = 255
    before = labels.copy()
    bound.target = viewer.add_labels(labels)
    commit_at(bound, settle, 15, 20)
    assert np.array_equal(labels, before)
    assert clicks_of(bound) == [Click(15, 20)]
    assert any("id 256" in text and "uint8" in text for text in messages)


def test_an_empty_mask_is_not_committed(bound: Any, settle: Settle, messages: list[str]) -> None:
    bound.click((15, 20), "positive")
    bound.threshold = 0.95
    settle(bound)
    bound.finish()
    settle(bound)
    assert not bound.target.data.any()
    assert any("empty" in text for text in messages)
    assert clicks_of(bound) == [Click(15, 20)]


def test_finish_without_an_object_gives_a_message(bound: Any, messages: list[str]) -> None:
    bound.finish()
    assert any("no object to finish" in text for text in messages)


def test_correcting_an_object_keeps_its_id(bound: Any, settle: Settle, viewer: Any) -> None:
    labels = np.zeros((60, 80), np.uint16)
    labels[36:40, 42:50] = 3
    labels[0:5, 0:5] = 4
    bound.target = viewer.add_labels(labels)
    bound.take_up(3)
    settle(bound)
    assert bound.object_line == "Correcting object 3 on the image"
    assert bound.active.prediction.mask.sum() == 32
    bound.click((45, 60), "positive")
    bound.click((36, 42), "negative")
    settle(bound)
    bound.finish()
    settle(bound)
    start = np.zeros((60, 80), dtype=bool)
    start[36:40, 42:50] = True
    expected = np.where(region(squares(), [Click(45, 60), Click(36, 42, False)], start), 3, 0)
    expected[0:5, 0:5] = 4
    assert np.array_equal(labels, expected)
    bound.undo()
    settle(bound)
    assert (labels == 3).sum() == 32


def test_correcting_a_label_that_is_not_there(
    bound: Any, settle: Settle, viewer: Any, messages: list[str]
) -> None:
    bound.target = viewer.add_labels(np.zeros((60, 80), np.uint16))
    bound.take_up(8)
    settle(bound)
    assert bound.active is None
    assert any("got 8" in text for text in messages)


# --- shapes, types, places ---------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
def test_pixel_types(
    viewer: Any, make_controller: Any, settle: Settle, preview_mask: PreviewMask, dtype: type
) -> None:
    controller = make_controller(viewer)
    controller.bind(viewer.add_image(squares(dtype=dtype)))
    controller.click((15, 20), "positive")
    settle(controller)
    assert preview_mask(controller, (60, 80)).sum() == 300


def test_bool_and_nan_pixels(
    viewer: Any, make_controller: Any, settle: Settle, preview_mask: PreviewMask
) -> None:
    image = squares(dtype=np.float32)
    image[30, 30] = np.nan
    controller = make_controller(viewer)
    controller.bind(viewer.add_image(image, contrast_limits=(0, 255)))
    controller.click((15, 20), "positive")
    settle(controller)
    assert preview_mask(controller, (60, 80)).sum() == 300
    controller.bind(viewer.add_image(squares() > 0, name="bool"))
    controller.click((15, 20), "positive")
    settle(controller)
    assert controller.active.prediction is not None


def test_rgb(viewer: Any, make_controller: Any, settle: Settle, preview_mask: PreviewMask) -> None:
    controller = make_controller(viewer)
    controller.bind(viewer.add_image(np.stack([squares()] * 3, axis=-1), rgb=True))
    controller.click((15, 20), "positive")
    settle(controller)
    assert preview_mask(controller, (60, 80)).sum() == 300
    controller.finish()
    settle(controller)
    assert controller.target.data.shape == (60, 80)


def test_the_current_channel_of_a_multichannel_image(
    viewer: Any, make_controller: Any, settle: Settle
) -> None:
    channels = np.stack([np.zeros((60, 80), np.uint16), squares(dtype=np.uint16)])
    controller = make_controller(viewer)
    controller.bind(viewer.add_image(channels))
    viewer.dims.set_point(0, 1)
    controller.click((1, 15, 20), "positive")
    settle(controller)
    assert controller.active.prediction.mask.sum() == 300


def test_multiscale_images(
    viewer: Any, make_controller: Any, settle: Settle, preview_mask: PreviewMask
) -> None:
    levels = [squares(), squares()[::2, ::2]]
    controller = make_controller(viewer)
    controller.bind(viewer.add_image(levels, multiscale=True))
    controller.click((15, 20), "positive")
    settle(controller)
    assert preview_mask(controller, (60, 80)).sum() == 300


PLACEMENTS: dict[str, dict[str, Any]] = {
    "scale": {"scale": (0.3, 0.7)},
    "translate": {"translate": (-20, 1000.5)},
    "rotate": {"rotate": 33.0},
    "shear": {"shear": [0.4]},
    "all": {"scale": (2, 0.5), "rotate": -70.0, "translate": (7, 9), "shear": [0.2]},
    "affine": {"affine": np.array([[0, 2.0, 5], [-1.5, 0, 3], [0, 0, 1]]), "scale": (3, 1)},
}


@pytest.mark.parametrize("name", PLACEMENTS)
def test_any_placement_of_the_image(
    viewer: Any, make_controller: Any, settle: Settle, predictor: FakePredictor, name: str
) -> None:
    image = viewer.add_image(squares(), **PLACEMENTS[name])
    controller = make_controller(viewer)
    controller.bind(image)
    controller.click(image.data_to_world((15.2, 20.3)), "positive")
    settle(controller)
    (click,) = predictor.click_lists[-1]
    assert (click.y, click.x) == pytest.approx((15.2, 20.3), abs=1e-6)
    points, preview = controller.binding.clicks.layer("positive"), controller.binding.preview.layer
    world = image.data_to_world((15.2, 20.3))
    assert np.allclose(points.data_to_world(points.data[0]), world)
    for corner in ((0, 0), (14, 19)):
        on_image = image.data_to_world(np.add(corner, (10, 10)))
        assert np.allclose(preview.data_to_world(corner), on_image)
    controller.finish()
    settle(controller)
    assert np.allclose(controller.target.data_to_world((4, 5)), image.data_to_world((4, 5)))


def test_helper_layers_follow_an_image_that_is_moved(bound: Any, settle: Settle) -> None:
    bound.click((15, 20), "positive")
    settle(bound)
    bound.image.scale = (0.5, 0.25)
    bound.image.translate = (3, 4)
    points, preview = bound.binding.clicks.layer("positive"), bound.binding.preview.layer
    assert np.allclose(points.data_to_world(points.data[0]), (15 * 0.5 + 3, 20 * 0.25 + 4))
    assert np.allclose(preview.data_to_world((0, 0)), (10 * 0.5 + 3, 10 * 0.25 + 4))


# --- stacks ------------------------------------------------------------------------------


@pytest.fixture
def stack(viewer: Any, make_controller: Any) -> Any:
    image = np.zeros((2, 4, 60, 80), np.uint8)
    image[1, 2], image[0, 3] = squares(), squares()
    controller = make_controller(viewer)
    controller.bind(viewer.add_image(image, scale=(1, 5, 1, 1)))
    return controller


def test_slices_of_a_stack_keep_their_own_object(
    stack: Any, settle: Settle, viewer: Any, preview_mask: PreviewMask, messages: list[str]
) -> None:
    viewer.dims.set_point((0, 1), (1, 10))
    stack.click((1, 10, 15, 20), "positive")
    settle(stack)
    expected = np.zeros((2, 4, 60, 80), dtype=bool)
    expected[1, 2] = region(squares(), [Click(15, 20)])
    assert np.array_equal(preview_mask(stack, expected.shape), expected)
    viewer.dims.set_point((0, 1), (0, 15))
    stack.click((0, 15, 40, 50), "positive")
    settle(stack)
    assert any("kept there" in text for text in messages)
    assert np.array_equal(
        stack.binding.clicks.layer("positive").data, [[1, 2, 15, 20], [0, 3, 40, 50]]
    )
    other = np.zeros_like(expected)
    other[0, 3] = region(squares(), [Click(40, 50)])
    assert np.array_equal(preview_mask(stack, expected.shape), other)
    viewer.dims.set_point((0, 1), (1, 10))
    assert np.array_equal(preview_mask(stack, expected.shape), expected)
    for point in ((1, 10), (0, 15)):
        viewer.dims.set_point((0, 1), point)
        stack.finish()
        settle(stack)
    assert np.array_equal(stack.target.data, expected * 1 + other * 2)


def test_undo_takes_back_the_last_step_and_shows_its_slice(
    stack: Any, settle: Settle, viewer: Any
) -> None:
    viewer.dims.set_point((0, 1), (1, 10))
    stack.click((1, 10, 15, 20), "positive")
    viewer.dims.set_point((0, 1), (0, 15))
    stack.click((0, 15, 40, 50), "positive")
    settle(stack)
    viewer.dims.set_point((0, 1), (1, 10))
    stack.undo()
    settle(stack)
    assert viewer.dims.point[:2] == (0, 15)
    assert clicks_of(stack) == []
    viewer.dims.set_point((0, 1), (1, 10))
    assert clicks_of(stack) == [Click(15, 20)]
    stack.undo()
    stack.redo()
    stack.redo()
    settle(stack)
    assert viewer.dims.point[:2] == (0, 15)
    assert clicks_of(stack) == [Click(40, 50)]


def test_other_axes_on_the_screen(
    viewer: Any, make_controller: Any, settle: Settle, predictor: FakePredictor
) -> None:
    volume = np.zeros((60, 5, 80), np.uint8)
    volume[:, 3] = squares()
    controller = make_controller(viewer)
    controller.bind(viewer.add_image(volume))
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_point(1, 3)
    controller.click((15, 3, 20), "positive")
    settle(controller)
    assert predictor.click_lists[-1] == (Click(15, 20),)
    controller.finish()
    settle(controller)
    expected = np.zeros(volume.shape, np.uint32)
    expected[:, 3] = region(squares(), [Click(15, 20)])
    assert np.array_equal(controller.target.data, expected)


def test_the_3d_view_gives_a_message(stack: Any, viewer: Any, messages: list[str]) -> None:
    viewer.dims.ndisplay = 3
    stack.click((1, 10, 15, 20), "positive")
    assert any("2-D view" in text for text in messages)


# --- unusable images and failures --------------------------------------------------------


@pytest.mark.parametrize(
    "pixels", [np.full((20, 20), np.nan, np.float32), np.zeros((1, 1), np.uint8)]
)
def test_unusable_images_give_a_message_and_change_nothing(
    viewer: Any,
    make_controller: Any,
    settle: Settle,
    qtbot: Any,
    messages: list[str],
    pixels: AnyArray,
) -> None:
    controller = make_controller(viewer)
    controller.bind(viewer.add_image(pixels, contrast_limits=(0, 1), name="bad"))
    controller.click((0, 0), "positive")
    settle(controller)
    assert controller.object_line == "Next object: 1"
    assert not len(controller.binding.clicks.layer("positive").data)
    assert any("bad" in text for text in messages)
    controller.bind(viewer.add_image(squares()))
    controller.click((15, 20), "positive")
    settle(controller)
    assert controller.active.prediction.mask.sum() == 300


def test_a_failing_network_keeps_the_clicks(
    bound: Any,
    settle: Settle,
    predictor: FakePredictor,
    messages: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    bound.click((15, 20), "positive")
    settle(bound)
    predictor.failure = RuntimeError("no memory")
    with caplog.at_level(logging.CRITICAL):
        bound.click((40, 50), "positive")
        settle(bound)
    assert any("no memory" in text and "kept" in text for text in messages)
    assert clicks_of(bound) == [Click(15, 20), Click(40, 50)]
    predictor.failure = None
    bound.finish()
    settle(bound)
    assert (bound.target.data > 0).sum() == 300 + 450


def test_no_image_gives_a_message(viewer: Any, make_controller: Any, messages: list[str]) -> None:
    make_controller(viewer).click((1, 1), "positive")
    assert any("Choose an image" in text for text in messages)


# --- latest wins, cancel, deletion in flight ---------------------------------------------


def start_slow(controller: Controller, predictor: FakePredictor, y: float, x: float) -> None:
    predictor.started.clear()
    predictor.gate.clear()
    controller.click((y, x), "positive")
    assert predictor.started.wait(PATIENCE_S)


def test_the_latest_click_wins(
    bound: Any, settle: Settle, predictor: FakePredictor, preview_mask: PreviewMask
) -> None:
    start_slow(bound, predictor, 15, 20)
    for place in ((16, 20), (40, 50), (12, 12)):
        bound.click(place, "negative" if place == (12, 12) else "positive")
    predictor.gate.set()
    settle(bound)
    assert predictor.runs == 2
    assert predictor.stopped == 1
    clicks = [Click(15, 20), Click(16, 20), Click(40, 50), Click(12, 12, False)]
    assert predictor.click_lists[-1] == tuple(clicks)
    assert np.array_equal(preview_mask(bound, (60, 80)), region(squares(), clicks))


def test_undo_in_flight_shows_no_stale_mask(
    bound: Any, settle: Settle, predictor: FakePredictor, preview_mask: PreviewMask
) -> None:
    start_slow(bound, predictor, 15, 20)
    bound.undo()
    predictor.gate.set()
    settle(bound)
    assert not preview_mask(bound, (60, 80)).any()
    assert bound.active is None


def test_cancel_withdraws_the_clicks_in_flight(
    bound: Any, settle: Settle, predictor: FakePredictor, preview_mask: PreviewMask
) -> None:
    bound.click((15, 20), "positive")
    settle(bound)
    start_slow(bound, predictor, 40, 50)
    bound.cancel()
    predictor.gate.set()
    settle(bound)
    assert clicks_of(bound) == [Click(15, 20)]
    assert np.array_equal(preview_mask(bound, (60, 80)), region(squares(), [Click(15, 20)]))
    bound.undo()
    settle(bound)
    assert clicks_of(bound) == [Click(15, 20), Click(40, 50)]


def test_finish_in_flight_waits_and_later_clicks_start_the_next(
    bound: Any, settle: Settle, predictor: FakePredictor
) -> None:
    start_slow(bound, predictor, 15, 20)
    bound.finish()
    bound.click((40, 50), "positive")
    assert clicks_of(bound) == [Click(15, 20)]
    predictor.gate.set()
    settle(bound)
    assert np.array_equal(bound.target.data, region(squares(), [Click(15, 20)]) * 1)
    assert clicks_of(bound) == [Click(40, 50)]
    assert bound.active.prediction.mask.sum() == 450


def test_deleting_the_image_in_flight(
    bound: Any,
    settle: Settle,
    predictor: FakePredictor,
    viewer: Any,
    qtbot: Any,
    messages: list[str],
) -> None:
    start_slow(bound, predictor, 15, 20)
    points = bound.binding.clicks.layer("positive")
    viewer.layers.remove(bound.image)
    predictor.gate.set()
    settle(bound)
    qtbot.waitUntil(
        lambda: any("was deleted" in text for text in messages), timeout=PATIENCE_S * 1000
    )
    assert bound.binding is None
    assert points in viewer.layers
    assert np.array_equal(points.data, [[15, 20]])
    points.remove([0])
    bound.bind(viewer.add_image(squares(), name="again"))
    bound.click((40, 50), "positive")
    settle(bound)
    assert bound.active.prediction.mask.sum() == 450


def test_deleting_a_points_layer_in_flight_keeps_the_clicks(
    bound: Any,
    settle: Settle,
    predictor: FakePredictor,
    viewer: Any,
    qtbot: Any,
    messages: list[str],
    preview_mask: PreviewMask,
) -> None:
    start_slow(bound, predictor, 15, 20)
    viewer.layers.remove(bound.binding.clicks.layer("positive"))
    predictor.gate.set()
    settle(bound)
    qtbot.waitUntil(
        lambda: any("clicks are kept" in text for text in messages), timeout=PATIENCE_S * 1000
    )
    assert preview_mask(bound, (60, 80)).sum() == 300
    bound.click((40, 50), "positive")
    settle(bound)
    assert np.array_equal(bound.binding.clicks.layer("positive").data, [[15, 20], [40, 50]])
    assert preview_mask(bound, (60, 80)).sum() == 750


def test_deleting_preview_and_labels_is_no_trouble(
    bound: Any, settle: Settle, viewer: Any, preview_mask: PreviewMask
) -> None:
    commit_at(bound, settle, 15, 20)
    viewer.layers.remove(bound.target)
    assert "EdgeFlow labels" not in viewer.layers
    bound.click((40, 50), "positive")
    settle(bound)
    viewer.layers.remove(bound.binding.preview.layer)
    bound.click((41, 50), "positive")
    settle(bound)
    assert preview_mask(bound, (60, 80)).sum() == 450
    bound.finish()
    settle(bound)
    assert (bound.target.data == 1).sum() == 300
    assert (bound.target.data == 2).sum() == 450


def test_clearing_the_viewer_with_an_active_object(
    stack: Any, settle: Settle, viewer: Any, qtbot: Any, messages: list[str]
) -> None:
    viewer.dims.set_point((0, 1), (1, 10))
    stack.click((1, 10, 15, 20), "positive")
    settle(stack)
    viewer.layers.clear()
    qtbot.waitUntil(
        lambda: any("was deleted" in text for text in messages), timeout=PATIENCE_S * 1000
    )
    assert stack.binding is None
    assert not viewer.layers


# --- images and end ----------------------------------------------------------------------


def test_clicks_wait_on_their_image(bound: Any, settle: Settle, viewer: Any) -> None:
    bound.click((15, 20), "positive")
    settle(bound)
    first = bound.image
    bound.bind(viewer.add_image(squares(), name="second"))
    bound.click((40, 50), "positive")
    settle(bound)
    bound.bind(first)
    assert clicks_of(bound) == [Click(15, 20)]
    bound.finish()
    settle(bound)
    assert (bound.target.data == 1).sum() == 300


def test_an_image_without_clicks_leaves_no_layers(bound: Any, viewer: Any) -> None:
    bound.show_layers()
    assert len(viewer.layers) == 5
    bound.bind(None)
    assert [layer.name for layer in viewer.layers] == ["Image"]


def test_the_prepared_labels_layer_is_the_one_that_is_written(bound: Any, settle: Settle) -> None:
    bound.show_layers()
    prepared = bound.target
    assert not prepared.data.any()
    commit_at(bound, settle, 15, 20)
    assert bound.target is prepared
    assert np.array_equal(prepared.data, region(squares(), [Click(15, 20)]) * 1)
    image = bound.image
    bound.bind(None)
    assert bound.target is None
    bound.bind(image)
    assert bound.target is prepared


def test_an_image_of_another_shape_gets_a_prepared_layer_of_its_own(
    bound: Any, settle: Settle, viewer: Any
) -> None:
    bound.show_layers()
    bound.bind(viewer.add_image(squares((70, 90)), name="larger"))
    bound.show_layers()
    assert sum(layer.name == "EdgeFlow labels" for layer in viewer.layers) == 1
    commit_at(bound, settle, 40, 50)
    assert np.array_equal(bound.target.data, region(squares((70, 90)), [Click(40, 50)]) * 1)


def test_a_prepared_layer_that_was_painted_in_stays(bound: Any, viewer: Any) -> None:
    bound.show_layers()
    painted = bound.target
    painted.data[3, 3] = 1
    bound.bind(None)
    assert painted in viewer.layers


def test_a_chosen_target_is_not_replaced(bound: Any, viewer: Any) -> None:
    chosen = viewer.add_labels(np.zeros((60, 80), np.uint8), name="chosen")
    bound.target = chosen
    bound.show_layers()
    assert bound.target is chosen
    assert "EdgeFlow labels" not in viewer.layers
    bound.bind(None)
    assert chosen in viewer.layers


@pytest.mark.parametrize("n_rows", [1, 4096, 4097])
def test_large_labels_are_not_prepared(viewer: Any, make_controller: Any, n_rows: int) -> None:
    image = np.broadcast_to(np.zeros((1, 4096), np.uint8), (n_rows, 4096))
    controller = make_controller(viewer)
    controller.bind(viewer.add_image(image, contrast_limits=(0, 1)))
    controller.show_layers()
    assert (controller.target is not None) == (n_rows <= 4096)


def test_close_lets_go_of_everything(
    bound: Any, settle: Settle, viewer: Any, predictor: FakePredictor, qtbot: Any
) -> None:
    def callbacks() -> list[Any]:
        emitters = (viewer.layers.events.removed, viewer.dims.events.point, image.events.scale)
        return [list(emitter.callbacks) for emitter in emitters]

    image = viewer.layers[0]
    before = callbacks()
    other = Controller(viewer, lambda _name: predictor, None)
    other.bind(image)
    other.show_layers()
    assert callbacks() != before
    other.close()
    assert callbacks() == before
    assert len(viewer.layers) == 1
    start_slow(bound, predictor, 15, 20)
    bound.close()
    predictor.gate.set()
    qtbot.waitUntil(lambda: not bound.worker.is_alive, timeout=PATIENCE_S * 1000)
    viewer.layers.clear()
