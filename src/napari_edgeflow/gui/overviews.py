"""Overviews for an image that came without: built in the background, then shown."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from napari_edgeflow.gui.bands import BandFacts, layer_levels, layer_view, lazy_raster
from napari_edgeflow.gui.messages import in_words
from napari_edgeflow.gui.panels.forms import button, row, text_line
from napari_edgeflow.gui.worker import ShouldStop, Worker
from napari_edgeflow.raster.lazy import LazyRaster
from napari_edgeflow.raster.open import open_first_plane
from napari_edgeflow.raster.pyramid_build import build_overviews

_KEY = "overviews"
_EVERY_S = 0.1


class _Progress(QObject):  # type: ignore[misc, unused-ignore]
    """Brings the share done from the worker to the Qt thread."""

    moved = Signal(float)


class OverviewsRow(QWidget):  # type: ignore[misc, unused-ignore]
    """Offers to build overviews, shows how far it is, and lets the user stop it.

    Args:
        viewer: The napari viewer.
        on_built: Called on the Qt thread once a layer shows them.
    """

    def __init__(self, viewer: Any, on_built: Callable[[], None]) -> None:
        super().__init__()
        self._viewer, self._on_built = viewer, on_built
        self.worker = Worker()
        self._layer: Any = None
        self._path: Path | None = None
        self._moved = _Progress(self)
        self._moved.moved.connect(self._on_progress, Qt.ConnectionType.QueuedConnection)
        self.build_button = button(
            "Build overviews",
            "Make a pyramid of this image once, beside its file or in the cache, so that far "
            "views of it are sharp and quick; you can go on clicking meanwhile",
            self.build,
        )
        self.stop_button = button(
            "Stop", "Give the overviews up; nothing is left behind", self.stop
        )
        self.bar = QProgressBar()
        self.bar.setRange(0, 100)
        self.bar.setToolTip("How much of the image was read")
        self.line = text_line("What the image has to look at from afar")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self.line, row(self.build_button, self.stop_button), self.bar):
            layout.addWidget(part)
        self._show(is_running=False)
        self.setVisible(False)

    def offer(self, layer: Any, facts: BandFacts) -> None:
        """Offer overviews for a layer, where it has a file without them."""
        if self.worker.is_busy:  # those of another image go on
            return
        self._layer, self._path = layer, facts.path if facts.is_whole else None
        self.setVisible(self._path is not None)
        self.line.setText("This image has no overviews: from afar it is a rough mosaic.")

    def build(self) -> None:
        """Build them in the background."""
        path, layer = self._path, self._layer
        if path is None or self.worker.is_busy:
            return
        self._show(is_running=True)
        self.line.setText(f"Building overviews of {path.name}…")
        self.worker.submit(
            _KEY,
            partial(_build, path, layer.data, self._moved.moved.emit),
            partial(self._on_done, layer),
            self._on_failed,
        )

    def stop(self) -> None:
        """Give them up."""
        self.worker.cancel(_KEY)
        self._show(is_running=False)
        self.line.setText("Stopped. The image has no overviews.")

    def _on_progress(self, share: float) -> None:
        self.bar.setValue(round(share * 100))

    def _on_done(self, layer: Any, raster: LazyRaster | None) -> None:
        self._show(is_running=False)
        self.line.setText("The overviews are there.")
        self.build_button.setVisible(False)
        if raster is not None and layer in self._viewer.layers:
            show_anew(self._viewer, layer, raster)
        self._on_built()

    def _on_failed(self, error: Exception) -> None:
        self._show(is_running=False)
        self.line.setText("No overviews; see the message.")
        show_error(in_words(error))

    def _show(self, *, is_running: bool) -> None:
        self.build_button.setVisible(not is_running)
        self.stop_button.setVisible(is_running)
        self.bar.setVisible(is_running)
        self.bar.setValue(0)

    def close_down(self) -> None:
        """Give up what is being built."""
        self.worker.close()


def _build(
    path: Path, data: Any, report: Callable[[float], None], should_stop: ShouldStop
) -> LazyRaster | None:
    """The raster with its new overviews; in the worker."""
    told = 0.0

    def progress(share: float) -> None:
        nonlocal told
        if time.monotonic() - told > _EVERY_S:
            told = time.monotonic()
            report(share)

    shown = lazy_raster(data)
    n_stack = 0 if shown is None else len(shown.stack)
    index = (0,) * n_stack if n_stack else None
    build_overviews(path, index=index, progress=progress, should_stop=should_stop)
    return LazyRaster(open_first_plane(path)) if shown is not None else None


def show_anew(viewer: Any, layer: Any, raster: LazyRaster) -> None:
    """Let every layer of the same file show the raster as it is now.

    A layer that our reader made multiscale gets the new levels; others stay as they are.
    """
    path = layer.metadata.get("path")
    for other in list(viewer.layers):
        metadata = getattr(other, "metadata", {})
        view = layer_view(other)
        is_same = other is layer or (path is not None and metadata.get("path") == path)
        if is_same and view is not None and lazy_raster(getattr(other, "data", None)):
            levels = layer_levels(raster, view, is_rgb=other.rgb, is_multiscale=True)
            if other.multiscale:
                other.data = levels
