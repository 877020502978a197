"""Qt's model of the object table: sorted and filtered rows that follow each change of a project.

The rows are kept in order in a Python list, so that a change of a few objects costs a few binary
searches: Qt's own proxy asks Python for two values per comparison, which takes 10 000 rows half a
second to sort.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any

from qtpy.QtCore import (  # type: ignore[attr-defined]
    QAbstractTableModel,
    QModelIndex,
    QPersistentModelIndex,
    Qt,
    Signal,
)
from qtpy.QtGui import QColor, QFont, QIcon

from napari_edgeflow.annotation.changes import Change, State
from napari_edgeflow.annotation.objects import ObjectRecord
from napari_edgeflow.gui.labels.object_columns import (
    AREA_UNIT,
    CLASS,
    COLUMNS,
    NAME,
    About,
    number_of,
    search_text,
    state_words,
)
from napari_edgeflow.gui.panels.swatches import swatch
from napari_edgeflow.gui.pixel_size import PixelSize

_MANY = 100
"""Objects from which on a change shows all rows anew, which is faster than one by one."""
_Index = QModelIndex | QPersistentModelIndex
_NO_PARENT = QModelIndex()
_NAME, _CLASS, _AREA = number_of(NAME), number_of(CLASS), number_of(AREA_UNIT)
_ROLE = Qt.ItemDataRole
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
_LEFT = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)


class ObjectTable(QAbstractTableModel):  # type: ignore[misc, unused-ignore]
    """One row for each object that the filter lets through; columns as in ``COLUMNS``."""

    renamed = Signal(int, str)
    """The user typed another name: id and name."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._state = State()
        self._about = About(self._state.classes)
        self._swatches: dict[int, QIcon] = {}
        self._order: list[tuple[Any, int]] = []
        self._rank_of: dict[int, Any] = {}
        self._records: dict[int, ObjectRecord] = {}  # of the rows, as they are shown
        self._column = 0
        self._is_descending = False
        self._words: tuple[str, ...] = ()

    # --- what it holds ---------------------------------------------------------------------

    @property
    def n_objects(self) -> int:
        """Objects, with those that the filter leaves out."""
        return len(self._state.objects)

    @property
    def ids(self) -> list[int]:
        """Ids of the rows, from the top."""
        found = [label for _, label in self._order]
        return found[::-1] if self._is_descending else found

    @property
    def has_units(self) -> bool:
        """True when areas are known in units of length."""
        return bool(self._about.unit)

    @property
    def has_slices(self) -> bool:
        """True when an object lies in a stack."""
        return any(len(record.plane) > 2 for record in self._state.objects.values())

    def id_at(self, row: int) -> int:
        """Id of a row's object."""
        return self._order[len(self._order) - 1 - row if self._is_descending else row][1]

    def rows_of(self, ids: Iterable[int]) -> list[int]:
        """Rows of these objects, in ascending order; those without a row are left out."""
        known = [label for label in ids if label in self._rank_of]
        return sorted(self._row_at(self._place(label)) for label in known)

    def show(self, state: State, pixel: PixelSize | None) -> None:
        """Show these objects, whatever was there before."""
        self.beginResetModel()
        self._take(state, pixel)
        self._rebuild()
        self.endResetModel()

    def follow(self, state: State, change: Change) -> bool:
        """Show the state after a change or after taking it back.

        Returns:
            True when all rows are new, so that a selection is lost.
        """
        if change.classes is not None or len(change.objects) > _MANY:
            self.show(state, self._about.pixel)
            return True
        self._take(state, self._about.pixel)
        for label in change.objects:
            self._update(label, state.objects.get(label))
        return False

    @property
    def filter_text(self) -> str:
        """Words that each row has."""
        return " ".join(self._words)

    @property
    def sorting(self) -> tuple[int, Any]:
        """Column that the rows are sorted by, and how."""
        down, up = Qt.SortOrder.DescendingOrder, Qt.SortOrder.AscendingOrder
        return self._column, down if self._is_descending else up

    def set_filter(self, text: str) -> None:
        """Keep the rows that hold every word of the text in id, class, name, state or model."""
        words = tuple(text.casefold().split())
        if words != self._words:
            self._words = words
            self.show(self._state, self._about.pixel)

    def _take(self, state: State, pixel: PixelSize | None) -> None:
        if state.classes is not self._about.classes or pixel is not self._about.pixel:
            self._about = About(state.classes, pixel)
            self._swatches = {c.id: swatch(c.color) for c in state.classes}
        self._state = state

    # --- rows ------------------------------------------------------------------------------

    def _rebuild(self) -> None:
        rank, about = COLUMNS[self._column].rank, self._about
        kept = [record for record in self._state.objects.values() if self._is_kept(record)]
        self._records = {record.id: record for record in kept}
        self._rank_of = {record.id: rank(record, about) for record in kept}
        self._order = sorted((key, label) for label, key in self._rank_of.items())

    def _is_kept(self, record: ObjectRecord) -> bool:
        if not self._words:
            return True
        text = search_text(record, self._about)
        return all(word in text for word in self._words)

    def _place(self, label: int) -> int:
        return bisect_left(self._order, (self._rank_of[label], label))

    def _row_at(self, place: int) -> int:
        return len(self._order) - 1 - place if self._is_descending else place

    def _update(self, label: int, record: ObjectRecord | None) -> None:
        """Put one object's row where it belongs now."""
        if record is not None and not self._is_kept(record):
            record = None
        rank = None if record is None else COLUMNS[self._column].rank(record, self._about)
        is_row = label in self._records
        if record is not None and is_row and self._rank_of[label] == rank:
            self._records[label] = record
            row = self._row_at(self._place(label))
            self.dataChanged.emit(self.index(row, 0), self.index(row, len(COLUMNS) - 1))
            return
        if is_row:
            self._remove(label)
        if record is not None:
            self._insert(record, rank)

    def _remove(self, label: int) -> None:
        place = self._place(label)
        row = self._row_at(place)
        self.beginRemoveRows(_NO_PARENT, row, row)
        del self._order[place], self._rank_of[label], self._records[label]
        self.endRemoveRows()

    def _insert(self, record: ObjectRecord, rank: Any) -> None:
        place = bisect_left(self._order, (rank, record.id))
        row = len(self._order) - place if self._is_descending else place
        self.beginInsertRows(_NO_PARENT, row, row)
        self._order.insert(place, (rank, record.id))
        self._rank_of[record.id], self._records[record.id] = rank, record
        self.endInsertRows()

    # --- Qt's side -------------------------------------------------------------------------

    def rowCount(self, parent: _Index = _NO_PARENT) -> int:  # noqa: N802
        """Rows."""
        return 0 if parent.isValid() else len(self._order)

    def columnCount(self, parent: _Index = _NO_PARENT) -> int:  # noqa: N802
        """Columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def flags(self, index: _Index) -> Any:
        """Names can be edited."""
        if not index.isValid():
            return Qt.ItemFlag.NoItemFlags
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        return flags | Qt.ItemFlag.ItemIsEditable if index.column() == _NAME else flags

    def data(self, index: _Index, role: int = _ROLE.DisplayRole) -> Any:
        """What a cell shows."""
        if not index.isValid():
            return None
        column = COLUMNS[index.column()]
        record = self._records[self.id_at(index.row())]
        if role in (_ROLE.DisplayRole, _ROLE.EditRole):
            return column.text(record, self._about)
        if role == _ROLE.TextAlignmentRole:
            return _RIGHT if column.is_number else _LEFT
        if role == _ROLE.DecorationRole and index.column() == _CLASS:
            return self._swatches.get(record.class_id)
        if role == _ROLE.ToolTipRole:
            words = state_words(record)
            return f"{column.title}: {column.text(record, self._about)}" + f" ({words})" * bool(
                words
            )
        return _hidden_look(role) if record.is_hidden else None

    def setData(self, index: _Index, value: Any, role: int = _ROLE.EditRole) -> bool:  # noqa: N802
        """Ask for another name; the row changes once the project has it."""
        if role != _ROLE.EditRole or index.column() != _NAME:
            return False
        label, name = self.id_at(index.row()), str(value).strip()
        if name != self._records[label].name:
            self.renamed.emit(label, name)
        return False

    def headerData(  # noqa: N802
        self, section: int, orientation: Any, role: int = _ROLE.DisplayRole
    ) -> Any:
        """Headings and their tooltips."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(COLUMNS):
            return None
        column = COLUMNS[section]
        if role == _ROLE.DisplayRole:
            unit = self._about.unit if section == _AREA else ""
            return f"{column.title} ({unit})" if unit else column.title
        return column.tooltip if role == _ROLE.ToolTipRole else None

    def sort(self, column: int, order: Any = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; equal ones by id."""
        self._column = column
        self._is_descending = order == Qt.SortOrder.DescendingOrder
        self.show(self._state, self._about.pixel)


def runs(rows: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each run of successive numbers, of ascending ones."""
    found: list[tuple[int, int]] = []
    for row in rows:
        if found and row == found[-1][1] + 1:
            found[-1] = found[-1][0], row
        else:
            found.append((row, row))
    return found


def _hidden_look(role: int) -> Any:
    """Hidden objects are grey and slanted."""
    if role == _ROLE.FontRole:
        font = QFont()
        font.setItalic(True)
        return font
    if role == _ROLE.ForegroundRole:
        return QColor(128, 128, 128)  # legible in dark and light themes
    return None
