"""Projects in the viewer model: saved as one works, found again, never written over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

from napari_edgeflow._types import Click
from napari_edgeflow.annotation.commands import (
    edit_classes,
    reclassify,
    rename_object,
    set_locked,
)
from napari_edgeflow.gui.controller import Controller

from .fakes import PATIENCE_S, FakePredictor, region, squares

Settle = Callable[[Controller], None]
PreviewMask = Callable[[Controller, tuple[int, ...]], Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, squares())
    return path


@pytest.fixture
def open_image(make_controller: Any, settle: Settle) -> Callable[..., Any]:
    """A controller in a viewer of its own, bound to the image of a file."""

    def do(path: Path | None, pixels: Any = None, resumes: str = "ask") -> Any:
        viewer = ViewerModel()
        data = tifffile.imread(path) if pixels is None else pixels
        metadata = {} if path is None else {"path": str(path)}
        image = viewer.add_image(data, metadata=metadata, name="cells")
        controller = make_controller(viewer)
        controller.projects.resumes = resumes
        controller.bind(image)
        settle(controller)
        return controller

    return do


def journal_of(path: Path) -> Path:
    return path.with_name(path.name + ".edgeflow")


def finish(controller: Controller, settle: Settle, *places: tuple[float, ...]) -> None:
    for place in places:
        controller.click(place, "positive")
        settle(controller)
    controller.finish()
    settle(controller)


def leave(controller: Controller, qtbot: Any) -> None:
    controller.close()
    qtbot.waitUntil(lambda: not controller.projects.worker.is_alive, timeout=60_000)


def test_looking_at_an_image_leaves_no_file(open_image: Any, file: Path, qtbot: Any) -> None:
    controller = open_image(file)
    controller.show_layers()
    assert controller.project.saved_line == ""
    leave(controller, qtbot)
    assert [path.name for path in file.parent.iterdir()] == ["cells.tif"]


def test_everything_is_there_again_after_a_restart(
    open_image: Any, file: Path, settle: Settle, qtbot: Any, preview_mask: PreviewMask
) -> None:
    first = open_image(file)
    finish(first, settle, (15, 20))
    project = first.project
    assert project.saved_line.startswith("Saved at ")
    assert project.saved_line.endswith("in cells.tif.edgeflow")
    project.do(lambda state, _: edit_classes(state, state.classes.add("nucleus")))
    project.do(lambda state, _: reclassify(state, [1], 2))
    first.click((40, 50), "positive")
    first.click((12, 12), "negative")
    settle(first)
    state, labels = project.state, first.target.data.copy()
    field = state.draft_on().field_of_view
    leave(first, qtbot)

    again = open_image(file)
    assert again.project.offer is not None
    assert str(again.project.offer).startswith("1 object of ")
    again.project.resume()
    settle(again)
    assert again.project.state == state
    assert np.array_equal(again.target.data, labels)
    assert again.project.offer is None
    clicks = [Click(40, 50), Click(12, 12, False)]
    (plane,) = again.binding.log.planes
    assert [logged.click for logged in again.binding.log.on_plane(plane)] == clicks
    assert again.binding.objects[plane].field_of_view == field
    assert np.array_equal(preview_mask(again, (60, 80)), region(squares(), clicks))
    for _ in range(5):
        again.undo()
    settle(again)
    assert again.project.undo_title == "1 click"
    assert not again.project.state.objects
    for _ in range(6):
        again.redo()
    settle(again)
    assert again.project.state == state


def test_nothing_is_done_before_the_offer_is_answered(
    open_image: Any, file: Path, settle: Settle, qtbot: Any, messages: list[str]
) -> None:
    first = open_image(file)
    finish(first, settle, (15, 20))
    leave(first, qtbot)
    before = journal_of(file).read_bytes()
    again = open_image(file)
    again.click((40, 50), "positive")
    again.project.do(lambda state, _: edit_classes(state, state.classes.add("x")))
    settle(again)
    assert sum("choose “Resume” or “Start anew”" in text for text in messages) == 2
    assert again.active is None
    leave(again, qtbot)
    assert journal_of(file).read_bytes() == before


def test_starting_anew_keeps_the_old_journal(
    open_image: Any, file: Path, settle: Settle, qtbot: Any, messages: list[str]
) -> None:
    first = open_image(file)
    finish(first, settle, (15, 20))
    leave(first, qtbot)
    before = journal_of(file).read_bytes()
    again = open_image(file)
    again.project.start_anew()
    settle(again)
    assert not again.project.state.objects
    (old,) = file.parent.glob("*.old")
    assert old.read_bytes() == before
    assert any(f"kept in {old.name}" in text for text in messages)
    finish(again, settle, (40, 50))
    assert again.project.place == journal_of(file)
    assert (again.target.data == 1).sum() == 450


def test_images_without_a_file_are_found_again_by_their_pixels(
    open_image: Any, settle: Settle, qtbot: Any, spare_projects: Path
) -> None:
    first = open_image(None, squares())
    finish(first, settle, (15, 20))
    assert first.project.place.parent == spare_projects
    leave(first, qtbot)
    assert open_image(None, squares()).project.offer is not None
    assert open_image(None, squares() + np.uint8(1)).project.offer is None


def test_a_changed_image_is_refused_in_words_and_its_journal_stays(
    open_image: Any, file: Path, settle: Settle, qtbot: Any, messages: list[str]
) -> None:
    first = open_image(file)
    finish(first, settle, (15, 20))
    leave(first, qtbot)
    before = journal_of(file).read_bytes()
    tifffile.imwrite(file, squares((70, 90)))
    again = open_image(file)
    assert again.project.offer is None
    assert any("60 × 80 px, and this one has 70 × 90 px" in text for text in messages)
    finish(again, settle, (40, 50))
    assert again.project.place.name == "cells.tif.2.edgeflow"
    assert journal_of(file).read_bytes() == before


def test_a_second_window_is_told_and_saves_elsewhere(
    open_image: Any, file: Path, settle: Settle, messages: list[str]
) -> None:
    first = open_image(file)
    finish(first, settle, (15, 20))
    second = open_image(file)
    second.project.resume()
    settle(second)
    assert any("only one that writes to" in text for text in messages)
    assert second.project.offer is not None
    second.project.start_anew()
    settle(second)
    finish(second, settle, (40, 50))
    assert second.project.place.name == "cells.tif.2.edgeflow"
    finish(first, settle, (40, 50))
    assert set(first.project.state.objects) == {1, 2}


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_journal_that_was_cut_off_comes_back_to_its_last_whole_step(
    open_image: Any, file: Path, settle: Settle, qtbot: Any, messages: list[str], cut: int
) -> None:
    first = open_image(file)
    finish(first, settle, (15, 20))
    finish(first, settle, (40, 50))
    leave(first, qtbot)
    whole = journal_of(file).read_bytes()
    journal_of(file).write_bytes(whole[:-cut])
    again = open_image(file, resumes="always")
    assert set(again.project.state.objects) == {1}
    assert (again.target.data == 1).sum() == 300
    assert any("cut off or damaged" in text for text in messages)
    assert list(file.parent.glob("*.damaged-*"))


def test_taking_an_object_up_gives_the_same_mask_again(
    open_image: Any, file: Path, settle: Settle, predictor: FakePredictor, preview_mask: PreviewMask
) -> None:
    controller = open_image(file)
    controller.viewer.canvas.size = (300, 400)
    controller.viewer.scene.camera.zoom = 10.0
    controller.click((15, 20), "positive")
    controller.click((12, 12), "negative")
    settle(controller)
    mask = preview_mask(controller, (60, 80))
    controller.finish()
    settle(controller)
    controller.viewer.scene.camera.zoom = 1.0
    controller.take_up(1)
    settle(controller)
    assert controller.object_line == "Correcting object 1 on the image"
    assert np.array_equal(preview_mask(controller, (60, 80)), mask)
    assert predictor.fields_of_view[-1] == 30.0
    controller.click((40, 50), "positive")
    settle(controller)
    controller.finish()
    settle(controller)
    assert set(controller.project.state.objects) == {1}
    assert controller.project.state.objects[1].n_positive == 2
    assert (controller.target.data == 1).sum() == mask.sum() + 450
    controller.undo()
    controller.undo()
    controller.undo()
    settle(controller)
    assert controller.active is None
    assert (controller.target.data == 1).sum() == mask.sum()


def test_a_painted_object_is_taken_up_from_its_mask(
    open_image: Any, file: Path, settle: Settle, preview_mask: PreviewMask
) -> None:
    controller = open_image(file)
    finish(controller, settle, (15, 20))
    controller.target.data[30:33, 10:20] = 1
    controller.take_up(1)
    settle(controller)
    expected = region(squares(), [Click(15, 20)])
    expected[30:33, 10:20] = True
    assert np.array_equal(preview_mask(controller, (60, 80)), expected)


def test_labels_from_elsewhere_become_objects(
    open_image: Any, file: Path, settle: Settle, qtbot: Any
) -> None:
    controller = open_image(file)
    labels = np.zeros((60, 80), np.uint16)
    labels[2:6, 3:9], labels[30:40, 50:60] = 4, 11
    layer = controller.viewer.add_labels(labels, name="mine")
    controller.target = layer
    settle(controller)
    records = controller.project.state.objects
    assert {i: record.area_px for i, record in records.items()} == {4: 24, 11: 100}
    assert controller.project.state.classes.get(records[4].class_id).name == "object"
    controller.project.do(lambda state, _: rename_object(state, 4, "left"))
    settle(controller)
    assert controller.project.place == journal_of(file)
    controller.target = None
    settle(controller)
    assert not controller.project.state.objects
    controller.target = layer
    settle(controller)
    assert controller.project.state.objects[4].name == "left"
    leave(controller, qtbot)
    again = open_image(file, resumes="always")
    assert np.array_equal(again.target.data, labels)
    assert again.project.state.objects[4].name == "left"


def test_strokes_of_the_brush_are_steps_and_locked_objects_stay(
    open_image: Any, file: Path, settle: Settle
) -> None:
    controller = open_image(file)
    finish(controller, settle, (15, 20))
    layer, project = controller.target, controller.project
    layer.brush_size = 3
    layer.paint((50, 10), 7)
    settle(controller)
    area = int((layer.data == 7).sum())
    assert area > 4
    assert project.state.objects[7].area_px == area
    assert project.undo_title == "paint object 7"
    layer.undo()  # napari's own
    controller.undo()
    settle(controller)
    project.do(lambda state, _: set_locked(state, [1], True))
    settle(controller)
    layer.paint((15, 20), 3)
    settle(controller)
    assert (layer.data[region(squares(), [Click(15, 20)])] == 1).all()
    assert 3 not in layer.data
    other = np.zeros_like(layer.data)
    other[10:25, 10:30] = 1
    other[50, 50] = 8
    layer.data = other
    settle(controller)
    assert project.state.objects[8].area_px == 1


def _hold_writing(controller: Controller) -> None:
    """Between napari's word that it will write and the writing, the worker does what waits."""

    def hold(_event: Any) -> None:
        is_reached = threading.Event()
        controller.projects.worker.submit(
            "marker", lambda _stop: is_reached.set(), lambda _none: None, lambda _error: None
        )
        assert is_reached.wait(PATIENCE_S)

    layer: Any = controller.target
    layer.events.paint.connect(hold, position="last")


