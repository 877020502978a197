"""The class list as rows that can be dragged: key, name with its colour, id, number of objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QSizePolicy, QTreeWidget, QTreeWidgetItem

from napari_edgeflow.annotation.classes import ClassList, ObjectClass
from napari_edgeflow.gui.panels.swatches import swatch

KEY, NAME, ID, COUNT = range(4)
_TITLES = ("Key", "Class", "Id", "Objects")
_TIPS = (
    "Digit that chooses the class",
    "Name and colour; double click or F2 to rename",
    "Its number in files",
    "Objects of the class",
)
_FEWEST_ROWS, _MOST_ROWS = 3, 8
_ID_ROLE = int(Qt.ItemDataRole.UserRole)


class ClassTree(QTreeWidget):  # type: ignore[misc, unused-ignore]
    """Shows a class list; what the user does to it is asked for by signals."""

    chosen = Signal(int)
    """Id of the class that the user chose."""
    renamed = Signal(int, str)
    """The user typed another name: id and name."""
    reordered = Signal(object)
    """The user dragged a class elsewhere: a tuple of ids in the new order."""

    def __init__(self) -> None:
        super().__init__()
        self._is_filling = False
        self._classes = ClassList()
        self._items: list[QTreeWidgetItem] = []
        self.setHeaderLabels(_TITLES)
        self.setRootIsDecorated(False)
        self.setUniformRowHeights(True)
        self.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.setEditTriggers(
            QAbstractItemView.EditTrigger.EditKeyPressed
            | QAbstractItemView.EditTrigger.DoubleClicked
        )
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        heading = self.header()
        heading.setStretchLastSection(False)
        heading.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        heading.setMinimumSectionSize(20)
        for number, tip in enumerate(_TIPS):
            self.headerItem().setToolTip(number, tip)
            if number != NAME:
                width = self.fontMetrics().horizontalAdvance(_TITLES[number] + "000")
                self.setColumnWidth(number, width)
        self._fit_height()
        self.currentItemChanged.connect(self._on_current)
        self.itemChanged.connect(self._on_text)

    def show_classes(self, classes: ClassList, counts: Mapping[int, int], current: int) -> None:
        """Show these classes; ``current`` is the id of the chosen one."""
        self._is_filling = True
        if classes is not self._classes or len(self._items) != len(classes):
            self._classes = classes
            self.clear()
            self._items = [_item(one) for one in classes]
            self.addTopLevelItems(self._items)
            self._fit_height()
        for one, item in zip(classes, self._items, strict=True):
            text = str(counts.get(one.id, 0))
            if item.text(COUNT) != text:
                item.setText(COUNT, text)
            if one.id == current and item is not self.currentItem():
                self.setCurrentItem(item)
        if current not in classes:
            self.clearSelection()
        self._is_filling = False

    def _fit_height(self) -> None:
        """As high as its rows, within bounds."""
        rows = min(max(len(self._items), _FEWEST_ROWS), _MOST_ROWS)
        height = self.sizeHintForRow(0) if self._items else self.fontMetrics().height()
        self.setFixedHeight(self.header().sizeHint().height() + rows * height + 4)

    @property
    def ids(self) -> list[int]:
        """Of the rows, from the top."""
        return [one.id for one in self._classes]

    def edit_name_of(self, class_id: int) -> None:
        """Open the editor of its name."""
        item = self._items[self.ids.index(class_id)]
        self.scrollToItem(item)
        self.editItem(item, NAME)

    # --- what the user does ----------------------------------------------------------------

    def _on_current(self, item: QTreeWidgetItem | None, _before: Any = None) -> None:
        if item is not None and not self._is_filling:
            self.chosen.emit(int(item.data(NAME, _ID_ROLE)))

    def _on_text(self, item: QTreeWidgetItem, column: int) -> None:
        """Ask for the new name; until it is given the row shows the old one."""
        if self._is_filling or column != NAME:
            return
        one = self._classes.get(int(item.data(NAME, _ID_ROLE)))
        name = item.text(NAME).strip()
        self._is_filling = True
        item.setText(NAME, one.name)
        self._is_filling = False
        if name != one.name:
            self.renamed.emit(one.id, name)

    def edit(self, index: Any, *args: Any) -> Any:
        """Names alone can be edited."""
        if args and index.column() != NAME:
            return False
        return super().edit(index, *args)

    def dropEvent(self, event: Any) -> None:  # noqa: N802
        """Ask for the new order; the rows follow once the project has it."""
        item = self.currentItem()
        if item is None:
            event.ignore()
            return
        at = event.position().toPoint()
        place, target = len(self._items), self.itemAt(at)
        if target is not None:
            is_below = at.y() > self.visualItemRect(target).center().y()
            place = self.indexOfTopLevelItem(target) + is_below
        self.move_class(int(item.data(NAME, _ID_ROLE)), place)
        event.setDropAction(Qt.DropAction.IgnoreAction)  # else Qt removes the row it dragged
        event.accept()

    def move_class(self, class_id: int, place: int) -> None:
        """Ask for a class to stand before the one that is at ``place`` now, 0 for the top."""
        ids = self.ids
        before = [i for i in ids[:place] if i != class_id]
        after = [i for i in ids[place:] if i != class_id]
        order = (*before, class_id, *after)
        if list(order) != ids:
            self.reordered.emit(order)


def _item(one: ObjectClass) -> QTreeWidgetItem:
    digit = "" if one.shortcut is None else str(one.shortcut)
    item = QTreeWidgetItem([digit, one.name, str(one.id), ""])
    item.setData(NAME, _ID_ROLE, one.id)
    item.setIcon(NAME, swatch(one.color))
    item.setToolTip(NAME, f"{one.name}: class {one.id}, colour {one.color}")
    item.setFlags(
        Qt.ItemFlag.ItemIsEnabled
        | Qt.ItemFlag.ItemIsSelectable
        | Qt.ItemFlag.ItemIsEditable
        | Qt.ItemFlag.ItemIsDragEnabled
    )
    for column in (KEY, ID, COUNT):
        item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return item
