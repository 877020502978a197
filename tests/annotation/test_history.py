"""Undo and redo against a model that copies everything, through restarts, cuts and kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_edgeflow._types import AnyArray, Click, LabelArray, Window
from napari_edgeflow.annotation.changes import Change, Draft, State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.commands import (
    NewObject,
    commit_object,
    delete_objects,
    edit_classes,
    reclassify,
    remove_class,
    remove_class_and_objects,
    rename_object,
    replace_mask,
    set_clicks,
    set_draft,
    set_hidden,
    set_locked,
    set_postprocessing,
)
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.objects import (
    ImageInfo,
    ObjectRecord,
    PlaneIndex,
    PostProcessing,
    measure_labels,
)
from napari_edgeflow.annotation.records import MemoryLog, Record
from napari_edgeflow.annotation.store import ArrayStore, OverlapRule, StoredPlane
from napari_edgeflow.errors import JournalError
from napari_edgeflow.raster.georef import GeoReference

SHAPE = (14, 19)
CLASSES = ClassList().add("cell").add("débris")
IMAGE = ImageInfo(
    "a.tif", SHAPE, (0.5, 0.25), "um", GeoReference(pixel_scale=(1.0, 1.0, 0.0)), Path("/x/a.tif")
)


def _new(log: Any = None, labels: AnyArray | None = None) -> History:
    array = np.zeros(SHAPE, np.uint32) if labels is None else labels
    return History.begin(
        MemoryLog() if log is None else log, IMAGE, ArrayStore(array), State(CLASSES)
    )


def _labels(history: History) -> LabelArray:
    return history.store.read(Window(0, 0, *SHAPE))


def _ellipse(window: Window) -> AnyArray:
    y, x = np.ogrid[: window.height, : window.width]
    inside: AnyArray = (2 * y - window.height + 1) ** 2 / window.height**2 + (
        2 * x - window.width + 1
    ) ** 2 / window.width**2 <= 1
    return inside


def _commit(
    history: History,
    window: Window,
    rule: OverlapRule = "old_protected",
    class_id: int = 1,
    plane: PlaneIndex = (),
) -> Change:
    about = NewObject(class_id, "net", model_sha256="ab", created="2026-01-01", plane=plane)
    mask = np.ones(window.shape, dtype=bool)
    return history.do(commit_object(history.state, history.store, window, mask, about, rule))


# -- commands ------------------------------------------------------------------------------


def test_a_commit_keeps_what_is_known_of_the_object() -> None:
    history = _new()
    clicks = [Click(3.0, 4.0), Click(1.0, 9.5, False), Click(2.0, 2.0, is_boundary=True)]
    history.do(set_clicks(history.state, clicks))
    history.do(set_postprocessing(history.state, PostProcessing(0.7, fill_holes=True)))
    _commit(history, Window(2, 3, 5, 8))
    (record,) = history.state.objects.values()
    assert (record.id, record.box, record.area_px) == (1, Window(2, 3, 5, 8), 15)
    assert (record.n_positive, record.n_negative, record.clicks) == (1, 1, tuple(clicks))
    assert (record.model, record.model_sha256, record.settings.threshold) == ("net", "ab", 0.7)
    assert history.state.draft_on() == Draft(settings=PostProcessing(0.7, fill_holes=True))
    assert history.state.drafts == {}
    assert history.next_undo() == "finish object 1"


def test_neighbours_that_lose_pixels_are_measured_anew() -> None:
    history = _new()
    _commit(history, Window(0, 0, 4, 4))
    _commit(history, Window(6, 6, 8, 8))
    _commit(history, Window(0, 2, 9, 9), "new_on_top", 2)
    first = history.state.objects[1]
    assert (first.box, first.area_px) == (Window(0, 0, 4, 2), 8)
    assert 2 not in history.state.objects  # nothing of it was left
    history.undo()
    assert history.state.objects[2].area_px == 4
    assert history.state.objects[1].area_px == 16


def test_locked_objects_stay() -> None:
    history = _new()
    _commit(history, Window(0, 0, 4, 4))
    history.do(set_locked(history.state, [1], True))
    _commit(history, Window(0, 0, 6, 6), "new_on_top")
    assert (_labels(history) == 1).sum() == 16
    attempts: list[Callable[[], Change]] = [
        lambda: delete_objects(history.state, history.store, [1]),
        lambda: reclassify(history.state, [2, 1], 2),
        lambda: rename_object(history.state, 1, "x"),
        lambda: replace_mask(
            history.state, history.store, 1, Window(0, 0, 1, 1), np.ones((1, 1), bool)
        ),
    ]
    for attempt in attempts:
        with pytest.raises(ValueError, match="1 is locked; unlock it"):
            attempt()
    history.do(set_hidden(history.state, [1], True))
    history.do(set_locked(history.state, [1], False))
    history.do(delete_objects(history.state, history.store, [1]))
    assert not (_labels(history) == 1).any()


def test_a_corrected_object_keeps_its_id_and_leaves_its_old_pixels() -> None:
    history = _new()
    _commit(history, Window(0, 0, 4, 4))
    history.do(set_draft(history.state, Draft(corrects=1)))
    _commit(history, Window(2, 2, 6, 6))
    assert history.next_undo() == "correct object 1"
    expected = np.zeros(SHAPE)
    expected[2:6, 2:6] = 1
    np.testing.assert_array_equal(_labels(history), expected)
    assert history.state.objects[1].box == Window(2, 2, 6, 6)
    history.do(
        replace_mask(history.state, history.store, 1, Window(9, 9, 10, 11), np.ones((1, 2), bool))
    )
    assert _labels(history).sum() == 2


def test_ids_are_not_used_twice() -> None:
    history = _new()
    _commit(history, Window(0, 0, 2, 2))
    history.do(delete_objects(history.state, history.store, [1]))
    _commit(history, Window(0, 0, 2, 2))
    assert list(history.state.objects) == [2]


def test_what_becomes_of_a_class_s_objects() -> None:
    history = _new()
    _commit(history, Window(0, 0, 2, 2), class_id=1)
    _commit(history, Window(4, 4, 6, 6), class_id=2)
    history.do(remove_class(history.state, 2, move_to=1))
    assert [record.class_id for record in history.state.objects.values()] == [1, 1]
    history.undo()
    history.do(remove_class_and_objects(history.state, history.store, 2))
    assert list(history.state.objects) == [1]
    assert _labels(history).sum() == 4
    assert [c.id for c in history.state.classes] == [1]
    history.undo()
    assert _labels(history).sum() == 12
    with pytest.raises(ValueError, match=r"but \[2\] are missing; remove a class together"):
        edit_classes(history.state, CLASSES.without(2))
    with pytest.raises(ValueError, match="another class for the objects, got 2 itself"):
        remove_class(history.state, 2, move_to=2)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((2, 2), bool), "got an empty one"),
        (np.ones((2, 3), bool), r"expected a \(2, 2\) bool mask"),
        (np.ones((2, 2)), "float64"),
        (np.ones((2, 2), bool), "lies inside other objects"),
    ],
)
def test_masks_that_cannot_be_committed(mask: AnyArray, message: str) -> None:
    history = _new()
    _commit(history, Window(0, 0, 4, 4))
    with pytest.raises(ValueError, match=message):
        commit_object(history.state, history.store, Window(1, 1, 3, 3), mask, NewObject(1))
    with pytest.raises(ValueError, match="there is none of"):
        delete_objects(history.state, history.store, [8])


# -- the history against a naive model -----------------------------------------------------

boxes = st.tuples(st.integers(0, 10), st.integers(0, 14), st.integers(1, 4), st.integers(1, 5)).map(
    lambda t: Window(t[0], t[1], t[0] + t[2], t[1] + t[3])
)
steps = st.one_of(
    st.tuples(st.just("commit"), boxes, st.sampled_from(["new_on_top", "old_protected"])),
    st.tuples(st.just("reshape"), boxes, st.integers(0, 9)),
    st.tuples(st.just("delete"), st.integers(0, 9)),
    st.tuples(st.just("reclassify"), st.integers(0, 9), st.integers(1, 2)),
    st.tuples(st.just("lock"), st.integers(0, 9), st.booleans()),
    st.tuples(st.just("clicks"), st.lists(st.floats(0, 9), max_size=3)),
    st.tuples(st.just("threshold"), st.floats(0.01, 0.99)),
    st.tuples(st.just("take up"), st.integers(0, 9)),
    st.tuples(st.just("class"), st.text("abc", min_size=1, max_size=2)),
    st.tuples(st.just("undo")),
    st.tuples(st.just("undo")),
    st.tuples(st.just("redo")),
    st.tuples(st.just("restart")),
)


def _plan(history: History, step: tuple[Any, ...]) -> Change:
    """The change of one step.

    Raises:
        ValueError: It is refused in this state.
    """
    state, store = history.state, history.store
    kind, first, *rest = step

    def chosen(number: int) -> int:
        ids = sorted(state.objects)
        return ids[number % len(ids)] if ids else 0

    commands: dict[str, Callable[[], Change]] = {
        "commit": lambda: commit_object(
            state, store, first, _ellipse(first), NewObject(1, created="t"), rest[0]
        ),
        "reshape": lambda: replace_mask(state, store, chosen(rest[0]), first, _ellipse(first)),
        "delete": lambda: delete_objects(state, store, [chosen(first)]),
        "reclassify": lambda: reclassify(state, [chosen(first)], rest[0]),
        "lock": lambda: set_locked(state, [chosen(first)], rest[0]),
        "clicks": lambda: set_clicks(state, [Click(y, y) for y in first]),
        "threshold": lambda: set_postprocessing(state, PostProcessing(first)),
        "take up": lambda: set_draft(state, Draft(corrects=chosen(first) or None)),
        "class": lambda: edit_classes(state, state.classes.add(first)),
    }
    return commands[kind]()


def _check_records(history: History) -> None:
    measured = measure_labels(StoredPlane(history.store))
    records = {i: (r.box, r.area_px) for i, r in history.state.objects.items()}
    assert records == measured


@given(st.lists(steps, max_size=25))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_steps_are_undone_exactly_even_after_a_restart(
    quick_disk: None, tmp_path_factory: pytest.TempPathFactory, sequence: list[tuple[Any, ...]]
) -> None:
    path = tmp_path_factory.mktemp("history") / "a.journal"
    journal = Journal.open(path)
    try:
        history = _new(journal)
        past, future = [(history.state, _labels(history))], []
        for step in sequence:
            if step[0] == "undo":
                assert (history.undo() is None) == (len(past) == 1)
                if len(past) > 1:
                    future.append(past.pop())
            elif step[0] == "redo":
                assert (history.redo() is None) == (not future)
                if future:
                    past.append(future.pop())
            elif step[0] == "restart":
                journal.close()
                journal = Journal.open(path)
                history = History.resume(journal)
            else:
                try:
                    history.do(_plan(history, step))
                except ValueError:
                    assert (history.n_undo, history.n_redo) == (len(past) - 1, len(future))
                else:
                    past.append((history.state, _labels(history)))
                    future.clear()
            assert history.state == past[-1][0]
            np.testing.assert_array_equal(_labels(history), past[-1][1])
            assert (history.n_undo, history.n_redo) == (len(past) - 1, len(future))
            _check_records(history)
    finally:
        journal.close()


def test_a_thousand_steps_back_and_forth(tmp_path: Path, quick_disk: None) -> None:
    with Journal.open(tmp_path / "a.journal") as journal:
        history = _new(journal)
        seen = [_labels(history)]
        for number in range(1000):
            y, x = divmod(number * 7, 16)
            _commit(history, Window(y % 12, x, y % 12 + 2, x + 3), "new_on_top")
            seen.append(_labels(history))
    with Journal.open(tmp_path / "a.journal") as journal:
        history = History.resume(journal)
        for labels in seen[-2::-1]:
            assert history.undo() is not None
            assert np.array_equal(_labels(history), labels)
        assert (history.n_undo, history.n_redo, history.undo()) == (0, 1000, None)
        while history.redo():
            pass
        np.testing.assert_array_equal(_labels(history), seen[-1])


# -- restarts ------------------------------------------------------------------------------


def test_labels_that_were_there_before_come_back_too(tmp_path: Path) -> None:
    labels = np.zeros((600, 700), np.uint32)
    labels[500:530, 505:640] = 4_000_000_000
    image = ImageInfo("b", labels.shape)
    with Journal.open(tmp_path / "a.journal") as journal:
        History.begin(journal, image, ArrayStore(labels.copy()))
        assert len(journal) == 5  # the first, and four tiles that hold something
    with Journal.open(tmp_path / "a.journal") as journal:
        history = History.resume(journal)
        np.testing.assert_array_equal(history.store.read(image.whole), labels)
        assert history.store.next_id == 4_000_000_001


def test_all_of_image_and_state_comes_back(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "a.journal") as journal:
        history = _new(journal)
        history.do(set_clicks(history.state, [Click(0.1, 2.7, False)]))
        _commit(history, Window(0, 0, 3, 3))
        state = history.state
    with Journal.open(tmp_path / "a.journal") as journal:
        again = History.resume(journal)
    assert again.image == IMAGE
    assert again.state == state


def test_stacks_keep_their_planes(tmp_path: Path) -> None:
    array = np.zeros((3, *SHAPE), np.uint32)
    plane: PlaneIndex = (1, None, None)
    array[0, 0, 0] = 9
    with Journal.open(tmp_path / "a.journal") as journal:
        planes: tuple[PlaneIndex, ...] = tuple((z, None, None) for z in range(3))
        history = History.begin(journal, IMAGE, ArrayStore(array), State(CLASSES), planes)
        change = _commit(history, Window(0, 0, 2, 2), plane=plane)
        assert change.windows == ((plane, Window(0, 0, 2, 2)),)
        _commit_plain = history.annotations(plane)
        assert [record.id for record in _commit_plain.objects] == [10]
        assert history.annotations((0, None, None)).objects == ()
    copy = np.zeros_like(array)
    with Journal.open(tmp_path / "a.journal") as journal:
        History.resume(journal, ArrayStore(copy))
    np.testing.assert_array_equal(copy, array)
    assert (copy[1] == 10).sum() == 4


def test_a_journal_cut_anywhere_resumes_at_a_whole_step(tmp_path: Path, quick_disk: None) -> None:
    path = tmp_path / "a.journal"
    seen = []
    with Journal.open(path) as journal:
        history = _new(journal)
        for number in range(4):
            seen.append((path.stat().st_size, history.state, _labels(history)))
            _commit(history, Window(number, number, number + 6, number + 6), "new_on_top")
        seen.append((path.stat().st_size, history.state, _labels(history)))
    data = path.read_bytes()
    for cut in range(seen[0][0], len(data) + 1, 37):
        path.write_bytes(data[:cut])
        with Journal.open(path) as journal:
            history = History.resume(journal)
        _, state, labels = [one for one in seen if one[0] <= cut][-1]
        assert history.state == state
        np.testing.assert_array_equal(_labels(history), labels)


@pytest.mark.parametrize("n_steps", [0, 1, 7, 40])
def test_kill_9_costs_at_most_the_step_in_flight(tmp_path: Path, n_steps: int) -> None:
    path = tmp_path / "a.journal"
    script = Path(__file__).with_name("kill_me.py")
    with subprocess.Popen(
        [sys.executable, str(script), str(path)], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        for step in range(n_steps + 1):
            assert child.stdout.readline() == f"{step}\n".encode()
        child.send_signal(signal.SIGKILL)
    with Journal.open(path) as journal:
        history = History.resume(journal)
    n_found = len(history.state.objects)
    assert n_found >= n_steps + 1
    assert history.n_undo in (2 * n_found, 2 * n_found + 1)
    labels = history.store.read(Window(0, 0, 6, 6 * n_found))
    assert (
        labels.tolist() == np.repeat([np.arange(1, n_found + 1)], 6, axis=1).repeat(6, 0).tolist()
    )


# -- trouble -------------------------------------------------------------------------------


class _FailingStore(ArrayStore):
    """A store that refuses to write when told to."""

    fails = False

    def write(self, window: Window, labels: LabelArray, plane: PlaneIndex = ()) -> None:
        if self.fails and labels.max() == 2:
            raise OSError("disk full")
        super().write(window, labels, plane)


def test_a_store_that_fails_leaves_state_and_journal_as_they_were(tmp_path: Path) -> None:
    store = _FailingStore(np.zeros(SHAPE, np.uint32))
    with Journal.open(tmp_path / "a.journal") as journal:
        history = History.begin(journal, IMAGE, store, State(CLASSES))
        _commit(history, Window(0, 0, 2, 2))
        history.do(set_clicks(history.state, [Click(1.0, 1.0)]))
        history.undo()
        state = history.state
        store.fails = True
        with pytest.raises(OSError, match="disk full"):
            _commit(history, Window(4, 4, 6, 6))
        assert (history.state, history.n_undo, history.n_redo) == (state, 1, 1)
    with Journal.open(tmp_path / "a.journal") as journal:
        again = History.resume(journal)
        assert (again.state, again.n_undo, again.n_redo) == (state, 1, 1)
        np.testing.assert_array_equal(_labels(again), store.array)
        again.redo()
        assert len(again.state.draft_on().clicks) == 1


def test_a_redo_that_fails_can_be_tried_again(tmp_path: Path) -> None:
    store = _FailingStore(np.zeros(SHAPE, np.uint32))
    with Journal.open(tmp_path / "a.journal") as journal:
        history = History.begin(journal, IMAGE, store, State(CLASSES))
        _commit(history, Window(0, 0, 2, 2))
        _commit(history, Window(4, 4, 6, 6))
        history.undo()
        store.fails = True
        with pytest.raises(OSError, match="disk full"):
            history.redo()
        assert (history.n_undo, history.n_redo, len(history.state.objects)) == (1, 1, 1)
        store.fails = False
        history.redo()
        state = history.state
    with Journal.open(tmp_path / "a.journal") as journal:
        again = History.resume(journal)
    assert again.state == state
    assert (again.n_undo, again.n_redo) == (2, 0)


def test_nothing_changes_when_the_journal_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with Journal.open(tmp_path / "a.journal") as journal:
        history = _new(journal)
        _commit(history, Window(0, 0, 2, 2))
        state, labels = history.state, _labels(history)
        with monkeypatch.context() as full:
            full.setattr(os, "fsync", refuse)
            with pytest.raises(JournalError, match="No space left"):
                _commit(history, Window(4, 4, 6, 6))
            with pytest.raises(JournalError, match="No space left"):
                history.undo()
        assert history.state == state
        np.testing.assert_array_equal(_labels(history), labels)
        history.undo()
    with Journal.open(tmp_path / "a.journal") as journal:
        assert History.resume(journal).n_redo == 1


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "holds no annotations yet"),
        ([Record(1, {"version": 99})], "expected version 2, got 99; open it with the version"),
        ([Record(1, {"version": 1})], "record 0: KeyError: 'objects'"),
        ([Record(3, {})], "holds no annotations yet"),
    ],
)
def test_journals_that_hold_no_history(tmp_path: Path, records: list[Record], message: str) -> None:
    with Journal.open(tmp_path / "a.journal") as journal:
        for record in records:
            journal.append(record)
        with pytest.raises(JournalError, match=message):
            History.resume(journal)


def test_a_record_of_another_version_is_named(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "a.journal") as journal:
        _new(journal)
        journal.append(Record(77, {}))
        with pytest.raises(JournalError, match=r"record 1: ValueError: expected a kind of record"):
            History.resume(journal)


def test_titles_name_a_few_objects_and_count_many() -> None:
    records = {i: ObjectRecord(i, 1, Window(0, i, 1, i + 1), 1) for i in range(1, 13)}
    state = State(ClassList().add("cell"), records)
    labels = np.arange(0, 14, dtype=np.uint32)[None]
    store = ArrayStore(labels)
    assert set_hidden(state, [2], True).title == "hide: object 2"
    assert set_locked(state, [2, 5, 9], True).title == "lock: objects 2, 5, 9"
    assert set_hidden(state, list(records), True).title == "hide: 12 objects"
    assert delete_objects(state, store, [4]).title == "delete object 4"
    assert delete_objects(state, store, list(records)).title == "delete 12 objects"
