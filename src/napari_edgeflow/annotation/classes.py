"""The classes that objects belong to, and their files.

EISeg's text file has one class a line, ``id name r g b``; names may hold spaces. JSON keeps the
shortcuts too.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_edgeflow._files import write_whole
from napari_edgeflow.errors import AnnotationError

Rgb = tuple[int, int, int]

# Okabe and Ito's colours, told apart by colour-blind readers; black left out
PALETTE: tuple[Rgb, ...] = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66),
    (0, 114, 178), (213, 94, 0), (204, 121, 167),
)  # fmt: skip

_DIGITS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 0)


@dataclass(frozen=True, slots=True)
class ObjectClass:
    """One class.

    Attributes:
        id: From 1; 0 is the background.
        name: Without line breaks, not empty.
        color: Red, green, blue, each 0…255.
        shortcut: The digit that chooses it, 0…9, or None.
    """

    id: int
    name: str
    color: Rgb
    shortcut: int | None = None

    def __post_init__(self) -> None:
        if self.id < 1:
            raise ValueError(f"expected a class id from 1 (0 is the background), got {self.id}")
        if not self.name.strip() or "\n" in self.name or "\r" in self.name:
            raise ValueError(f"expected a name on one line, got {self.name!r}")
        if not all(0 <= value <= 255 for value in self.color):
            raise ValueError(f"expected a colour of three numbers 0…255, got {self.color}")
        if self.shortcut is not None and not 0 <= self.shortcut <= 9:
            raise ValueError(f"expected a shortcut digit 0…9, got {self.shortcut}")


@dataclass(frozen=True, slots=True)
class ClassList:
    """Classes in the user's order; every change gives a new list."""

    classes: tuple[ObjectClass, ...] = ()

    def __post_init__(self) -> None:
        for what in ("id", "name", "shortcut"):
            values = [getattr(c, what) for c in self.classes if getattr(c, what) is not None]
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"expected each {what} once, got {twice[0]!r} twice; change one")

    def __iter__(self) -> Iterator[ObjectClass]:
        return iter(self.classes)

    def __len__(self) -> int:
        return len(self.classes)

    def __contains__(self, class_id: object) -> bool:
        return any(c.id == class_id for c in self.classes)

    def get(self, class_id: int) -> ObjectClass:
        """The class of this id.

        Raises:
            ValueError: There is none.
        """
        for one in self.classes:
            if one.id == class_id:
                return one
        known = ", ".join(str(c.id) for c in self.classes) or "none"
        raise ValueError(f"expected the id of a class ({known}), got {class_id}")

    def named(self, name: str) -> ObjectClass | None:
        """The class of this name; None when there is none."""
        return next((c for c in self.classes if c.name == name), None)

    def add(self, name: str, color: Rgb | None = None) -> ClassList:
        """With a new class at the end: the next id, an unused colour and digit."""
        new_id = max((c.id for c in self.classes), default=0) + 1
        taken = {c.shortcut for c in self.classes}
        digit = next((d for d in _DIGITS if d not in taken), None)
        return ClassList((*self.classes, ObjectClass(new_id, name, color or self._free(), digit)))

    def rename(self, class_id: int, name: str) -> ClassList:
        """With another name for one class."""
        return self._put(replace(self.get(class_id), name=name))

    def recolor(self, class_id: int, color: Rgb) -> ClassList:
        """With another colour for one class."""
        return self._put(replace(self.get(class_id), color=color))

    def set_shortcut(self, class_id: int, digit: int | None) -> ClassList:
        """With this digit for the class; whoever had it loses it."""
        freed = [
            replace(c, shortcut=None) if digit is not None and c.shortcut == digit else c
            for c in self.classes
        ]
        return ClassList(tuple(freed))._put(replace(self.get(class_id), shortcut=digit))

    def reorder(self, ids: Sequence[int]) -> ClassList:
        """In the order of these ids, each of which is there once.

        Raises:
            ValueError: They are not the ids of this list.
        """
        if sorted(ids) != sorted(c.id for c in self.classes):
            raise ValueError(
                f"expected the ids {[c.id for c in self.classes]} in another order, got {list(ids)}"
            )
        return ClassList(tuple(self.get(i) for i in ids))

    def without(self, class_id: int) -> ClassList:
        """Without one class; what becomes of its objects is for ``commands.remove_class``."""
        gone = self.get(class_id)
        return ClassList(tuple(c for c in self.classes if c != gone))

    def with_digits(self) -> ClassList:
        """With the digits 1…9, 0 in order for the first ten, when no class has one."""
        if any(c.shortcut is not None for c in self.classes):
            return self
        first = zip(self.classes, _DIGITS, strict=False)
        return ClassList(
            tuple(replace(c, shortcut=d) for c, d in first) + self.classes[len(_DIGITS) :]
        )

    def replaced_by(self, others: ClassList, used: Collection[int]) -> ClassList:
        """The other list, and after it those classes in use that it lacks.

        Args:
            others: For instance of a file.
            used: Ids of the classes that objects have.

        Raises:
            ValueError: An id or a name in use means something else in the other list.
        """
        kept = []
        for mine in (c for c in self.classes if c.id in used):
            other = others.get(mine.id) if mine.id in others else others.named(mine.name)
            if other is not None and (other.id, other.name) != (mine.id, mine.name):
                raise ValueError(
                    f"expected class {mine.id} to be {mine.name!r}, which objects have, got "
                    f"{other.id} {other.name!r}; rename the class here, or edit the other list"
                )
            if other is None:
                is_free = all(c.shortcut != mine.shortcut for c in others)
                kept.append(mine if is_free else replace(mine, shortcut=None))
        return ClassList((*others, *kept))

    def _put(self, changed: ObjectClass) -> ClassList:
        return ClassList(tuple(changed if c.id == changed.id else c for c in self.classes))

    def _free(self) -> Rgb:
        used = [c.color for c in self.classes]
        return min(PALETTE, key=lambda color: (used.count(color), PALETTE.index(color)))