@pytest.mark.parametrize("tool", ["setitem", "fill", "paint", "polygon"])
def test_what_napari_tells_of_before_it_writes_is_not_missed(
    open_image: Any, file: Path, settle: Settle, tool: str
) -> None:
    controller = open_image(file)
    finish(controller, settle, (15, 20))
    layer, project = controller.target, controller.project
    _hold_writing(controller)
    if tool == "setitem":
        layer.data_setitem((np.array([0]), np.array([0])), 7)
    elif tool == "fill":
        layer.fill((15, 20), 7)
    elif tool == "paint":
        layer.paint((50, 10), 7)
    else:
        layer.paint_polygon([(40, 5), (40, 15), (50, 15), (50, 5)], 7)
    settle(controller)
    area = int((layer.data == 7).sum())
    assert area > 0
    assert project.state.objects[7].area_px == area
    assert project.undo_title.startswith("paint object")
    controller.undo()
    settle(controller)
    assert set(project.state.objects) == {1}
    assert np.array_equal(layer.data == 1, region(squares(), [Click(15, 20)]))


def test_a_stroke_comes_before_the_step_that_is_asked_for_after_it(
    open_image: Any, file: Path, settle: Settle
) -> None:
    controller = open_image(file)
    finish(controller, settle, (15, 20))
    project = controller.project
    controller.target.paint((50, 10), 7)
    project.do(lambda state, _: rename_object(state, 7, "mine"))
    settle(controller)
    assert project.state.objects[7].name == "mine"


