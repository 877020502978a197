"""The images of a series as rows with their marks; thousands cost nothing until they are seen."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QAbstractListModel, Qt
from qtpy.QtGui import QFont

from napari_edgeflow.gui.series.files import Mark
from napari_edgeflow.gui.series.series import Series

GLYPHS: dict[Mark, str] = {"todo": "○", "done": "✓", "skipped": "↷", "broken": "✗"}
"""Shapes, not colours, so that everybody can tell them apart."""
WORDS: dict[Mark, str] = {
    "todo": "to do",
    "done": "done",
    "skipped": "skipped",
    "broken": "cannot be read",
}


class SeriesRows(QAbstractListModel):  # type: ignore[misc, unused-ignore]
    """One row for each image; the open one is bold."""

    def __init__(self, series: Series, parent: Any = None) -> None:
        super().__init__(parent)
        self._series = series
        self._n_rows = 0

    def rowCount(self, parent: Any = None) -> int:  # noqa: N802
        """Images in the series."""
        return 0 if parent is not None and parent.isValid() else self._n_rows

    def data(self, index: Any, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Mark and name; why, as a tooltip."""
        row = index.row()
        if not index.isValid() or row >= len(self._series.entries):
            return None
        name, mark = self._series.entries[row].name, self._series.mark_of(row)
        if role == Qt.ItemDataRole.DisplayRole:
            return f"{GLYPHS[mark]}  {name}"
        if role == Qt.ItemDataRole.ToolTipRole:
            reason = self._series.book.reasons.get(name, "")
            return f"{name}: {WORDS[mark]}" + (f"; {reason}" if reason else "")
        if role == Qt.ItemDataRole.FontRole and row == self._series.index:
            font = QFont()
            font.setBold(True)
            return font
        return None

    def follow(self) -> None:
        """Show the series as it is now."""
        n_rows = len(self._series.entries)
        if n_rows != self._n_rows:
            self.beginResetModel()
            self._n_rows = n_rows
            self.endResetModel()
        elif n_rows:
            self.dataChanged.emit(self.index(0), self.index(n_rows - 1))
