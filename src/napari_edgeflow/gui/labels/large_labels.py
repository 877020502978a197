"""Objects of images too large for labels in memory: a store on disk, shown as a lazy pyramid.

The store lies beside the journal. Each step is in the journal first; the store's chunks come to
disk a little later, in a thread of their own, and a store that is lost, damaged or of another
journal is made anew from the journal.
"""

from __future__ import annotations

import math
import secrets
import shutil
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.notifications import show_error
from psygnal import Signal

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.changes import Change
from napari_edgeflow.annotation.objects import PlaneIndex
from napari_edgeflow.annotation.store import LabelStore
from napari_edgeflow.annotation.store_layout import store_place
from napari_edgeflow.annotation.store_zarr import ZarrStore
from napari_edgeflow.errors import RasterError
from napari_edgeflow.gui.clicks.preview import like
from napari_edgeflow.gui.labels.commit import labels_name
from napari_edgeflow.gui.labels.label_colors import new_colormap
from napari_edgeflow.gui.messages import Messages, in_words
from napari_edgeflow.gui.planes import layer_shape, shown_plane
from napari_edgeflow.gui.worker import Worker


def open_store(
    journal: Path | None, shape: tuple[int, ...], *, is_new: bool
) -> tuple[ZarrStore, tuple[str, ...]]:
    """The store of an image, and what the user should know of it; for the worker.

    What lies in its place and does not belong there is moved aside, never deleted.

    Args:
        journal: Of the image; None: a folder for temporary files, gone with the store.
        shape: (stack…, rows, columns).
        is_new: The journal was just begun: labels that are there are not its own.

    Raises:
        RasterError: The folder cannot be written to.
    """
    if journal is None:
        folder = Path(tempfile.mkdtemp(prefix="napari-edgeflow-"))
        made = ZarrStore.create(folder / "labels.zarr", shape)
        weakref.finalize(made, shutil.rmtree, folder, ignore_errors=True)
        return made, ()
    place = store_place(journal)
    if not is_new and place.exists():
        with suppress(RasterError):
            store = ZarrStore.open(place)
            if store.array_shape == shape:
                return store, ()
    notes: tuple[str, ...] = ()
    if place.exists():
        aside = _move_aside(place)
        why = "belonged to another journal" if is_new else "could not be read"
        notes = (f"The labels in {place.name} {why}; they are kept in {aside.name}.",)
    return ZarrStore.create(place, shape), notes


def _move_aside(place: Path) -> Path:
    aside = place.with_name(f"{place.stem}.old-{secrets.token_hex(4)}.zarr")
    try:
        return place.rename(aside)
    except OSError as error:
        raise RasterError(
            f"expected to move {place} aside, but the system refused ({error.strerror}); move it "
            "yourself, or choose another folder for autosave"
        ) from error