def classes_to_json(classes: Iterable[ObjectClass]) -> list[dict[str, Any]]:
    """What ``classes_from_json`` takes."""
    return [
        {"id": c.id, "name": c.name, "color": list(c.color), "shortcut": c.shortcut}
        for c in classes
    ]


def classes_from_json(content: object) -> ClassList:
    """The classes of parsed JSON: a list of ``{"id", "name", "color"[, "shortcut"]}``.

    Raises:
        ValueError: It is not of that form; the message names the entry.
    """
    if not isinstance(content, list):
        raise ValueError(f"expected a list of classes, got {type(content).__name__}")
    found = []
    for number, item in enumerate(content, start=1):
        try:
            found.append(_class_from_json(item))
        except (KeyError, TypeError, ValueError) as error:
            what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
            raise ValueError(f"class {number} of the list: {what}") from error
    return ClassList(tuple(found))


def _class_from_json(item: Mapping[str, Any]) -> ObjectClass:
    red, green, blue = (int(value) for value in item["color"])
    shortcut = item.get("shortcut")
    digit = None if shortcut is None else int(shortcut)
    return ObjectClass(int(item["id"]), str(item["name"]), (red, green, blue), digit)


def write_classes(path: Path, classes: ClassList) -> tuple[str, ...]:
    """What the file could not hold, in words; ``.json`` holds all, ``.txt`` no shortcuts.

    Raises:
        AnnotationError: The suffix is neither.
        ExportError: The file cannot be written.
    """
    if _is_json(path):
        text = json.dumps({"classes": classes_to_json(classes)}, ensure_ascii=False, indent=1)
        write_whole(path, text.encode())
        return ()
    lines = [" ".join(map(str, (c.id, c.name, *c.color))) for c in classes]
    write_whole(path, "".join(f"{line}\n" for line in lines).encode())
    has_digits = any(c.shortcut is not None for c in classes)
    return ("shortcut digits are not kept by the text file; JSON keeps them",) * has_digits


def read_classes(path: Path) -> ClassList:
    """The classes of a ``.json`` or ``.txt`` file.

    Raises:
        AnnotationError: It cannot be read; the message names line and remedy.
    """
    is_json = _is_json(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
        if is_json:
            content = json.loads(text)
            return classes_from_json(content["classes"] if isinstance(content, dict) else content)
    except KeyError as error:
        raise AnnotationError(f"{path}: expected a list under {error}; export it again") from error
    except (OSError, ValueError) as error:
        raise AnnotationError(f"{path} holds no classes: {error}") from error
    return _classes_from_text(text, str(path))


def _is_json(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix not in (".json", ".txt"):
        raise AnnotationError(f"expected classes in a .txt or .json file, got {path.name!r}")
    return suffix == ".json"


def _classes_from_text(text: str, where: str) -> ClassList:
    found: list[ObjectClass] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found.append(_class_from_line(line))
            ClassList(tuple(found))
        except ValueError as error:
            raise AnnotationError(
                f"{where}, line {number} ({line.strip()[:60]!r}): {error}; "
                "a line reads: id name red green blue"
            ) from error
    return ClassList(tuple(found))


def _class_from_line(line: str) -> ObjectClass:
    words = line.split()
    if len(words) < 5:
        raise ValueError(f"expected at least five words, got {len(words)}")
    try:
        class_id, red, green, blue = (int(word) for word in (words[0], *words[-3:]))
    except ValueError as error:
        raise ValueError("expected whole numbers for id and colour") from error
    start = line.index(words[0]) + len(words[0])
    name = line[start:].rsplit(maxsplit=3)[0].strip()
    return ObjectClass(class_id, name, (red, green, blue))
