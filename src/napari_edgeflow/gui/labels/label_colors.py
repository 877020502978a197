"""Colours of the labels: by object or by class; hidden objects are transparent, selected ones pale.

napari draws labels through a cyclic colour map in the blink of an eye, while a direct one, which
has a colour for each id, takes seconds for 10 000 ids and stops at 65 536. So the cyclic map gets
as many colours as napari can hold, and is used as a table: label k has row k. To change an object's
colour is to change its row and to tell the layer, which sends the table to the graphics card; the
labels are not looked at again. That takes 10 ms, whatever their number; setting another colour map
takes 600 ms at 4096 × 4096 px.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from napari.layers import Labels
from napari.utils.colormaps import CyclicLabelColormap
from qtpy.QtCore import QTimer

from napari_edgeflow._types import FloatArray
from napari_edgeflow.annotation.changes import Change
from napari_edgeflow.annotation.classes import PALETTE
from napari_edgeflow.annotation.objects import ObjectRecord
from napari_edgeflow.gui.projects.link import ProjectLink

ColorBy = Literal["object", "class"]
"""``object``: each has its own colour; ``class``: that of its class."""

N_ROWS = 65_534
"""Labels with a colour of their own; label N_ROWS + 1 shares the row of label 1."""

_SHADES = (1.0, 0.65, 1.35)
_PALE = 0.6
_NO_CLASS = (0.5, 0.5, 0.5, 1.0)
_CLEAR = (0.0, 0.0, 0.0, 0.0)


def row_of(label: int) -> int:
    """Row of the colour table that a label is drawn with, as napari computes it."""
    return (label - 1) % N_ROWS + 1 if label else 0


def object_colors(seed: int = 0) -> FloatArray:
    """``(N_ROWS + 1, 4) float32`` RGBA in [0, 1]: a colour for each row, row 0 transparent.

    Okabe and Ito's colours, which colour-blind readers tell apart, in three shades; ids that
    follow each other have different colours.

    Args:
        seed: 0: in order; another: the order of the colours is drawn from it.
    """
    base = np.array(PALETTE, dtype=np.float32) / 255
    cycle = np.concatenate([np.clip(base * shade, 0, 1) for shade in _SHADES])
    if seed:
        np.random.default_rng(seed).shuffle(cycle)
    table = np.ones((N_ROWS + 1, 4), np.float32)
    table[1:, :3] = cycle[np.arange(N_ROWS) % len(cycle)]
    table[0] = 0
    return table


def new_colormap(table: FloatArray | None = None) -> CyclicLabelColormap:
    """A colour map for a Labels layer; give it to a new layer, as setting it later is slow."""
    return CyclicLabelColormap(colors=object_colors() if table is None else table)


def is_table(colormap: Any) -> bool:
    """True for a colour map of ``new_colormap``."""
    return isinstance(colormap, CyclicLabelColormap) and len(colormap.colors) == N_ROWS + 1


class LabelColors:
    """Keeps the colours of the project's Labels layer.

    Colours that the user gives the layer otherwise stay, until ``color_by`` is set; napari's
    shuffle button shuffles ours.

    Args:
        controller: Has ``project`` and ``selected_ids``, with their signals.
    """

    def __init__(self, controller: Any) -> None:
        self._controller = controller
        self._color_by: ColorBy = "object"
        self._seed = 0
        self._base = object_colors()
        self._selected: frozenset[int] = frozenset()
        self._layer: Labels | None = None
        self._is_foreign = self._is_closed = False
        self._link = ProjectLink(controller, self._on_change, on_layer=self._on_layer)
        controller.selection_changed.connect(self._on_selection)
        self._link.start()

    @property
    def color_by(self) -> ColorBy:
        """What the colours say."""
        return self._color_by

    @color_by.setter
    def color_by(self, value: ColorBy) -> None:
        self._color_by = value
        self._is_foreign = False
        self._paint_all()

    # --- what changed ----------------------------------------------------------------------

    def _on_change(self, change: Change | None) -> None:
        if change is None or change.classes is not None or self._is_shared:
            self._paint_all()
        elif change.objects:
            self._paint(change.objects)

    def _on_selection(self) -> None:
        old, self._selected = self._selected, frozenset(self._controller.selected_ids)
        if self._is_shared:
            self._paint_all()
        else:
            self._paint(old ^ self._selected)

    @property
    def _is_shared(self) -> bool:
        """True when labels may share a row."""
        project = self._link.project
        return project is not None and max(project.state.objects, default=0) > N_ROWS

    def _on_layer(self) -> None:
        self._leave()
        self._layer = self._link.layer
        self._is_foreign = False
        if self._layer is not None:
            self._layer.events.colormap.connect(self._on_colormap)
            self._paint_all()

    def _leave(self) -> None:
        if self._layer is not None:
            self._layer.events.colormap.disconnect(self._on_colormap)
            self._layer = None

    def _on_colormap(self, _event: Any = None) -> None:
        """The layer has another colour map: shuffled by napari's button, or the user's own."""
        layer = self._layer
        if layer is None or is_table(layer.colormap):
            return
        colors = getattr(layer.colormap, "colors", ())
        if not isinstance(layer.colormap, CyclicLabelColormap) or len(colors) < N_ROWS // 2:
            self._is_foreign = True
            return
        self._seed += 1
        self._base = object_colors(self._seed)
        QTimer.singleShot(0, self._paint_all)  # the layer is still busy with the other one

    # --- painting --------------------------------------------------------------------------

    def _paint_all(self) -> None:
        project, layer = self._link.project, self._layer
        if self._is_closed or project is None or layer is None or self._is_foreign:
            return
        table = self._base.copy()
        if self._color_by == "class":
            table[1:] = _NO_CLASS
        records = sorted(project.state.objects.values(), key=lambda r: not r.is_hidden)
        self._write(table, records)
        if is_table(layer.colormap):
            layer.colormap.colors[...] = table
            self._show(layer)
        else:
            self._set(layer, table)

    def _paint(self, labels: Iterable[int]) -> None:
        """Colours of a few objects anew."""
        project, layer = self._link.project, self._layer
        if project is None or layer is None or self._is_foreign:
            return
        if not is_table(layer.colormap):
            self._paint_all()
            return
        table, objects = layer.colormap.colors, project.state.objects
        rows = [row_of(label) for label in labels]
        if not rows:
            return
        before = table[rows].copy()
        table[rows] = self._base[rows] if self._color_by == "object" else _NO_CLASS
        self._write(table, [objects[label] for label in labels if label in objects])
        if not np.array_equal(table[rows], before):
            self._show(layer)

    def _write(self, table: FloatArray, records: Iterable[ObjectRecord]) -> None:
        """Put the objects' colours into their rows, later ones over earlier ones."""
        color = self._color_of()
        rows, colors = [], []
        for record in records:
            found = color(record)
            if found is not None:
                rows.append(row_of(record.id))
                colors.append(found)
        if rows:
            table[rows] = np.asarray(colors, dtype=np.float32)

    def _color_of(self) -> Callable[[ObjectRecord], Any]:
        """The colour of an object; None when its row says it already."""
        by_class = self._color_by == "class"
        classes = self._link.project.state.classes
        of_class = {one.id: (*(value / 255 for value in one.color), 1.0) for one in classes}
        keeps_base = not by_class and not self._is_shared
        selected, base = self._selected, self._base

        def color(record: ObjectRecord) -> Any:
            if record.is_hidden:
                return _CLEAR
            is_selected = record.id in selected
            if keeps_base and not is_selected:
                return None
            own = of_class.get(record.class_id, _NO_CLASS) if by_class else base[row_of(record.id)]
            return _pale(own) if is_selected else own

        return color

    def _show(self, layer: Labels) -> None:
        """Send the table to the graphics card."""
        if np.dtype(layer.dtype).itemsize > 2:
            layer.events.colormap()
        else:  # napari keeps the colours of small types with the colour map
            self._set(layer, layer.colormap.colors.copy())

    def _set(self, layer: Labels, table: FloatArray) -> None:
        colormap = new_colormap(table)
        colormap.use_selection = layer.show_selected_label
        colormap.selection = layer.selected_label
        layer.colormap = colormap

    def close(self) -> None:
        """Follow nothing any more; the colours stay."""
        if not self._is_closed:
            self._is_closed = True
            self._controller.selection_changed.disconnect(self._on_selection)
            self._link.close()
            self._leave()


def _pale(color: Any) -> npt.NDArray[np.float32]:
    """Nearer to white, for what is selected."""
    pale = np.asarray(color, dtype=np.float32).copy()
    pale[:3] += (1 - pale[:3]) * _PALE
    return pale