def test_what_was_written_without_a_word_is_saved_at_the_end(
    open_image: Any, file: Path, settle: Settle, qtbot: Any
) -> None:
    controller = open_image(file)
    finish(controller, settle, (15, 20))
    layer: Any = controller.target
    layer.data[50:52, 5:10] = 7
    layer.refresh()
    leave(controller, qtbot)
    again = open_image(file, resumes="always")
    assert again.project.state.objects[7].area_px == 10


def test_a_stroke_during_a_step_that_is_refused_is_not_forgotten(
    open_image: Any, file: Path, settle: Settle
) -> None:
    controller = open_image(file)
    finish(controller, settle, (15, 20))
    project = controller.project
    failures: list[Exception] = []

    def refuse(_state: Any, _store: Any) -> Any:
        raise ValueError("no")

    project.do(refuse, on_failed=failures.append)
    controller.target.paint((50, 10), 7)
    settle(controller)
    assert [str(error) for error in failures] == ["no"]
    assert project.state.objects[7].area_px == int((controller.target.data == 7).sum())


def test_the_user_is_asked_who_keeps_pixels(open_image: Any, file: Path, settle: Settle) -> None:
    controller = open_image(file)
    finish(controller, settle, (15, 20))
    asked: list[tuple[str, Any]] = []
    controller.ask_overlaps_by(lambda text, answer: asked.append((text, answer)))
    controller.overlap_rule = "ask"
    finish(controller, settle, (40, 50))
    assert not asked
    controller.click((15, 20), "positive")
    controller.click((2, 2), "positive")
    settle(controller)
    controller.finish()
    settle(controller)
    ((text, answer),) = asked
    assert text.startswith("The object lies partly on object 1 “object” (300 px). Who keeps")
    assert controller.active.is_finishing
    answer(None)
    assert not controller.active.is_finishing
    controller.finish()
    settle(controller)
    asked[-1][1]("new_on_top")
    settle(controller)
    assert set(controller.project.state.objects) == {2, 3}
    controller.undo()
    settle(controller)
    assert controller.project.state.objects[1].area_px == 300


