"""The object table's model against sorting and filtering in plain Python, after any change."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QAbstractItemModelTester

from napari_edgeflow._types import Click, Window
from napari_edgeflow.annotation import commands
from napari_edgeflow.annotation.changes import Change, State
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.objects import ImageInfo, ObjectRecord
from napari_edgeflow.annotation.records import MemoryLog
from napari_edgeflow.annotation.store import ArrayStore, LabelStore
from napari_edgeflow.gui.labels.object_columns import COLUMNS, clicks_text, number_of, time_text
from napari_edgeflow.gui.labels.object_table import ObjectTable, runs
from napari_edgeflow.gui.pixel_size import PixelSize

from .annotated import CLASSES, grid_of_objects

UP, DOWN = Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder


def history_of(n: int) -> History:
    labels, records = grid_of_objects(n)
    info = ImageInfo("image", (labels.shape[0], labels.shape[1]))
    return History.begin(MemoryLog(), info, ArrayStore(labels), State(CLASSES, records), ())


def follow(table: ObjectTable, history: History, change: Change | None) -> None:
    assert change is not None
    table.follow(history.state, change)


def cell(table: ObjectTable, label: int, key: str, role: Any = Qt.ItemDataRole.DisplayRole) -> Any:
    (row,) = table.rows_of([label])
    return table.index(row, number_of(key)).data(role)


@pytest.fixture
def table(qapp: Any, qtlog: Any) -> Iterator[ObjectTable]:
    """Watched by Qt, which checks each signal against the rows."""
    made = ObjectTable()
    QAbstractItemModelTester(made, QAbstractItemModelTester.FailureReportingMode.Warning, made)
    yield made
    assert not [record.message for record in qtlog.records if "FAIL!" in record.message]


def test_a_row_says_what_is_known_of_the_object(table: ObjectTable) -> None:
    clicks = (Click(1, 1), Click(2, 2), Click(0, 0, False), Click.of_kind(3, 3, "boundary"))
    record = ObjectRecord(
        7, 2, Window(0, 0, 4, 5), 20, "big one", clicks, "edgeflow-18s",
        created="2026-03-01T10:20:30.123+00:00", is_hidden=True, is_locked=True,
    )  # fmt: skip
    image = Image(np.zeros((9, 9)), scale=(0.5, 0.25), units=("um", "um"))
    table.show(State(CLASSES, {7: record}), PixelSize.of_layer(image))
    shown = {column.key: cell(table, 7, column.key) for column in COLUMNS}
    assert shown == {
        "id": "7", "class": "nucleus", "name": "big one", "state": "hidden, locked",
        "area_px": "20", "area": "2.5", "clicks": "+2 −1 ~1", "model": "edgeflow-18s",
        "time": time_text(record.created), "slice": "",
    }  # fmt: skip
    icon = cell(table, 7, "class", Qt.ItemDataRole.DecorationRole)
    color = icon.pixmap(8, 8).toImage().pixelColor(4, 4)
    assert (color.red(), color.green(), color.blue()) == (86, 180, 233)
    assert cell(table, 7, "id", Qt.ItemDataRole.FontRole).italic()
    headings = [
        table.headerData(number, Qt.Orientation.Horizontal) for number in range(len(COLUMNS))
    ]
    assert {"Area (µm²)", "Area (px)"} <= set(headings)


def test_times_are_local_and_clicks_are_counted() -> None:
    from datetime import datetime

    local = datetime.fromisoformat("2026-03-01T10:20:30+00:00").astimezone()
    assert time_text("2026-03-01T10:20:30.123+00:00") == local.strftime("%Y-%m-%d %H:%M")
    assert time_text("long ago") == "long ago"
    assert clicks_text(ObjectRecord(1, 1, Window(0, 0, 1, 1), 1)) == ""


@pytest.mark.parametrize("order", [UP, DOWN])
@pytest.mark.parametrize("key", ["id", "class", "area_px", "clicks", "time", "name"])
def test_rows_are_sorted_as_python_sorts_them(table: ObjectTable, key: str, order: Any) -> None:
    _, records = grid_of_objects(40)
    table.show(State(CLASSES, records), None)
    table.sort(number_of(key), order)
    ranks: dict[str, Callable[[ObjectRecord], Any]] = {
        "id": lambda r: r.id,
        "class": lambda r: CLASSES.get(r.class_id).name,
        "area_px": lambda r: r.area_px,
        "clicks": lambda r: len(r.clicks),
        "time": lambda r: r.created,
        "name": lambda r: r.name,
    }
    expected = sorted(records.values(), key=lambda r: (ranks[key](r), r.id), reverse=order == DOWN)
    assert table.ids == [record.id for record in expected]
    assert table.rows_of(table.ids) == list(range(40))


def test_the_filter_wants_every_word(table: ObjectTable) -> None:
    history = history_of(40)
    history.do(commands.rename_object(history.state, 8, "Odd One"))
    table.show(history.state, None)
    table.set_filter("nucleus")
    assert table.ids == [k for k in range(1, 41) if 1 + (k - 1) % 3 == 2]
    table.set_filter("ONE nucl")
    assert table.ids == [8]
    assert (table.rowCount(), table.n_objects) == (1, 40)
    table.set_filter("")
    assert table.rowCount() == 40


def _random_change(state: State, store: LabelStore, rng: random.Random) -> Change:
    ids = rng.sample(sorted(state.objects), min(len(state.objects), rng.choice([1, 2, 5])))
    edits = [
        lambda: commands.reclassify(state, ids, rng.choice([1, 2, 3])),
        lambda: commands.rename_object(state, ids[0], rng.choice(["", "a", "B", "c"])),
        lambda: commands.set_hidden(state, ids, rng.random() < 0.5),
        lambda: commands.delete_objects(state, store, ids),
    ]
    return rng.choice(edits)()


@pytest.mark.parametrize("seed", range(3))
def test_after_any_changes_and_undo_the_rows_are_those_of_a_fresh_table(
    table: ObjectTable, seed: int
) -> None:
    rng = random.Random(seed)
    history = history_of(30)
    table.show(history.state, None)
    for _ in range(40):
        act = rng.random()
        if act < 0.15:
            table.sort(rng.randrange(len(COLUMNS)), rng.choice([UP, DOWN]))
        elif act < 0.25:
            table.set_filter(rng.choice(["", "cell", "hidden", "b", "1"]))
        elif act < 0.5 and history.n_undo:
            follow(table, history, history.undo())
        elif act < 0.55 and history.n_redo:
            follow(table, history, history.redo())
        elif len(history.state.objects) > 5:
            follow(table, history, history.do(_random_change(history.state, history.store, rng)))
        fresh = ObjectTable()
        fresh.set_filter(table.filter_text)
        fresh.sort(*table.sorting)
        fresh.show(history.state, None)
        assert table.ids == fresh.ids
        assert [_texts(table, row) for row in range(3)] == [_texts(fresh, row) for row in range(3)]


def _texts(table: ObjectTable, row: int) -> list[Any]:
    return [table.index(row, column).data() for column in range(len(COLUMNS))]


def test_following_an_undone_step_shows_the_state_before_it(table: ObjectTable) -> None:
    history = history_of(5)
    table.show(history.state, None)
    follow(table, history, history.do(commands.reclassify(history.state, [2], 3)))
    assert cell(table, 2, "class") == "debris"
    follow(table, history, history.undo())
    assert cell(table, 2, "class") == "nucleus"


def test_typing_a_name_asks_for_it_and_changes_nothing_itself(table: ObjectTable) -> None:
    table.show(history_of(3).state, None)
    asked: list[tuple[int, str]] = []
    table.renamed.connect(lambda label, name: asked.append((label, name)))
    index = table.index(1, number_of("name"))
    assert table.flags(index) & Qt.ItemFlag.ItemIsEditable
    assert not table.flags(table.index(1, 0)) & Qt.ItemFlag.ItemIsEditable
    assert not table.setData(index, "  soma ")
    assert (asked, cell(table, 2, "name")) == ([(2, "soma")], "")


def _ms_of(step: Callable[[], object]) -> float:
    began = time.process_time()
    step()
    return 1e3 * (time.process_time() - began)


def test_a_change_of_ten_thousand_rows_is_quick(qapp: Any) -> None:
    """Processor time, not the clock's: other programs run too."""
    table, (_, records) = ObjectTable(), grid_of_objects(10_000, side=2, per_row=100)
    state = State(CLASSES, records)
    changed = {5000: (records[5000], replace(records[5000], class_id=1))}
    after = State(CLASSES, {**records, 5000: changed[5000][1]})
    words = iter(("nucleus", "cell", "fake"))
    steps: dict[str, Callable[[], object]] = {
        "show": lambda: table.show(state, None),
        "sort by class": lambda: table.sort(number_of("class"), DOWN),
        "sort by time": lambda: table.sort(number_of("time"), UP),
        "filter": lambda: table.set_filter(next(words)),
        "one object": lambda: table.follow(after, Change("", "", objects=changed)),
        "select all": lambda: runs(table.rows_of(records)),
    }
    spent = {name: min(_ms_of(step) for _ in range(3)) for name, step in steps.items()}
    assert spent["one object"] < 5, spent
    assert max(spent.values()) < 50, spent


