"""Where journals lie, what is found there, and logs that begin with the first step."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

import napari_edgeflow
from napari_edgeflow._types import Click, Window
from napari_edgeflow.annotation import autosave
from napari_edgeflow.annotation.autosave import (
    AutosaveLog,
    find_journal,
    journal_places,
    set_aside,
    spare_folder,
)
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.commands import NewObject, commit_object, set_clicks
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.objects import ImageInfo
from napari_edgeflow.annotation.store import ArrayStore

SHAPE = (20, 30)
MARK = "ab" * 32


@pytest.fixture(autouse=True)
def spare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_disk: None) -> Path:
    monkeypatch.setenv(autosave.FOLDER_VARIABLE, str(tmp_path / "spare"))
    return tmp_path / "spare"


@pytest.fixture
def image(tmp_path: Path) -> ImageInfo:
    (tmp_path / "images").mkdir()
    return ImageInfo("cells.tif", SHAPE, path=tmp_path / "images" / "cells.tif")


def _history(places: tuple[Path, ...], image: ImageInfo) -> tuple[History, AutosaveLog]:
    log = AutosaveLog(places)
    state = State(ClassList().add("cell"))
    return History.begin(log, image, ArrayStore.empty(SHAPE), state, fingerprint=MARK), log


def _finish(history: History, y: int = 0) -> None:
    window = Window(y, 0, y + 2, 5)
    mask = np.ones(window.shape, bool)
    history.do(commit_object(history.state, history.store, window, mask, NewObject(1)))


def test_a_journal_lies_beside_the_image_or_where_the_user_chose(
    image: ImageInfo, tmp_path: Path
) -> None:
    beside, spare = journal_places(image, MARK)
    assert beside == tmp_path / "images" / "cells.tif.edgeflow"
    assert spare.parent == spare_folder() == tmp_path / "spare"
    chosen, _ = journal_places(image, MARK, folder=tmp_path / "mine")
    assert chosen.parent == tmp_path / "mine"
    assert chosen.name == spare.name
    part, _ = journal_places(image, MARK, "channel 2")
    assert part.name == "cells.tif.channel_2.edgeflow"
    sample = Path(napari_edgeflow.__file__).parent / "gui" / "sample_images" / "nuclei.jpg"
    (kept_out,) = journal_places(ImageInfo(sample.name, SHAPE, path=sample), MARK)
    assert kept_out.parent == spare_folder()  # not in the installed package
    (nameless,) = journal_places(ImageInfo("a/b: c", SHAPE), MARK)
    assert nameless == tmp_path / "spare" / f"b_c-{MARK[:12]}.edgeflow"


def test_images_of_one_name_in_two_folders_have_two_journals(tmp_path: Path) -> None:
    places = [
        journal_places(ImageInfo("a.tif", SHAPE, path=tmp_path / name / "a.tif"), MARK)[1]
        for name in ("one", "two")
    ]
    assert places[0] != places[1]


def test_looking_leaves_no_file_and_the_first_step_makes_it(image: ImageInfo) -> None:
    places = journal_places(image, MARK)
    history, log = _history(places, image)
    assert log.place is None
    log.close()
    assert not list(places[0].parent.iterdir())
    history.do(set_clicks(history.state, [Click(1, 2)]))
    assert log.place == places[0]
    _finish(history)
    log.close()
    with Journal.open(places[0]) as journal:
        again = History.resume(journal)
    assert again.state == history.state
    assert again.fingerprint == MARK
    assert again.n_undo == 2
    np.testing.assert_array_equal(again.store.read(image.whole), history.store.read(image.whole))


def test_what_is_found_says_how_much_and_of_when(image: ImageInfo) -> None:
    places = journal_places(image, MARK)
    assert find_journal(places, image, MARK) is None
    history, log = _history(places, image)
    for y in (0, 4):
        _finish(history, y)
    history.do(set_clicks(history.state, [Click(1, 2)]))
    history.undo()
    history.redo()
    log.close()
    found = find_journal(places, image, MARK)
    assert found is not None
    assert (found.path, found.n_objects, found.n_drafts, found.refusal) == (places[0], 2, 1, "")
    assert str(found).startswith("2 objects of ")
    assert str(found).endswith("(cells.tif.edgeflow)")


def test_other_pixels_or_another_shape_are_refused_in_words(image: ImageInfo) -> None:
    places = journal_places(image, MARK)
    history, log = _history(places, image)
    _finish(history)
    log.close()
    other = find_journal(places, image, "cd" * 32)
    assert other is not None
    assert other.refusal == "cells.tif.edgeflow belongs to other pixels than this image has now"
    larger = find_journal(places, ImageInfo("cells.tif", (40, 30), path=image.path), MARK)
    assert larger is not None
    assert "an image of 20 × 30 px, and this one has 40 × 30 px" in larger.refusal
    places[0].write_bytes(b"something else entirely")
    strange = find_journal(places, image, MARK)
    assert strange is not None
    assert "cannot be read" in strange.refusal
    assert places[0].read_bytes() == b"something else entirely"


def test_what_is_there_is_never_written_over(image: ImageInfo) -> None:
    places = journal_places(image, MARK)
    history, log = _history(places, image)
    _finish(history)
    before = places[0].read_bytes()
    second, other = _history(places, image)  # the first one still has its journal open
    _finish(second)
    assert other.place == places[0].with_name("cells.tif.2.edgeflow")
    log.close()
    third, another = _history(places, image)
    _finish(third)
    assert another.place == places[0].with_name("cells.tif.3.edgeflow")
    assert places[0].read_bytes() == before
    aside = set_aside(places[0])
    assert aside.read_bytes() == before
    assert aside.name.startswith("cells.tif.2")
    assert aside.name.endswith(".edgeflow.old")
    other.close()
    another.close()


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_folder_that_takes_nothing_gives_way_to_the_users_data(
    image: ImageInfo, spare: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    places = journal_places(image, MARK)
    opened = Path.open

    def refuse(path: Path, mode: str = "r", *args: object, **options: object) -> object:
        if path.parent == places[0].parent and mode != "rb":
            raise OSError(number, os.strerror(number))
        return opened(path, mode, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    history, log = _history(places, image)
    _finish(history)
    assert log.place is not None
    assert log.place.parent == spare
    (note,) = log.notes
    assert os.strerror(number) in note
    assert f"saved in {log.place} instead" in note
    log.close()
    assert find_journal(places, image, MARK) is not None


def test_without_any_place_steps_stay_in_memory_and_the_user_is_told(
    image: ImageInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    history, log = _history(journal_places(image, MARK), image)
    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    _finish(history)
    assert log.place is None
    assert len(history.state.objects) == 1
    history.undo()
    assert not history.state.objects
    assert "kept in memory only" in log.notes[0]