def test_a_thousand_steps_are_undone_exactly_after_a_restart(
    open_image: Any, file: Path, settle: Settle, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.fsync", lambda _descriptor: None)
    controller = open_image(file)
    finish(controller, settle, (15, 20))
    project = controller.project
    for number in range(1000):
        project.do(lambda state, _, name=f"n{number}": rename_object(state, 1, name))
    settle(controller)
    leave(controller, qtbot)
    again = open_image(file, resumes="always")
    assert again.project.state.objects[1].name == "n999"
    for number in (998, 997):
        again.undo()
        settle(again)
        assert again.project.state.objects[1].name == f"n{number}"
    for _ in range(998):
        again.undo()
    settle(again)
    assert again.project.state.objects[1].name == ""
    again.undo()
    again.undo()
    settle(again)
    assert not again.project.can_undo
    assert not again.target.data.any()


def test_a_double_click_takes_up_the_object_under_it(
    open_image: Any, file: Path, settle: Settle
) -> None:
    controller = open_image(file)
    finish(controller, settle, (15, 20))
    up = controller.taking_up
    assert not up.take_up_at(controller.binding, (40, 50))
    controller.click((15, 20), "positive")  # the first half of the double click
    assert up.take_up_at(controller.binding, (15.5, 20))
    settle(controller)
    assert controller.object_line == "Correcting object 1 on the image"
    assert not up.take_up_at(controller.binding, (15.5, 20))
    controller.undo()
    settle(controller)
    assert controller.object_line == "Object 2 on the image"


def test_settings_are_steps_that_undo_moves_back(
    open_image: Any, file: Path, settle: Settle, preview_mask: PreviewMask
) -> None:
    controller = open_image(file)
    controller.click((15, 20), "positive")
    settle(controller)
    controller.threshold = 0.7
    controller.threshold = 0.95
    controller.undo()
    settle(controller)
    assert controller.project.redo_title == "post-processing"
    assert controller.threshold == 0.5
    assert preview_mask(controller, (60, 80)).sum() == 300
    controller.redo()
    settle(controller)
    assert controller.threshold == 0.95
    assert not preview_mask(controller, (60, 80)).any()
    controller.undo()
    settle(controller)
    controller.largest_component = False
    controller.finish()
    settle(controller)
    record = controller.project.state.objects[1]
    assert (record.settings.threshold, record.settings.largest_component) == (0.5, False)
    assert controller.largest_component is False
    controller.largest_component = True
    controller.take_up(1)
    settle(controller)
    assert controller.largest_component is False
    controller.reset()
    settle(controller)
    assert controller.largest_component is True


def test_clicks_during_an_undo_come_after_it(open_image: Any, file: Path, settle: Settle) -> None:
    controller = open_image(file)
    controller.click((15, 20), "positive")
    controller.click((40, 50), "positive")
    controller.undo()
    controller.click((12, 12), "negative")
    settle(controller)
    (plane,) = controller.binding.log.planes
    clicks = [logged.click for logged in controller.binding.log.on_plane(plane)]
    assert clicks == [Click(15, 20), Click(12, 12, False)]
    assert controller.project.state.draft_on().clicks == tuple(clicks)


def test_steps_in_the_3d_view_of_a_stack(open_image: Any, settle: Settle) -> None:
    controller = open_image(None, np.stack([squares()] * 3))
    controller.viewer.dims.set_point(0, 1)
    finish(controller, settle, (1, 15, 20))
    controller.viewer.dims.ndisplay = 3
    controller.threshold = 0.7
    controller.undo()
    settle(controller)
    assert not controller.target.data.any()
    controller.redo()
    settle(controller)
    assert controller.project.state.objects[1].plane == (1, None, None)
    assert (controller.target.data[1] == 1).sum() == 300


def test_a_brush_in_three_dimensions_loses_nothing(
    open_image: Any, settle: Settle, qtbot: Any
) -> None:
    stack = np.stack([squares()] * 3)
    controller = open_image(None, stack)
    controller.viewer.dims.set_point(0, 1)
    finish(controller, settle, (1, 15, 20))
    layer = controller.target
    layer.n_edit_dimensions, layer.brush_size = 3, 5
    layer.paint((1, 50, 10), 7)
    settle(controller)
    painted = layer.data.copy()
    assert all((painted[z] == 7).any() for z in range(3))
    leave(controller, qtbot)
    again = open_image(None, stack, resumes="always")
    assert np.array_equal(again.target.data, painted)
