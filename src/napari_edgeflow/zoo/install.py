"""From the name of a published file to a model that can be chosen."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_edgeflow.errors import WeightsError
from napari_edgeflow.zoo import store
from napari_edgeflow.zoo.catalog import WeightsInfo, file_sha256
from napari_edgeflow.zoo.convert import Converted, Origin, check_name, convert, save_model
from napari_edgeflow.zoo.download import Fetch, Progress, fetch
from napari_edgeflow.zoo.published import PublishedFile, find_published


@dataclass(frozen=True, slots=True)
class Installed:
    """A downloaded and imported model.

    Attributes:
        model: As it is listed from now on.
        sha256: Of the file as it was published.
        is_first: No hash was known before: this one is, from now on.
    """

    model: WeightsInfo
    sha256: str
    is_first: bool


def download_model(
    name: str,
    *,
    replace: bool = False,
    progress: Progress = lambda _done, _total: None,
    should_stop: Callable[[], bool] = lambda: False,
    wait: Callable[[float], object] = time.sleep,
) -> Installed:
    """Gets a published file, checks it, and imports it under its name in the catalogue.

    A whole file that lies in the downloads folder already is used as it is.

    Args:
        name: From ``zoo.published``.
        replace: Put it in the place of an imported model of that name.
        progress: See ``zoo.download.Fetch``.
        should_stop: See ``zoo.download.Fetch``.
        wait: See ``zoo.download.Fetch``.

    Raises:
        ValueError: Nothing to download is called so, or there is such a model already.
        WeightsError: It cannot be had, is not what was published, or cannot be written.
        Cancelled: ``should_stop`` said so.
    """
    item = find_published(name)
    check_name(item.name, replace=replace)
    store.read_pins()  # a damaged list is reported before the long wait
    target = store.downloads_folder() / item.file_name
    if not target.is_file():
        fetch(Fetch(item.url, target, item.about_bytes, progress, should_stop, wait))
    sha256, is_first = _check_hash(item, target)
    model = save_model(item.name, _convert(target), _origin(item, sha256))
    if is_first:
        store.pin(item.file_name, sha256)
    with suppress(OSError):
        target.unlink()
        target.parent.rmdir()
    return Installed(model, sha256, is_first)


def _check_hash(item: PublishedFile, target: Path) -> tuple[str, bool]:
    """(sha256 of the file, whether nothing was known to compare it with).

    Raises:
        WeightsError: It is not the file that was published, or seen first.
    """
    found = file_sha256(target)
    expected = item.sha256 or store.read_pins().get(item.file_name, "")
    if not expected or found == expected:
        return found, not expected
    target.unlink(missing_ok=True)
    seen = "published" if item.sha256 else "downloaded the first time"
    raise WeightsError(
        f"{item.url} has changed: its sha256 is {found}, but {expected} was {seen}. The new file "
        f"was deleted. Download it again in case it was damaged on the way; if its publisher "
        f"confirms the change, remove the line {item.file_name!r} from {store.pins_path()}"
    )


def _convert(target: Path) -> Converted:
    """The checkpoint; a file that cannot be used is deleted, or it would be tried for ever."""
    try:
        return convert(target)
    except WeightsError:
        target.unlink(missing_ok=True)
        raise


def _origin(item: PublishedFile, sha256: str) -> Origin:
    return Origin(item.file_name, sha256, item.url, item.licence, item.summary)