class StoreView:
    """A read-only multiscale Labels layer over the levels of a store; a ``LabelView``.

    Args:
        viewer: The napari viewer.
        image: The Image layer.
        messages: Where to say that saving fails.
    """

    edited = Signal()
    """Never: napari cannot paint in such layers."""

    def __init__(self, viewer: Any, image: Any, messages: Messages) -> None:
        self.layer: Labels | None = None
        self.is_own = True
        self._is_wanted = False
        self._viewer, self._image, self._messages = viewer, image, messages
        self._store: ZarrStore | None = None
        self._saver = Worker()

    @property
    def is_saving(self) -> bool:
        """True while chunks are on their way to disk."""
        return self._saver.is_busy

    def fill(self, store: LabelStore) -> None:
        """Show all of a store; the layer is made now if the store holds anything."""
        if not isinstance(store, ZarrStore):
            raise TypeError(f"expected labels on disk, got {type(store).__name__}")
        self._store = store
        if self.layer is not None:
            self.layer.data = list(store.levels)
        elif store.next_id > 1 or self._is_wanted:
            self.ensure()
        self._save()

    def prepare(self) -> None:
        """Make the layer as soon as the store is open, before the first object needs it."""
        self._is_wanted = True
        if self._store is not None:
            self.ensure()

    def ensure(self) -> Labels:
        """The layer, made over the image if it is missing.

        Raises:
            ValueError: The store is not open yet.
        """
        if self.layer is not None:
            return self.layer
        if self._store is None:
            raise ValueError("expected labels that are open, but they are still being opened")
        image = self._image
        selected = self._viewer.layers.selection.active
        self.layer = Labels(
            list(self._store.levels),
            multiscale=True,
            name=labels_name(image, {layer.name for layer in self._viewer.layers}),
            scale=image.scale,
            translate=image.translate,
            rotate=image.rotate,
            shear=image.shear,
            affine=image.affine,
            colormap=new_colormap(),
            **like(image),
        )
        self._viewer.layers.insert(self._viewer.layers.index(image) + 1, self.layer)
        self._viewer.layers.selection.active = selected
        return self.layer

    def show(self, change: Change, is_forward: bool) -> None:
        """Redraw what is on the screen of a step, and save it in the background."""
        if not change.patches:
            return
        if self.layer is None:
            self.ensure()
        elif any(self._is_shown(plane, window) for plane, window in change.windows):
            self.layer.refresh(extent=False, thumbnail=False)
        self._save()

    def _is_shown(self, plane: PlaneIndex, window: Window) -> bool:
        """True when a part of a window of a plane may be on the screen."""
        if self.layer is None or not is_in_view(self.layer, window):
            return False
        try:
            shown = shown_plane(self._image, self._viewer.dims)
        except RasterError:  # the 3-D view, or other axes: all planes may be on the screen
            return True
        return plane in ((), shown.index)

    def take_edited(self, shown: PlaneIndex) -> tuple[PlaneIndex, ...]:
        """None: nobody can write to the layer."""
        return ()

    def painted(self, plane: PlaneIndex) -> None:
        """None: nobody can write to the layer."""

    def redraw(self, window: Window, plane: PlaneIndex) -> None:
        """Draw again what is on the screen."""
        if self.layer is not None:
            self.layer.refresh(extent=False, thumbnail=False)

    def close(self) -> None:
        """Let go of the layer; one without labels is removed."""
        self._saver.finish()
        layer, self.layer = self.layer, None
        is_empty = self._store is None or self._store.next_id == 1
        if layer is not None and is_empty and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _save(self) -> None:
        store = self._store
        if store is not None and store.n_unflushed:
            self._saver.submit(
                "save", lambda _stop: store.flush(), lambda _none: None, self._on_failed
            )

    def _on_failed(self, error: Exception) -> None:
        """Nothing is lost: the journal has it."""
        self._messages.say(in_words(error), show_error)


def is_in_view(layer: Any, window: Window) -> bool:
    """True when a part of a window of level 0 may be on the screen."""
    visible = view_window(layer)
    return visible is not None and visible.intersect(window) is not None


def view_window(layer: Any) -> Window | None:
    """What the view covers of the plane of a layer, level-0, a pixel of its level more.

    None when it covers nothing of it.
    """
    n = len(layer_shape(layer))
    rows, columns = n - 2, n - 1
    step = np.asarray(layer.downsample_factors[layer.data_level]) if layer.multiscale else None
    corners = np.asarray(layer.corner_pixels, dtype=float)
    grown = np.ones(corners.shape[1]) if step is None else step
    first, last = corners[0] * grown - grown, (corners[1] + 1) * grown + grown
    shape = layer_shape(layer)
    y0, x0 = (max(math.floor(first[axis]), 0) for axis in (rows, columns))
    y1, x1 = (min(math.ceil(last[axis]), shape[axis]) for axis in (rows, columns))
    return Window(y0, x0, y1, x1) if y1 > y0 and x1 > x0 else None
