"""Builders of the widget's rows: every control comes with a tooltip."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QWidget,
)


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


def text_line(tooltip: str) -> QLabel:
    """A label whose text wraps and can be copied."""
    made = QLabel("")
    made.setWordWrap(True)
    made.setToolTip(tooltip)
    made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return made


def row(*widgets: QWidget) -> QWidget:
    """Widgets beside each other."""
    made = QWidget()
    layout = QHBoxLayout(made)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
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
