"""A disk without room: writes really fail half-way, work goes on, and nothing saved is lost."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

from napari_edgeflow._types import Click, Window
from napari_edgeflow.annotation.commands import edit_classes, rename_object
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.gui.controller import Controller

from .fakes import region, squares

resource = pytest.importorskip("resource", reason="limits of files are POSIX's")

Settle = Callable[[Controller], None]
BRIGHT, DIM, SPECK = (15, 20), (40, 50), (56, 3)


@pytest.fixture
def limit_files(monkeypatch: Any) -> Iterator[Callable[[int | None], None]]:
    """Makes the system refuse bytes after the n-th of any file, as a disk does that runs full.

    What still fits is written, the rest is an ``OSError``. Python ignores SIGXFSZ. What is printed
    goes to memory meanwhile, as pytest's own files have no room either: once an earlier test has
    opened a window, napari prints each notification.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(n_bytes: int | None) -> None:
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, io.StringIO())
        soft = before[0] if n_bytes is None else n_bytes
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, before[1]))

    yield limit
    limit(None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, squares())
    return path


@pytest.fixture
def open_image(make_controller: Any, settle: Settle) -> Callable[..., Any]:
    """A controller bound to the image of a file, going on with what was saved of it."""

    def do(path: Path) -> Any:
        viewer = ViewerModel()
        image = viewer.add_image(tifffile.imread(path), metadata={"path": str(path)}, name="cells")
        controller = make_controller(viewer)
        controller.projects.resumes = "always"
        controller.bind(image)
        settle(controller)
        return controller

    return do


def _finish(controller: Any, settle: Settle, place: tuple[int, int]) -> None:
    controller.click(place, "positive")
    settle(controller)
    controller.finish()
    settle(controller)


def _leave(controller: Any, qtbot: Any) -> None:
    controller.close()
    qtbot.waitUntil(lambda: not controller.projects.worker.is_alive, timeout=60_000)


def _journal(file: Path) -> Path:
    return file.with_name(f"{file.name}.edgeflow")


def _check_whole(journal: Path, place: Path) -> History:
    """What somebody finds who opens the journal as it lies there now; it is not torn."""
    copy = place / "copy.edgeflow"
    shutil.copyfile(journal, copy)
    with Journal.open(copy) as opened:
        assert not str(opened.recovery), "no byte of a half-written step may be left"
        found = History.resume(opened)
        found.labels = found.store.read(Window(0, 0, 60, 80))  # type: ignore[attr-defined]
    copy.unlink()
    return found


@pytest.mark.parametrize("room", [0, 1, 19, 60, 250])
def test_work_goes_on_in_memory_and_is_saved_when_there_is_room(
    open_image: Any, file: Path, settle: Settle, qtbot: Any, messages: list[str], tmp_path: Path,
    limit_files: Callable[[int | None], None], room: int,
) -> None:  # fmt: skip
    controller = open_image(file)
    _finish(controller, settle, BRIGHT)
    project = controller.project
    assert project.saved_line.startswith("Saved at ")
    limit_files(_journal(file).stat().st_size + room)
    _finish(controller, settle, DIM)
    project.do(lambda state, _: edit_classes(state, state.classes.add("nucleus")))
    settle(controller)
    assert set(project.state.objects) == {1, 2}
    assert (project.layer.data == 2).sum() == 450
    assert project.saved_line.startswith("Not saved: ")
    assert "in memory only" in project.saved_line
    assert "File too large" in project.saved_line
    (said,) = [text for text in messages if "File too large" in text]
    assert "You can go on: your steps are kept in memory" in said
    assert not project.is_on_disk
    found = _check_whole(_journal(file), tmp_path)
    assert set(found.state.objects) == {1}, "no more than what was called saved before"
    controller.undo()
    controller.undo()
    settle(controller)
    assert set(project.state.objects) == {1}
    controller.redo()
    controller.redo()
    settle(controller)
    assert set(project.state.objects) == {1, 2}
    limit_files(None)
    assert project.saved_line.startswith("Not saved: ")
    project.save_again()
    settle(controller)
    assert project.saved_line.startswith("Saved at ")
    assert project.is_on_disk
    assert "All steps are saved again, in cells.tif.edgeflow" in messages
    found = _check_whole(_journal(file), tmp_path)
    assert found.state == project.state
    _finish(controller, settle, SPECK)
    state, labels = project.state, project.layer.data.copy()
    _leave(controller, qtbot)
    again = open_image(file)
    assert again.project.state == state
    np.testing.assert_array_equal(again.target.data, labels)
    assert again.project.undo_title == "finish object 3"
    for _ in range(3):
        again.undo()
        settle(again)
    assert [one.name for one in again.project.state.classes] == ["object"]


