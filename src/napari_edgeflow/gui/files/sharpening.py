"""Far views of rasters without overviews: rough at once, and drawn again when there is more."""

from __future__ import annotations

import threading
import weakref

from napari import current_viewer
from qtpy.QtCore import QCoreApplication
from superqt.utils import ensure_main_thread

from napari_edgeflow.gui.bands import lazy_raster
from napari_edgeflow.raster.lazy import LazyRaster


def sharpen_when_read(raster: LazyRaster) -> None:
    """Let views that take long to read be rough to begin with, without a wait on the Qt thread.

    They are read on in a thread of the raster's, and its layers in the current viewer are drawn
    again after each. Another viewer's draw them sharp when they next move. Without a Qt
    application everything is read at once.
    """
    if QCoreApplication.instance() is not None:
        raster.later.watch(_Redraw(raster).ask)


class _Redraw:
    """Asks the Qt thread to draw the layers of a raster, once for as many changes as there are."""

    def __init__(self, raster: LazyRaster) -> None:
        self._raster = weakref.ref(raster)
        self._lock = threading.Lock()
        self._is_asked = False

    def ask(self) -> None:
        """Ask, from any thread."""
        with self._lock:
            was_asked, self._is_asked = self._is_asked, True
        if not was_asked and QCoreApplication.instance() is not None:
            self._draw()

    @ensure_main_thread  # type: ignore[untyped-decorator, unused-ignore]
    def _draw(self) -> None:
        with self._lock:
            self._is_asked = False
        raster, viewer = self._raster(), current_viewer()
        for layer in () if raster is None or viewer is None else list(viewer.layers):
            if lazy_raster(getattr(layer, "data", None)) is raster:
                for level in layer.data if layer.multiscale else ():
                    level.renew()
                layer.refresh(extent=False)
