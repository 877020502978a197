"""The folder of an evaluation while it runs: what is done is never lost.

``settings.json`` says what is evaluated, ``objects.csv`` has a row per object, and
``masks/<data set>/<sample>_<id>.png`` the mask after the last click.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

from napari_edgeflow._types import BoolArray
from napari_edgeflow.errors import EdgeFlowError, ExportError
from napari_edgeflow.evaluation.records import (
    ObjectRecord,
    header_line,
    read_records,
    record_line,
)

Key = tuple[str, str, int]


class ResultFolder:
    """Records and masks of an evaluation, on disk as soon as they are added.

    Args:
        path: Folder of its own; made when missing.
        settings: All that decides the results, JSON types only.
        resume: Go on with what the folder holds; it must be of the same settings.

    Raises:
        EdgeFlowError: The folder holds results and ``resume`` is False, or other settings.
        ExportError: The folder cannot be made or written to.
    """

    def __init__(self, path: Path, settings: Mapping[str, object], *, resume: bool = False) -> None:
        self.path = path
        self.records: dict[Key, ObjectRecord] = {}
        table = path / "objects.csv"
        if table.exists():
            if not resume:
                raise EdgeFlowError(
                    f"{path} already holds results; go on with them (--resume) or choose another "
                    "folder"
                )
            self._check_settings(settings)
            self.records = {record.key: record for record in read_records(table)}
        make_folder(path)
        write_text(path / "settings.json", json.dumps(settings, indent=2) + "\n")
        whole = header_line() + "".join(record_line(r) for r in self.records.values())
        write_text(table, whole)
        self._table: TextIO = table.open("a", newline="", encoding="utf-8")

    def add(self, record: ObjectRecord, mask: BoolArray) -> None:
        """Keep one object's record and its ``(H, W) bool`` mask."""
        from PIL import Image

        path = self.mask_path(record.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)
        self._table.write(record_line(record))
        self._table.flush()
        self.records[record.key] = record

    def mask(self, key: Key) -> BoolArray:
        """``(H, W) bool`` mask after an object's last click."""
        from PIL import Image

        with Image.open(self.mask_path(key)) as file:
            return np.asarray(file, dtype=bool)

    def mask_path(self, key: Key) -> Path:
        """The file of an object's mask."""
        dataset, sample, object_id = key
        return self.path / "masks" / dataset / f"{sample}_{object_id}.png"

    def sort(self, keys: Sequence[Key]) -> None:
        """Rewrite the table in the order of ``keys``, whoever was done first; after ``close``."""
        rows = (record_line(self.records[key]) for key in keys)
        write_text(self.path / "objects.csv", header_line() + "".join(rows))

    def close(self) -> None:
        """Close the table; what was added stays."""
        self._table.close()

    def _check_settings(self, settings: Mapping[str, object]) -> None:
        """Raise EdgeFlowError unless the folder was begun with ``settings``."""
        path = self.path / "settings.json"
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise EdgeFlowError(
                f"{path} cannot be read ({error}); choose another folder"
            ) from error
        now = json.loads(json.dumps(settings))
        changed = sorted(k for k in {*before, *now} if before.get(k) != now.get(k))
        if changed:
            what = ", ".join(f"{k} was {before.get(k)!r}, is {now.get(k)!r}" for k in changed)
            raise EdgeFlowError(
                f"{self.path} holds results of other settings ({what}); "
                "use the same ones or choose another folder"
            )


def make_folder(path: Path) -> None:
    """Make ``path`` and those above it.

    Raises:
        ExportError: It cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        is_writable = os.access(path, os.W_OK | os.X_OK)
        reason = "no permission to write to it"
    except OSError as error:
        is_writable, reason = False, error.strerror or str(error)
    if not is_writable:
        raise ExportError(
            f"expected a folder for the results, but {path} cannot be made or written to "
            f"({reason}); choose another folder"
        )


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        # tempfile would make it readable by its owner alone
        with temporary.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
