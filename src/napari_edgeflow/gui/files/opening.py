"""Opens a raster of the user's choice without making the window wait."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error
from qtpy.QtWidgets import QFileDialog

from napari_edgeflow.gui.files.reader import LayerTuple, read_image
from napari_edgeflow.gui.messages import in_words
from napari_edgeflow.gui.worker import Worker

if TYPE_CHECKING:
    from napari.viewer import Viewer

_FILES = (
    "Rasters (*.tif *.tiff *.btf *.tf8 *.svs *.ndpi *.scn *.bif *.qptiff *.ptif *.jp2 *.vrt *.img "
    "*.dcm zarr.json .zattrs .zgroup);;All files (*)"
)
_IN_ZARR = ("zarr.json", ".zattrs", ".zgroup", ".zarray")


def ask_and_open(napari_viewer: Viewer) -> None:
    """Let the user choose a raster, and open it; of a zarr folder, a metadata file in it."""
    chosen, _ = QFileDialog.getOpenFileName(None, "Open large raster", "", _FILES)
    if chosen:
        open_in_background(napari_viewer, Path(chosen))


def open_in_background(viewer: Any, path: Path, worker: Worker | None = None) -> Worker:
    """The worker that looks at a raster; its layers are added when it is done.

    Args:
        viewer: The napari viewer.
        path: The file; a metadata file means the zarr folder around it.
        worker: Of the caller's; None: a new one, which ends by itself.
    """
    source = path.parent if path.name in _IN_ZARR else path
    chosen = worker or Worker()
    chosen.submit(
        ("open", str(source)),
        lambda _stop: read_image(source),
        partial(_add, viewer),
        lambda error: show_error(in_words(error)),
    )
    return chosen


def _add(viewer: Any, layers: list[LayerTuple]) -> None:
    for data, options, _kind in layers:
        viewer.add_image(data, **options)