def test_a_disk_that_is_full_from_the_start(
    open_image: Any, file: Path, settle: Settle, qtbot: Any, messages: list[str],
    limit_files: Callable[[int | None], None], spare_projects: Path,
) -> None:  # fmt: skip
    controller = open_image(file)
    limit_files(0)
    _finish(controller, settle, BRIGHT)
    project = controller.project
    assert set(project.state.objects) == {1}
    assert project.saved_line.startswith("Not saved: ")
    assert len([text for text in messages if "File too large" in text]) == 1
    assert project.place is None
    controller.undo()
    controller.redo()
    settle(controller)
    limit_files(None)
    _finish(controller, settle, DIM)
    assert project.saved_line.startswith("Saved at ")
    assert project.place == _journal(file)
    state = project.state
    _leave(controller, qtbot)
    again = open_image(file)
    assert again.project.state == state
    assert set(state.objects) == {1, 2}
    expected = np.zeros((60, 80), int)
    expected[region(squares(), [Click(*BRIGHT)])] = 1
    expected[region(squares(), [Click(*DIM)])] = 2
    np.testing.assert_array_equal(again.target.data, expected)
    assert not [one for one in spare_projects.iterdir() if one.suffix == ".edgeflow"]


def test_closing_saves_what_waits(
    open_image: Any, file: Path, settle: Settle, qtbot: Any,
    limit_files: Callable[[int | None], None],
) -> None:  # fmt: skip
    controller = open_image(file)
    _finish(controller, settle, BRIGHT)
    limit_files(_journal(file).stat().st_size + 30)
    _finish(controller, settle, DIM)
    state = controller.project.state
    limit_files(None)
    _leave(controller, qtbot)
    assert open_image(file).project.state == state


def test_a_project_that_is_left_while_the_disk_is_full_keeps_its_layer(
    open_image: Any, file: Path, settle: Settle, limit_files: Callable[[int | None], None]
) -> None:
    controller = open_image(file)
    _finish(controller, settle, BRIGHT)
    limit_files(_journal(file).stat().st_size)
    _finish(controller, settle, DIM)
    layer = controller.project.layer
    controller.projects.dismiss(controller.image)
    assert layer in controller.viewer.layers
    assert "are not saved on disk" in controller.status


def test_whatever_is_called_saved_is_found_again(
    open_image: Any, file: Path, settle: Settle, tmp_path: Path,
    limit_files: Callable[[int | None], None],
) -> None:  # fmt: skip
    """Room comes and goes; the journal never holds less than was reported, nor half a step."""
    controller = open_image(file)
    _finish(controller, settle, BRIGHT)
    project, rng = controller.project, np.random.default_rng(7)
    since_reported, n_full = [project.state], 0
    for number in range(40):
        room = int(rng.integers(0, 700)) if rng.random() < 0.7 else None
        limit_files(None if room is None else _journal(file).stat().st_size + room)
        if rng.random() < 0.2 and project.can_undo:
            controller.undo()
        else:
            name = "n" * int(rng.integers(1, 300)) + str(number)
            project.do(lambda state, _, name=name: rename_object(state, min(state.objects), name))
        settle(controller)
        limit_files(None)
        found = _check_whole(_journal(file), tmp_path)
        since_reported.append(project.state)
        if project.is_on_disk:
            assert project.saved_line.startswith("Saved at ")
            since_reported = [project.state]
        else:
            assert project.saved_line.startswith("Not saved: ")
            n_full += 1
        assert found.state in since_reported
    assert 5 < n_full < 35
