"""The images of a series, in the order of people, and the marks on them, kept in a small file."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal, get_args

from napari_edgeflow._files import write_whole
from napari_edgeflow.annotation.classes import ClassList, classes_from_json, classes_to_json
from napari_edgeflow.errors import AnnotationError, ExportError

Mark = Literal["todo", "done", "skipped", "broken"]
MARKS: tuple[Mark, ...] = get_args(Mark)
SUFFIXES = (
    ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".webp", ".jp2", ".svs", ".ndpi", ".scn",
    ".vrt", ".img", ".dcm", ".zarr", ".czi", ".nd2", ".lif", ".nii", ".mrc",
)  # fmt: skip
FILE_NAME = "edgeflow-series.json"
_VERSION = 1
_NUMBERS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class Book:
    """What is kept of a series between two days.

    Attributes:
        marks: By the image's name in the series; those that are not there are to do.
        reasons: Why an image is broken, by its name.
        last: The image that was open last; empty before the first.
        classes: Of the image that was left last, for those that have none yet.
    """

    marks: Mapping[str, Mark] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    last: str = ""
    classes: ClassList = field(default_factory=ClassList)

    def mark_of(self, name: str) -> Mark:
        """The mark of an image."""
        return self.marks.get(name, "todo")

    def with_mark(self, name: str, mark: Mark, reason: str = "") -> Book:
        """With another mark on one image."""
        marks = {key: value for key, value in self.marks.items() if key != name}
        reasons = {key: value for key, value in self.reasons.items() if key != name}
        if mark != "todo":
            marks[name] = mark
        if reason:
            reasons[name] = reason
        return replace(self, marks=marks, reasons=reasons)

    def progress(self, names: Sequence[str]) -> str:
        """How far one is, in words: ``12 of 40 done, 2 skipped``."""
        counts = dict.fromkeys(MARKS, 0)
        for name in names:
            counts[self.mark_of(name)] += 1
        words = f"{counts['done']} of {len(names)} done"
        others: tuple[tuple[Mark, str], ...] = (("skipped", "skipped"), ("broken", "unreadable"))
        for mark, word in others:
            words += f", {counts[mark]} {word}" if counts[mark] else ""
        return words

    def next_todo(self, names: Sequence[str], after: int) -> int | None:
        """The position of the next image that is to do, from the start again after the last."""
        order = [*range(after + 1, len(names)), *range(min(after + 1, len(names)))]
        return next((at for at in order if self.mark_of(names[at]) == "todo"), None)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """For sorting: numbers in a name by their value, letters without regard to case."""
    parts = _NUMBERS.split(name)
    key = [(0, int(p), "") if p.isdecimal() else (1, 0, p.casefold()) for p in parts if p]
    return [*key, (-1, 0, name)]


def list_images(folder: Path, pattern: str = "") -> list[Path]:
    """The images of a folder, in natural order.

    Args:
        folder: Where; hidden files and folders are passed over.
        pattern: Names to take: ``*.tif``, ``**/*.png`` for folders within, several with commas
            between them; those beginning with ``!`` are left out. Empty: all kinds of images.

    Raises:
        AnnotationError: The folder cannot be read.
    """
    wanted = [part.strip() for part in pattern.split(",") if part.strip()]
    left_out = [part[1:].strip() for part in wanted if part.startswith("!")]
    wanted = [part for part in wanted if not part.startswith("!")] or ["*"]
    try:
        os.scandir(folder).close()
        found = {path for one in wanted for path in folder.glob(one)}
    except (OSError, ValueError, NotImplementedError) as error:
        raise AnnotationError(
            f"expected a folder of images and a filter such as *.tif, got {folder} and "
            f"{pattern!r} ({error})"
        ) from error
    return sorted(
        (path for path in found if _is_image(path, folder) and not _matches(path, left_out)),
        key=lambda path: natural_key(path.relative_to(folder).as_posix()),
    )


def _is_image(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts
    if any(part.startswith(".") for part in parts):
        return False
    if any(part.lower().endswith(".zarr") for part in parts[:-1]):
        return False  # inside an image
    is_zarr = path.suffix.lower() == ".zarr"
    return path.suffix.lower() in SUFFIXES and (is_zarr or path.is_file())


def _matches(path: Path, patterns: Iterable[str]) -> bool:
    return any(fnmatch(path.name, pattern) for pattern in patterns)


def read_book(folder: Path, spare: Path) -> Book:
    """The marks of a folder, from beside the images or, where that was read-only, from elsewhere.

    Args:
        folder: Of the images.
        spare: The folder of autosave.

    Raises:
        AnnotationError: The file is damaged; it is left as it is.
    """
    found = [path for path in _places(folder, spare) if path.is_file()]
    if not found:
        return Book()
    path = max(found, key=lambda one: one.stat().st_mtime_ns)
    try:
        content = json.loads(path.read_bytes())
        if content["version"] != _VERSION:
            raise ValueError(f"expected version {_VERSION}, got {content['version']}")
        return _from_json(content)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise AnnotationError(
            f"{path}: expected the marks of a series ({type(error).__name__}: {error}); move the "
            "file away to begin anew"
        ) from error


def write_book(folder: Path, spare: Path, book: Book) -> Path:
    """Where the marks are now: beside the images, or in the folder of autosave.

    Raises:
        ExportError: Neither can be written to.
    """
    content = {
        "version": _VERSION,
        "folder": str(folder),
        "last": book.last,
        "marks": dict(sorted(book.marks.items(), key=lambda item: natural_key(item[0]))),
        "reasons": dict(book.reasons),
        "classes": classes_to_json(book.classes),
    }
    data = (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()
    beside, elsewhere = _places(folder, spare)
    if os.access(folder, os.W_OK):
        with suppress(ExportError):
            write_whole(beside, data)
            return beside
    with suppress(OSError):
        spare.mkdir(parents=True, exist_ok=True)
    write_whole(elsewhere, data)
    return elsewhere


def _places(folder: Path, spare: Path) -> tuple[Path, Path]:
    digest = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]
    return folder / FILE_NAME, spare / f"series-{digest}.json"


def _from_json(content: Mapping[str, Any]) -> Book:
    marks: dict[str, Mark] = {}
    for name, mark in content["marks"].items():
        if mark not in MARKS:
            raise ValueError(f"expected one of {', '.join(MARKS)}, got {mark!r}")
        marks[str(name)] = mark
    return Book(
        marks,
        {str(name): str(reason) for name, reason in content["reasons"].items()},
        str(content["last"]),
        classes_from_json(content["classes"]),
    )
