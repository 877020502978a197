"""Sections of the widget that open and close, one for each panel."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSizePolicy, QToolButton, QVBoxLayout, QWidget


class Sections(QWidget):  # type: ignore[misc, unused-ignore]
    """Panels under each other, each below a title that opens and closes it.

    Attributes:
        titles: The buttons, by title.

    Args:
        panels: Title and panel, in their order.
        is_open: Titles of those that are open at first.
    """

    def __init__(self, panels: Iterable[tuple[str, QWidget]], is_open: Iterable[str] = ()) -> None:
        super().__init__()
        self.titles: dict[str, QToolButton] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for title, panel in panels:
            self.titles[title] = _title(title, panel)
            layout.addWidget(self.titles[title])
            layout.addWidget(panel)
        for title in is_open:
            self.open(title)

    def open(self, title: str) -> None:
        """Open one section."""
        self.titles[title].setChecked(True)


def _title(title: str, panel: QWidget) -> QToolButton:
    """The button that shows and hides a panel, which is hidden at first."""
    made = QToolButton()
    made.setText(title)
    made.setCheckable(True)
    made.setToolTip(f"Open or close: {title}")
    made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    made.setArrowType(Qt.ArrowType.RightArrow)
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    made.setMinimumWidth(40)
    made.setAutoRaise(True)
    panel.setVisible(False)

    def show(is_open: bool) -> None:
        panel.setVisible(is_open)
        made.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)

    made.toggled.connect(show)
    return made
