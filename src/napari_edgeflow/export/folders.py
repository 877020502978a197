"""Formats that are folders of files, one or more for each image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from napari_edgeflow.annotation.objects import AnnotationSet
from napari_edgeflow.errors import ExportError


def make_folder(path: Path) -> None:
    """Nothing; the folder is there, with those above it.

    Raises:
        ExportError: It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(
            f"expected to make the folder {path}, but the system refused "
            f"({error.strerror or error}); choose another place"
        ) from error


def unique_stems(sets: Sequence[AnnotationSet]) -> list[str]:
    """The images' names without folders and suffixes, in order.

    Raises:
        ExportError: Two images would get the same files.
    """
    stems = [annotated.image.stem for annotated in sets]
    twice = sorted(stem for stem, count in Counter(stems).items() if count > 1)
    if twice:
        raise ExportError(
            f"expected images of different names, got {twice[0]!r} twice; rename one, for its "
            "files would replace the other's"
        )
    return stems
