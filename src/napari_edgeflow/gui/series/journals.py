"""The journals of a file: one for its image, and one for each of its other layers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from napari_edgeflow.annotation.autosave import SUFFIX, find_journal, journal_places
from napari_edgeflow.annotation.import_journal import Outline, outline_of
from napari_edgeflow.annotation.objects import ImageInfo
from napari_edgeflow.errors import JournalError

_PART = "EDGEFLOWPART"


@dataclass(frozen=True, slots=True)
class FileJournal:
    """A journal of a file.

    Attributes:
        part: Which of the file's layers, as in the journal's name; empty for its only or first one.
        outline: What it holds.
    """

    part: str
    outline: Outline


def journals_of(path: Path, folder: Path | None = None) -> list[FileJournal]:
    """The journals of an image file that were written last, one for each of its layers.

    A file of several channels is several layers in napari, each of which may have objects.

    Args:
        path: The image.
        folder: Chosen for journals; None: beside the image.

    Raises:
        JournalError: One cannot be read, or belongs to an image of another size.
    """
    found = []
    for part in ("", *sorted(set(_parts(path, folder)))):
        outline = _journal_of(path, part, folder)
        if outline is not None:
            found.append(FileJournal(part, outline))
    return found


def part_name(layer: str) -> str:
    """How a layer is called in the name of its journal."""
    (place, *_) = journal_places(ImageInfo("i", (1, 1), path=Path("/i")), "", layer)
    return place.name.removesuffix(SUFFIX).removeprefix("i.")


def _parts(path: Path, folder: Path | None) -> Iterator[str]:
    """Parts of the file that have a journal by their names in one of the places."""
    for place in journal_places(ImageInfo(path.name, (1, 1), path=path), "", _PART, folder):
        before, after = place.name.removesuffix(SUFFIX).split(f".{_PART}")
        pattern = re.compile(
            rf"{re.escape(before)}\.(?P<part>(?!\d+\.edgeflow)[\w.+-]*?){re.escape(after)}"
            rf"(\.\d+)?{re.escape(SUFFIX)}"
        )
        try:
            names = [one.name for one in place.parent.iterdir()]
        except OSError:
            continue
        for match in filter(None, map(pattern.fullmatch, names)):
            # "scan.tif.png" is an image of its own, not a part of "scan.tif"
            if match["part"] and not (path.parent / f"{path.name}.{match['part']}").exists():
                yield match["part"]


def _journal_of(path: Path, part: str, folder: Path | None) -> Outline | None:
    image = ImageInfo(path.name, (1, 1), path=path)
    places = journal_places(image, "", part, folder)
    for place in places:
        if place.is_file():
            image = replace(image, shape=outline_of(place).image.shape)
            break
    found = find_journal(places, image, "")
    if found is None:
        return None
    if found.refusal:
        raise JournalError(found.refusal)
    return outline_of(found.path)
