"""Colours of labels, as napari maps them and as they are drawn."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Labels
from napari.utils.colormaps import CyclicLabelColormap, DirectLabelColormap

from napari_edgeflow.annotation import commands
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.gui.labels.label_colors import (
    N_ROWS,
    LabelColors,
    is_table,
    new_colormap,
    object_colors,
    row_of,
)

from .annotated import CLASSES, InstantController, InstantProject, grid_of_objects


def annotated(n: int = 12, dtype: Any = np.uint32) -> tuple[InstantController, Labels]:
    labels, records = grid_of_objects(n)
    layer = Labels(labels.astype(dtype))
    return InstantController(InstantProject.of(Image(labels), labels, records, layer)), layer


def drawn(layer: Labels, label: int) -> tuple[float, ...]:
    """What napari makes of a label, rounded."""
    color = layer.colormap.map(np.array([label], layer.dtype))[0]
    return tuple(round(float(value), 3) for value in color)


def of_class(class_id: int) -> tuple[float, ...]:
    return (*(round(value / 255, 3) for value in CLASSES.get(class_id).color), 1.0)


@pytest.mark.parametrize("label", [0, 1, 2, 65_533, 65_534, 65_535, 70_000, 2**32 - 1])
def test_rows_are_those_of_napari(label: int) -> None:
    table = np.random.default_rng(0).random((N_ROWS + 1, 4)).astype(np.float32)
    table[0] = 0
    colormap = new_colormap(table)
    np.testing.assert_array_equal(
        colormap.map(np.array([label], np.uint32))[0], table[row_of(label)]
    )


def test_neighbouring_ids_differ_and_all_are_opaque() -> None:
    table = object_colors()
    assert (np.abs(np.diff(table[1:200, :3], axis=0)).max(axis=1) > 0.2).all()
    assert len(np.unique(table[1:], axis=0)) > 15
    assert (table[1:, 3] == 1).all()
    assert not table[0].any()
    assert not np.array_equal(object_colors(1), table)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint32])
def test_classes_hiding_and_undo_are_seen_at_once(qapp: Any, dtype: Any) -> None:
    controller, layer = annotated(12, dtype)
    colors, project = LabelColors(controller), controller.project
    by_object = drawn(layer, 2)
    assert is_table(layer.colormap)
    colors.color_by = "class"
    assert [drawn(layer, k) for k in (1, 2, 3)] == [of_class(k) for k in (1, 2, 3)]
    assert drawn(layer, 99) == (0.5, 0.5, 0.5, 1)
    project.do(lambda s, _: commands.reclassify(s, [2], 3))
    assert drawn(layer, 2) == of_class(3)
    project.do(lambda s, _: commands.set_hidden(s, [1, 2], True))
    assert (drawn(layer, 1)[3], drawn(layer, 2)[3], drawn(layer, 3)[3]) == (0, 0, 1)
    project.undo()
    project.undo()
    assert [drawn(layer, k) for k in (1, 2)] == [of_class(1), of_class(2)]
    recolored = CLASSES.recolor(2, (10, 20, 30))
    project.do(lambda s, _: commands.edit_classes(s, recolored))
    assert drawn(layer, 2)[:3] == tuple(round(v / 255, 3) for v in (10, 20, 30))
    colors.color_by = "object"
    assert drawn(layer, 2) == by_object
    assert drawn(layer, 0) == (0, 0, 0, 0)


def test_selected_objects_are_paler(qapp: Any) -> None:
    controller, layer = annotated()
    LabelColors(controller)
    before = drawn(layer, 4)
    controller.selected_ids = (4, 5)
    assert min(np.array(drawn(layer, 4)[:3]) - before[:3]) >= 0
    assert sum(drawn(layer, 4)) > sum(before) + 0.3
    controller.selected_ids = ()
    assert drawn(layer, 4) == before


def test_labels_that_share_a_row_are_shown_while_one_of_them_is(qapp: Any) -> None:
    labels, records = grid_of_objects(4)
    far = N_ROWS + 2
    labels[labels == 4] = far
    twin = records.pop(4)
    records[far] = type(twin)(far, 2, twin.box, twin.area_px)
    layer = Labels(labels)
    controller = InstantController(InstantProject.of(Image(labels), labels, records, layer))
    LabelColors(controller)
    assert row_of(far) == row_of(2)
    controller.project.do(lambda s, _: commands.set_hidden(s, [2], True))
    assert drawn(layer, far)[3] == 1
    controller.project.do(lambda s, _: commands.set_hidden(s, [far], True))
    assert drawn(layer, far)[3] == 0


def test_the_layer_that_comes_later_is_coloured_when_it_comes(qapp: Any) -> None:
    controller, layer = annotated()
    controller.project.layer = None
    colors = LabelColors(controller)
    colors.color_by = "class"
    controller.project.layer = layer
    controller.changed.emit()
    assert drawn(layer, 2) == of_class(2)


def test_shuffling_keeps_the_hidden_hidden(qapp: Any, qtbot: Any) -> None:
    controller, layer = annotated()
    LabelColors(controller)
    controller.project.do(lambda s, _: commands.set_hidden(s, [3], True))
    before = [drawn(layer, k) for k in range(1, 8)]
    layer.new_colormap()
    qtbot.waitUntil(lambda: is_table(layer.colormap), timeout=10_000)
    after = [drawn(layer, k) for k in range(1, 8)]
    assert after != before
    assert [color[3] for color in after] == [1, 1, 0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    "own",
    [
        CyclicLabelColormap(colors=np.array([[0, 0, 0, 0], [1, 0, 0, 1], [0, 1, 0, 1]])),
        DirectLabelColormap(color_dict={None: "gray", 1: "red"}),
    ],
)
def test_colours_of_the_user_stay_until_ours_are_asked_for(qapp: Any, own: Any) -> None:
    controller, layer = annotated()
    colors = LabelColors(controller)
    layer.colormap = own
    controller.project.do(lambda s, _: commands.reclassify(s, [2], 3))
    controller.selected_ids = (3,)
    assert layer.colormap is own
    colors.color_by = "class"
    assert drawn(layer, 2) == of_class(3)


def test_ten_thousand_objects_change_colour_within_a_frame(make_napari_viewer: Any) -> None:
    """Processor time of the Qt thread, in a window, without drawing."""
    viewer = make_napari_viewer()
    labels, records = grid_of_objects(10_000, side=10, per_row=100)
    layer = viewer.add_labels(labels, colormap=new_colormap())
    project = InstantProject.of(viewer.add_image(labels), labels[:1, :1], {}, layer)
    project.history._state = State(CLASSES, records)
    controller = InstantController(project)
    colors = LabelColors(controller)
    steps: dict[str, Callable[[], object]] = {
        "hide one": lambda: project.do(lambda s, _: commands.set_hidden(s, [500], True)),
        "select": lambda: setattr(controller, "selected_ids", tuple(range(1, 101))),
        "by class": lambda: setattr(colors, "color_by", "class"),
    }
    spent = {}
    for name, step in steps.items():
        began = time.process_time()
        step()
        spent[name] = 1e3 * (time.process_time() - began)
    assert max(spent.values()) < 100, spent  # 10 to 25 on a quiet machine
    colors.close()


def test_what_is_drawn_in_the_window(make_napari_viewer: Any) -> None:
    viewer = make_napari_viewer(show=True)
    labels, records = grid_of_objects(4, side=40, per_row=2)
    layer = viewer.add_labels(labels, opacity=1)
    controller = InstantController(
        InstantProject.of(viewer.add_image(labels * 0, visible=False), labels, records, layer)
    )
    colors = LabelColors(controller)
    colors.color_by = "class"

    def seen() -> set[tuple[int, ...]]:
        pixels = viewer.screenshot(canvas_only=True, flash=False)[..., :3].reshape(-1, 3)
        return set(map(tuple, pixels.tolist()))

    all_three = {one.color for one in CLASSES}
    assert all_three <= seen()
    controller.project.do(lambda s, _: commands.set_hidden(s, [2], True))
    assert all_three - seen() == {CLASSES.get(2).color}
    colors.close()
