"""Controls beside each other that go on below where the panel is too narrow for their words."""

from __future__ import annotations

from qtpy.QtCore import QRect, QSize, Qt
from qtpy.QtWidgets import QLayout, QLayoutItem, QWidget


class WrappingLayout(QLayout):  # type: ignore[misc, unused-ignore]
    """Items in lines: as many in each as have their wanted width, and all of the line is theirs.

    Args:
        parent: The widget that is laid out.
        spacing: Pixels between items and between lines.
    """

    def __init__(self, parent: QWidget, spacing: int = 4) -> None:
        super().__init__(parent)
        self._items: list[QLayoutItem] = []
        self._gap = spacing
        self.setContentsMargins(0, 0, 0, 0)

    def addItem(self, item: QLayoutItem) -> None:  # noqa: N802
        """Add an item at the end."""
        self._items.append(item)

    def count(self) -> int:
        """Number of items, hidden ones too."""
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:  # type: ignore[override, unused-ignore] # noqa: N802
        """An item by its place; None when there is none."""
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:  # type: ignore[override, unused-ignore] # noqa: N802
        """An item that is no longer laid out; None when there is none."""
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def expandingDirections(self) -> Qt.Orientation:  # noqa: N802
        """Sideways."""
        return Qt.Orientation.Horizontal

    def hasHeightForWidth(self) -> bool:  # noqa: N802
        """True: there are more lines when it is narrow."""
        return True

    def heightForWidth(self, width: int) -> int:  # noqa: N802
        """Height in pixels at this width."""
        return self._place(QRect(0, 0, width, 0), is_tried=True)

    def sizeHint(self) -> QSize:  # noqa: N802
        """All in one line."""
        sizes = [item.sizeHint() for item in self._shown()]
        width = sum(size.width() for size in sizes) + self._gap * max(len(sizes) - 1, 0)
        return QSize(width, max((size.height() for size in sizes), default=0))

    def minimumSize(self) -> QSize:  # noqa: N802
        """All below each other."""
        sizes = [item.minimumSize() for item in self._shown()]
        return QSize(
            max((size.width() for size in sizes), default=0),
            max((size.height() for size in sizes), default=0),
        )

    def setGeometry(self, rect: QRect) -> None:  # noqa: N802
        """Put every item in its place."""
        super().setGeometry(rect)
        self._place(rect, is_tried=False)

    def _shown(self) -> list[QLayoutItem]:
        return [item for item in self._items if not item.isEmpty()]

    def _lines(self, width: int) -> list[list[QLayoutItem]]:
        lines: list[list[QLayoutItem]] = []
        left = 0
        for item in self._shown():
            wanted = item.sizeHint().width()
            if lines and wanted + self._gap <= left:
                lines[-1].append(item)
                left -= wanted + self._gap
            else:
                lines.append([item])
                left = width - wanted
        return lines

    def _place(self, rect: QRect, *, is_tried: bool) -> int:
        """Height in pixels of all lines; items are moved unless it is only tried."""
        y = rect.y()
        for line in self._lines(rect.width()):
            height = max(item.sizeHint().height() for item in line)
            wanted = [item.sizeHint().width() for item in line]
            spare = rect.width() - sum(wanted) - self._gap * (len(line) - 1)
            x = rect.x()
            for number, item in enumerate(line):
                share = spare * (number + 1) // len(line) - spare * number // len(line)
                width = wanted[number] + share
                if not is_tried:
                    item.setGeometry(QRect(x, y, width, height))
                x += width + self._gap
            y += height + self._gap
        return max(y - self._gap - rect.y(), 0)
