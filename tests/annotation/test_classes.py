"""Class lists and their files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_edgeflow.annotation.classes import (
    PALETTE,
    ClassList,
    ObjectClass,
    read_classes,
    write_classes,
)
from napari_edgeflow.errors import AnnotationError

CLASSES = ClassList().add("nucleus").add("cell body").add("débris", (1, 2, 3))


def test_new_classes_get_the_next_id_colour_and_digit() -> None:
    assert [c.id for c in CLASSES] == [1, 2, 3]
    assert [c.color for c in CLASSES] == [PALETTE[0], PALETTE[1], (1, 2, 3)]
    assert [c.shortcut for c in CLASSES] == [1, 2, 3]
    again = CLASSES.without(1).add("new")
    assert again.get(4).color == PALETTE[0]
    assert again.get(4).shortcut == 1
    many = ClassList()
    for number in range(12):
        many = many.add(f"class {number}")
    assert [c.shortcut for c in many] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, None, None]


def test_changes_give_a_new_list() -> None:
    changed = CLASSES.rename(1, "core").recolor(2, (9, 9, 9)).reorder([3, 1, 2]).set_shortcut(2, 1)
    assert [(c.id, c.name, c.color, c.shortcut) for c in changed] == [
        (3, "débris", (1, 2, 3), 3), (1, "core", PALETTE[0], None), (2, "cell body", (9, 9, 9), 1)
    ]  # fmt: skip
    assert CLASSES.get(1).name == "nucleus"
    assert CLASSES.named("cell body") == CLASSES.get(2)
    assert CLASSES.named("nothing") is None
    assert 3 in CLASSES
    assert 4 not in CLASSES


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="each name once, got 'nucleus' twice"):
        CLASSES.add("nucleus")
    with pytest.raises(ValueError, match=r"id of a class \(1, 2, 3\), got 7"):
        CLASSES.rename(7, "x")
    with pytest.raises(ValueError, match=r"ids \[1, 2, 3\] in another order, got \[1, 2\]"):
        CLASSES.reorder([1, 2])
    with pytest.raises(ValueError, match="0 is the background"):
        ObjectClass(0, "background", (0, 0, 0))
    with pytest.raises(ValueError, match="a name on one line"):
        ObjectClass(1, "two\nlines", (0, 0, 0))
    with pytest.raises(ValueError, match="0…255"):
        ObjectClass(1, "x", (0, 256, 0))
    with pytest.raises(ValueError, match="digit 0…9, got 10"):
        ObjectClass(1, "x", (0, 0, 0), 10)


def test_eiseg_s_text_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    notes = write_classes(path, CLASSES)
    assert path.read_text(encoding="utf-8").splitlines() == [
        "1 nucleus 230 159 0", "2 cell body 86 180 233", "3 débris 1 2 3"
    ]  # fmt: skip
    assert notes == ("shortcut digits are not kept by the text file; JSON keeps them",)
    assert [(c.id, c.name, c.color) for c in read_classes(path)] == [
        (c.id, c.name, c.color) for c in CLASSES
    ]
    path.write_bytes("\ufeff1 roof 255 0 0\r\n\r\n12  12 storeys 0 0 9\r\n".encode())
    assert [(c.id, c.name) for c in read_classes(path)] == [(1, "roof"), (12, "12 storeys")]


def test_json_keeps_all(tmp_path: Path) -> None:
    path = tmp_path / "classes.JSON"
    assert write_classes(path, CLASSES) == ()
    assert read_classes(path) == CLASSES
    path.write_text(json.dumps([{"id": 4, "name": "a", "color": [0, 0, 1]}]))
    assert read_classes(path).classes == (ObjectClass(4, "a", (0, 0, 1)),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 a 0 0 0\n2 b 0 0", r"line 2 \('2 b 0 0'\): expected at least five words, got 4; "),
        ("1 a 0 0 red", "line 1 .*whole numbers for id and colour; a line reads: id name red"),
        ("1 a 0 0 999", "line 1 .*0…255"),
        ("0 background 0 0 0", "line 1 .*0 is the background"),
        ("1 a 0 0 0\n\n1 b 0 0 0", "line 3 .*each id once, got 1 twice"),
    ],
)
def test_errors_name_the_line_and_the_remedy(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=message):
        read_classes(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"{", "holds no classes"),
        ("a.json", b"{}", "expected a list under 'classes'"),
        ("a.json", b"3", "expected a list of classes, got int"),
        ("a.json", b'[{"id": 1, "name": "x"}]', "class 1 of the list: lacks 'color'"),
        ("a.json", b'[{"id": 1, "name": "x", "color": [1, 2]}]', "class 1 of the list"),
        ("a.txt", b"1 \xff 0 0 0", "holds no classes"),
        ("a.csv", b"", "in a .txt or .json file, got 'a.csv'"),
    ],
)
def test_files_that_hold_no_classes(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(AnnotationError, match=message):
        read_classes(path)
    with pytest.raises(AnnotationError):
        read_classes(tmp_path / "missing.json")


def test_another_list_keeps_the_classes_that_objects_have() -> None:
    mine = ClassList().add("cell").add("nucleus").add("debris")
    others = ClassList((ObjectClass(1, "cell", (1, 2, 3), 2), ObjectClass(9, "mito", (4, 5, 6), 1)))
    merged = mine.replaced_by(others, {1, 2})
    assert [(c.id, c.name, c.shortcut) for c in merged] == [
        (1, "cell", 2), (9, "mito", 1), (2, "nucleus", None),
    ]  # fmt: skip
    assert merged.get(1).color == (1, 2, 3)
    assert mine.replaced_by(others, ()) == others


@pytest.mark.parametrize(
    "other", [ObjectClass(2, "axon", (0, 0, 0)), ObjectClass(5, "nucleus", (0, 0, 0))]
)
def test_a_class_in_use_never_comes_to_mean_something_else(other: ObjectClass) -> None:
    mine = ClassList().add("cell").add("nucleus")
    with pytest.raises(ValueError, match="class 2 to be 'nucleus', which objects have"):
        mine.replaced_by(ClassList((other,)), {2})
    assert mine.replaced_by(ClassList((other,)), {1}).get(other.id) == other


def test_digits_are_given_where_there_are_none() -> None:
    many = ClassList(tuple(ObjectClass(i, f"c{i}", (0, 0, 0)) for i in range(1, 13)))
    assert [c.shortcut for c in many.with_digits()] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, None, None]
    few = ClassList(many.classes[:2])
    assert [c.shortcut for c in few.with_digits()] == [1, 2]
    own = few.set_shortcut(2, 7)
    assert own.with_digits() == own
