"""The view of the object table: selection by id, keys, which columns are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from qtpy.QtCore import QItemSelection, QItemSelectionModel, QPoint, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QAbstractButton, QAbstractItemView, QMenu, QSizePolicy, QTableView

from napari_edgeflow.gui.labels.object_columns import (
    AREA_UNIT,
    CLASS,
    COLUMNS,
    NAME,
    SLICE,
    number_of,
)
from napari_edgeflow.gui.labels.object_table import ObjectTable, runs

_ROWS_SHOWN = 8
_PADDING, _SWATCH = 14, 20
_DELETE = (Qt.Key.Key_Delete, Qt.Key.Key_Backspace)
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


class ObjectsView(QTableView):  # type: ignore[misc, unused-ignore]
    """Whole rows are selected; their ids are what counts.

    Args:
        table: What is shown.
        on_delete: The Delete key.
        on_look: Enter, and a double click.
        on_menu: A right click, with the place on the screen.
    """

    ids_selected = Signal(object)
    """Ids of the rows that the user selected, a tuple."""

    def __init__(
        self,
        table: ObjectTable,
        on_delete: Callable[[], object],
        on_look: Callable[[], object],
        on_menu: Callable[[QPoint], object],
    ) -> None:
        super().__init__()
        self.table = table
        self._on_delete, self._on_look = on_delete, on_look
        self._is_following = False
        self._hidden_by_user: set[int] = set()
        self.setModel(table)
        self._set_up()
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(lambda at: on_menu(self.viewport().mapToGlobal(at)))
        self.doubleClicked.connect(lambda _index: on_look())
        self.selectionModel().selectionChanged.connect(self._on_rows)

    def _set_up(self) -> None:
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(False)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        for corner in self.findChildren(QAbstractButton):
            corner.setToolTip("Select all objects")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        height = self.fontMetrics().height() + 6
        rows = self.verticalHeader()
        rows.setVisible(False)
        rows.setMinimumSectionSize(height)
        rows.setDefaultSectionSize(height)
        self.setMinimumHeight(height * (_ROWS_SHOWN + 2))
        heading = self.horizontalHeader()
        heading.setSectionsMovable(True)
        heading.setHighlightSections(False)
        heading.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        heading.customContextMenuRequested.connect(self._on_heading_menu)
        for number, column in enumerate(COLUMNS):
            texts = (column.example, column.title + "  ")
            widest = max(map(self.fontMetrics().horizontalAdvance, texts))
            has_swatch = column.key == CLASS
            self.setColumnWidth(number, widest + _PADDING + _SWATCH * has_swatch)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)

    # --- selection -------------------------------------------------------------------------

    def _on_rows(self, *_: Any) -> None:
        if self._is_following:
            return
        ids: list[int] = []
        selection: Any = self.selectionModel().selection()
        for part in selection:
            ids += [self.table.id_at(number) for number in range(part.top(), part.bottom() + 1)]
        self.ids_selected.emit(tuple(dict.fromkeys(ids)))

    def select_ids(self, ids: Iterable[int]) -> None:
        """Select the rows of these objects, without saying so."""
        wanted = QItemSelection()
        last = len(COLUMNS) - 1
        for first_row, last_row in runs(self.table.rows_of(ids)):
            wanted.select(self.table.index(first_row, 0), self.table.index(last_row, last))
        self.silently(
            lambda: self.selectionModel().select(
                wanted, QItemSelectionModel.SelectionFlag.ClearAndSelect
            )
        )

    def silently(self, step: Callable[[], object]) -> None:
        """Do something that changes the rows, which is not the user's doing."""
        was_following, self._is_following = self._is_following, True
        try:
            step()
        finally:
            self._is_following = was_following

    def show_row_of(self, label: int) -> None:
        """Scroll to an object."""
        for number in self.table.rows_of([label]):
            self.scrollTo(self.table.index(number, 0))

    def edit_name_of(self, label: int) -> None:
        """Open the editor of its name."""
        for number in self.table.rows_of([label]):
            index = self.table.index(number, number_of(NAME))
            self.scrollTo(index)
            self.edit(index)

    # --- columns ---------------------------------------------------------------------------

    def show_columns(self) -> None:
        """Hide the columns that say nothing, and those that the user does not want."""
        empty = set()
        if not self.table.has_units:
            empty.add(number_of(AREA_UNIT))
        if not self.table.has_slices:
            empty.add(number_of(SLICE))
        for number in range(len(COLUMNS)):
            self.setColumnHidden(number, number in empty | self._hidden_by_user)

    def _on_heading_menu(self, place: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.fill_heading_menu(menu)
        menu.popup(self.horizontalHeader().mapToGlobal(place))

    def fill_heading_menu(self, menu: QMenu) -> None:
        """Which columns are shown."""
        for number, column in enumerate(COLUMNS):
            action = menu.addAction(column.title)
            action.setCheckable(True)
            action.setChecked(number not in self._hidden_by_user)
            action.toggled.connect(partial(self._on_column, number))

    def _on_column(self, number: int, is_shown: bool) -> None:
        (self._hidden_by_user.discard if is_shown else self._hidden_by_user.add)(number)
        self.show_columns()

    # --- keys ------------------------------------------------------------------------------

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802
        """Delete and Enter; the rest is Qt's."""
        if event.key() in _DELETE:
            self._on_delete()
        elif event.key() in _ENTER and self.state() != QAbstractItemView.State.EditingState:
            self._on_look()
        else:
            super().keyPressEvent(event)
