"""Order, filters and marks of a series; the marks survive whatever happens to the file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.errors import AnnotationError, ExportError
from napari_edgeflow.gui.series import files as series_files
from napari_edgeflow.gui.series.files import (
    FILE_NAME,
    Book,
    list_images,
    natural_key,
    read_book,
    write_book,
)


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_numbers_count_by_their_value() -> None:
    names = ["b1", "a10.tif", "A2.tif", "a1.tif", "a01b.tif", "9", "10", "x 3 y 20", "x 3 y 4"]
    assert sorted(names, key=natural_key) == [
        "9", "10", "a1.tif", "a01b.tif", "A2.tif", "a10.tif", "b1", "x 3 y 4", "x 3 y 20",
    ]  # fmt: skip


def test_a_folder_lists_images_only(tmp_path: Path) -> None:
    _touch(tmp_path, "b10.tif", "b9.TIF", "notes.txt", ".hidden.tif", FILE_NAME, "sub/c.png")
    _touch(tmp_path, "sub/.cache/d.png", "e.zarr/0/c/0.tif", "b9_mask.tif")
    found = [path.name for path in list_images(tmp_path)]
    assert found == ["b9.TIF", "b9_mask.tif", "b10.tif", "e.zarr"]
    found = [path.name for path in list_images(tmp_path, "**/*.png, b*.tif, !*_mask.*")]
    assert found == ["b10.tif", "c.png"]
    with pytest.raises(AnnotationError, match="expected a folder of images"):
        list_images(tmp_path / "none")
    with pytest.raises(AnnotationError, match="a filter such as"):
        list_images(tmp_path, "/abs/*.tif")


def test_progress_and_the_next_to_do() -> None:
    names = ["a", "b", "c", "d"]
    book = Book().with_mark("a", "done").with_mark("c", "skipped").with_mark("d", "broken", "cut")
    assert book.progress(names) == "1 of 4 done, 1 skipped, 1 unreadable"
    assert book.next_todo(names, 0) == 1
    assert book.next_todo(names, 2) == 1  # from the start again
    assert book.next_todo(names, -1) == 1
    assert book.with_mark("b", "done").next_todo(names, 0) is None
    again = book.with_mark("d", "todo")
    assert (again.mark_of("d"), again.reasons) == ("todo", {})


def test_marks_come_back_as_they_were(tmp_path: Path) -> None:
    classes = ClassList().add("cell").add("débris")
    book = Book(last="b 2.tif", classes=classes).with_mark("b 2.tif", "broken", "cut short")
    folder, spare = tmp_path / "images", tmp_path / "autosave"
    folder.mkdir()
    assert read_book(folder, spare) == Book()
    assert write_book(folder, spare, book) == folder / FILE_NAME
    assert read_book(folder, spare) == book
    assert not spare.exists()
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]  # no temporary file is left


def test_marks_of_a_read_only_folder_go_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    spare = tmp_path / "deep" / "autosave"
    for folder in folders:
        folder.mkdir()
    monkeypatch.setattr(os, "access", lambda *_: False)
    for number, folder in enumerate(folders):
        path = write_book(folder, spare, Book().with_mark(str(number), "done"))
        assert path.parent == spare
    assert [read_book(f, spare).mark_of("1") for f in folders] == ["todo", "done"]
    monkeypatch.undo()
    write_book(folders[0], spare, Book(last="now"))
    assert read_book(folders[0], spare).last == "now"  # the later one counts


def test_an_old_file_survives_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_book(tmp_path, tmp_path / "s", Book(last="a"))

    def refuse(*_: object) -> None:
        raise ExportError("no space")

    monkeypatch.setattr(series_files, "write_whole", refuse)
    with pytest.raises(ExportError, match="no space"):
        write_book(tmp_path, tmp_path / "s", Book(last="b"))
    assert read_book(tmp_path, tmp_path / "s").last == "a"


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"version": 9}', '{"version": 1, "marks": {"a": "odd"}}']
)
def test_a_damaged_file_is_named_and_kept(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content)
    with pytest.raises(AnnotationError, match="move the file away"):
        read_book(tmp_path, tmp_path / "s")
    assert (tmp_path / FILE_NAME).read_text() == content


def test_people_can_read_the_file(tmp_path: Path) -> None:
    write_book(tmp_path, tmp_path, Book().with_mark("b10", "done").with_mark("b9", "skipped"))
    content = json.loads((tmp_path / FILE_NAME).read_text())
    assert list(content["marks"].items()) == [("b9", "skipped"), ("b10", "done")]
