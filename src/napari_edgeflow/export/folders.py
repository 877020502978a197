"""Formats that are folders of files, one or more for each image."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from napari_edgeflow.annotation.objects import AnnotationSet
from napari_edgeflow.errors import ExportError

_REFUSED = r"[\x00-\x1f\x7f/\\]"
_REFUSED_BY_WINDOWS = r'[\x00-\x1f\x7f/\\<>:"|?*]'
_MOST_BYTES = 150  # suffixes and the name in between come on top; systems hold 255


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
    """The images' names without folders and suffixes, in order, as file names for this system.

    Names that files here can have stay as they are, so that they are found beside the images.

    Raises:
        ExportError: Two images would get the same files.
    """
    stems = [safe_stem(annotated.image.stem) for annotated in sets]
    twice = sorted(stem for stem, count in Counter(map(_same_file, stems)).items() if count > 1)
    if twice:
        raise ExportError(
            f"expected images of different names, got {twice[0]!r} twice; rename one, for its "
            "files would replace the other's"
        )
    return stems


def safe_stem(name: str) -> str:
    """The name as the stem of a visible file: nothing that this system refuses, 150 bytes at most.

    Args:
        name: Of an image: of its file, or of a layer, which may be anything.
    """
    refused = _REFUSED_BY_WINDOWS if sys.platform == "win32" else _REFUSED
    safe = re.sub(refused, "_", name).lstrip(".").strip()
    safe = safe.encode("utf-8", "replace")[:_MOST_BYTES].decode("utf-8", "ignore").rstrip(". ")
    return safe or "image"


def _same_file(stem: str) -> str:
    """What two stems have in common when they name one file."""
    return stem.casefold() if sys.platform in ("win32", "darwin") else stem
