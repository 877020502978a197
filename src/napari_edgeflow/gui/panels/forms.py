"""Builders of the widget's rows: every control comes with a tooltip."""

from __future__ import annotations

import re
from collections.abc import Callable

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QWidget,
)

from napari_edgeflow.gui.panels.wrapping import WrappingLayout

_WORD = re.compile(r"[^\s/]+/?")
_NARROWEST_PX = 40
"""A line that is not laid out yet has no width to go by."""


def button(text: str, tooltip: str, on_click: Callable[[], object]) -> QPushButton:
    """A push button that may shrink with the dock."""
    made = QPushButton(text)
    made.setToolTip(tooltip)
    made.setMinimumWidth(40)
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    made.clicked.connect(lambda _checked=False: on_click())
    return made


def check_box(text: str, tooltip: str, on_toggle: Callable[[bool], object]) -> QCheckBox:
    """A check box."""
    made = QCheckBox(text)
    made.setToolTip(tooltip)
    made.toggled.connect(lambda is_on: on_toggle(bool(is_on)))
    return made


class TextLine(QLabel):  # type: ignore[misc, unused-ignore]
    """A label whose text wraps and can be copied; words longer than a line lose their middle.

    Such a word (a file's name, most often) would be cut at the panel's edge otherwise. ``text``
    is the whole of it, and so is the tooltip then.

    Args:
        tooltip: What the line tells.
    """

    def __init__(self, tooltip: str) -> None:
        super().__init__("")
        self._whole, self._detail, self._tip = "", "", tooltip
        self.setWordWrap(True)
        self.setToolTip(tooltip)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)

    def text(self) -> str:
        """The whole text, whatever of it there is room for."""
        return self._whole

    def setText(self, text: str) -> None:  # noqa: N802
        """Show a text."""
        self.show_text(text)

    def show_text(self, text: str, detail: str = "") -> None:
        """Show a text, and more under the mouse.

        Args:
            text: May have words that are too long.
            detail: For the tooltip, such as the path of a file that the text names.
        """
        if (text, detail) != (self._whole, self._detail):
            self._whole, self._detail = text, detail
            self._fit()

    @property
    def shown(self) -> str:
        """The text as there is room for it."""
        return str(super().text())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Show as much as there is room for now."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        room, metrics = self.contentsRect().width(), self.fontMetrics()

        def fitted(match: re.Match[str]) -> str:
            middle = Qt.TextElideMode.ElideMiddle
            return str(metrics.elidedText(match[0], middle, max(room, _NARROWEST_PX)))

        is_html = self._whole.startswith("<")
        shown = self._whole if is_html else _WORD.sub(fitted, self._whole)
        if shown != super().text():
            super().setText(shown)
        hidden = self._whole if shown != self._whole else ""
        self.setToolTip("\n".join(one for one in (self._tip, self._detail or hidden) if one))


def text_line(tooltip: str) -> TextLine:
    """A label whose text wraps, fits any width and can be copied."""
    return TextLine(tooltip)


def form_layout(parent: QWidget | None = None) -> QFormLayout:
    """Rows of a caption and a field, which goes below the caption where there is no room."""
    made = QFormLayout() if parent is None else QFormLayout(parent)
    made.setContentsMargins(0, 0, 0, 0)
    made.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    made.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    return made


def row(*widgets: QWidget) -> QWidget:
    """Widgets beside each other, in more than one line where it is narrow."""
    made = QWidget()
    layout = WrappingLayout(made)
    for widget in widgets:
        layout.addWidget(widget)
    return made


class PercentSlider(QWidget):  # type: ignore[misc, unused-ignore]
    """A slider from 0.01 to 0.99 with its value beside it."""

    def __init__(self, value: float, tooltip: str, on_change: Callable[[float], object]) -> None:
        super().__init__()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(1, 99)
        self.slider.setToolTip(tooltip)
        self._label = QLabel()
        self._label.setToolTip(tooltip)
        self._label.setMinimumWidth(self._label.fontMetrics().horizontalAdvance("00.00"))
        self._label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.slider)
        layout.addWidget(self._label)
        self.slider.setValue(round(value * 100))
        self._show(self.slider.value())
        self.slider.valueChanged.connect(self._show)
        self.slider.valueChanged.connect(lambda percent: on_change(percent / 100))

    def show_value(self, value: float) -> None:
        """Show another value without a word to anybody; not while it is being dragged."""
        percent = round(value * 100)
        if percent != self.slider.value() and not self.slider.isSliderDown():
            with QSignalBlocker(self.slider):
                self.slider.setValue(percent)
            self._show(percent)

    def _show(self, percent: int) -> None:
        self._label.setText(f"{percent / 100:.2f}")
