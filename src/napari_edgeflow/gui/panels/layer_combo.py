"""A combo box of the viewer's layers of one kind, kept up to date."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QSizePolicy, QWidget


class LayerCombo(QComboBox):  # type: ignore[misc, unused-ignore]
    """Follows ``viewer.layers``; keeps the choice while its layer is there."""

    layer_changed = Signal(object)
    """The chosen layer, or None."""

    def __init__(
        self,
        viewer: Any,
        accepts: Callable[[Any], bool],
        empty_text: str,
        *,
        keeps_empty: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._accepts = accepts
        self._empty_text = empty_text
        self._keeps_empty = keeps_empty
        self._layers: list[Any] = []
        self._named: list[Any] = []
        self._current: Any = None
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(6)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
            event.connect(self.refill)
        viewer.layers.events.reordered.connect(self.refill)
        self.activated.connect(self._on_activated)
        self.refill()

    @property
    def layer(self) -> Any:
        """The chosen layer, or None."""
        return self._current

    def choose(self, layer: Any) -> None:
        """Choose this layer, or the empty entry for None."""
        self._set_current(layer if any(layer is known for known in self._layers) else None)

    def refill(self, _event: Any = None) -> None:
        """Read the viewer's layers again."""
        layers = [layer for layer in reversed(self._viewer.layers) if self._accepts(layer)]
        self._watch_names(layers)
        self.blockSignals(True)
        self.clear()
        needs_empty = self._keeps_empty or not layers
        self._layers = [None, *layers] if needs_empty else layers
        for layer in self._layers:
            self.addItem(self._empty_text if layer is None else layer.name)
        self.blockSignals(False)
        is_known = any(layer is self._current for layer in self._layers)
        self._set_current(self._current if is_known else self._layers[0])

    def close_down(self) -> None:
        """Stop following the viewer."""
        for name in ("inserted", "removed", "reordered"):
            getattr(self._viewer.layers.events, name).disconnect(self.refill)
        self._watch_names([])

    def _watch_names(self, layers: list[Any]) -> None:
        for layer in self._named:
            layer.events.name.disconnect(self.refill)
        self._named = list(layers)
        for layer in layers:
            layer.events.name.connect(self.refill)

    def _on_activated(self, row: int) -> None:
        self._set_current(self._layers[row])

    def _set_current(self, layer: Any) -> None:
        row = next((i for i, known in enumerate(self._layers) if known is layer), 0)
        self.setCurrentIndex(row)
        self.setToolTip(self.currentText())
        if layer is not self._current:
            self._current = layer
            self.layer_changed.emit(layer)
