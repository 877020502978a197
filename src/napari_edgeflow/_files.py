"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from napari_edgeflow.errors import ExportError


@contextmanager
def written_whole(target: Path) -> Iterator[BinaryIO]:
    """A file of a unique name beside the target, which becomes the target in one step.

    Raises:
        ExportError: It cannot be written; nothing of it is left behind.
    """
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        _remove(temporary)
        raise ExportError(
            f"expected to write {target}, but the system refused ({error.strerror or error}); "
            "free some space, or choose a folder that can be written to"
        ) from error
    except BaseException:
        _remove(temporary)
        raise


def write_whole(target: Path, content: bytes) -> None:
    """Nothing; the file holds exactly these bytes when this returns.

    Raises:
        ExportError: It cannot be written; what was there before still is.
    """
    with written_whole(target) as file:
        file.write(content)


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError:  # it was never made, or the folder is gone with it
        return