def test_runs_of_rows() -> None:
    assert runs([]) == []
    assert runs([1, 2, 3, 7, 9, 10]) == [(1, 3), (7, 7), (9, 10)]


# --- pixel size ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "plane", "expected", "unit"),
    [
        ({}, (), None, ""),
        ({"scale": (0.5, 0.25), "units": ("um", "um")}, (), 0.125, "µm"),
        ({"scale": (0.5, 250), "units": ("um", "nm")}, (), 125_000, "nm"),
        ({"scale": (1.5, 2, 3), "units": ("s", "m", "m")}, (4, None, None), 6, "m"),
        ({"scale": (5, 2, 3), "units": ("m", "m", "m")}, (None, 4, None), 15, "m"),
        ({"scale": (5, 2, 3), "units": ("s", "m", "m")}, (None, 4, None), None, "m"),
        ({"scale": (2, 2), "units": ("m", "m"), "rotate": 30}, (), 4, "m"),
        ({"scale": (2, 2), "units": ("m", "m"), "affine": np.diag([3, 1, 1])}, (), 12, "m"),
    ],
)
def test_the_area_of_a_pixel(options: Any, plane: Any, expected: Any, unit: str) -> None:
    n = len(options.get("scale", (1, 1)))
    size = PixelSize.of_layer(Image(np.zeros((5,) * n), **options))
    assert size.unit == unit
    assert size.area(plane) == (None if expected is None else pytest.approx(expected))
