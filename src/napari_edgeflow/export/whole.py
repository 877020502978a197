"""Several files, or a folder of them, that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_edgeflow.errors import ExportError
from napari_edgeflow.export.folders import make_folder


@contextmanager
def files_written_whole(
    path: Path, order: Sequence[str] = (), old: Sequence[str] = ()
) -> Iterator[Path]:
    """A path of the same name in a folder beside the target; its files then become the target's.

    Args:
        path: The main file; others may lie beside it under the same name with other suffixes.
        order: Suffixes of the files that move first; of those that are not made anew, files that
            were there before go.
        old: Suffixes of further files that would not fit the new ones; they go.

    Raises:
        ExportError: They cannot be written; what was there before still is.
    """
    folder: Path | None = None
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        yield folder / path.name
        sync_files(folder)
        made = {file.suffix: file for file in folder.iterdir()}
        for suffix in (*order, *old):
            if suffix not in made and suffix != path.suffix:
                path.with_suffix(suffix).unlink(missing_ok=True)
        for suffix in (*order, path.suffix):  # the file that is opened comes last
            if suffix in made:
                made.pop(suffix).replace(path.with_suffix(suffix))
    except OSError as error:
        raise refused(path, error.strerror or error) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """An empty folder beside the target, which becomes the target in one step.

    A folder that is there already is replaced; whoever calls makes sure that it may be.

    Raises:
        ExportError: It cannot be written; what was there before still is.
    """
    token = secrets.token_hex(8)
    folder = path.with_name(f".{path.name}.{token}.tmp")
    aside = path.with_name(f".{path.name}.{token}.old")
    try:
        folder.mkdir()
        yield folder
        sync_files(folder)
        if path.exists():
            path.rename(aside)
        try:
            folder.rename(path)
        except OSError:
            if aside.exists():
                aside.rename(path)
            raise
    except OSError as error:
        raise refused(path, error.strerror or error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def sync_files(folder: Path) -> None:
    """Nothing; all files in the folder are on disk when this returns.

    Raises:
        OSError: The disk refuses.
    """
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb+") as opened:
                os.fsync(opened.fileno())


def drop_derived(path: Path) -> None:
    """Removes what GDAL and QGIS derived from the raster that was at the path before.

    Overviews and statistics beside it would be shown in place of the new pixels.
    """
    for suffix in (".ovr", ".aux.xml"):
        with suppress(OSError):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


def refused(path: Path, reason: object) -> ExportError:
    """The error of a disk or folder that cannot be written to."""
    return ExportError(
        f"expected to write {path}, but the system refused ({reason}); "
        "free some space, or choose a folder that can be written to"
    )


@contextmanager
def folder_filled_whole(path: Path) -> Iterator[Path]:
    """An empty folder in the target, whose files go to their places in it at the end.

    What else lies in the target stays. A target that was not there is made, with those above it.

    Raises:
        ExportError: They cannot be written; nothing new is left behind.
    """
    is_new = not path.exists()
    make_folder(path)
    folder = path / f".{secrets.token_hex(8)}.tmp"
    try:
        folder.mkdir()
        yield folder
        for file in sorted(folder.rglob("*")):
            target = path / file.relative_to(folder)
            if file.is_dir():
                make_folder(target)
            else:
                file.replace(target)
    except OSError as error:
        raise refused(path, error.strerror or error) from error
    except ExportError as error:  # the user knows nothing of the folder in between
        raise ExportError(str(error).replace(str(folder), str(path))) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if is_new:
            with suppress(OSError):  # something is in it: the export
                path.rmdir()
