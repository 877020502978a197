"""Nothing of the panel is cut where the dock is narrow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtWidgets import (
    QAbstractScrollArea,
    QCheckBox,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_edgeflow.gui.panels.forms import TextLine, row, text_line
from napari_edgeflow.gui.panels.sections import Sections

from .fakes import PATIENCE_S, squares

LONG = "a_very_long_file_name_of_an_orthophoto_2026_tile_r07_c13_rgb_nir.tif.edgeflow"


def _open_all(widget: Any, width: int) -> QScrollArea:
    """The widget's scroll area, every section open, the dock as narrow as that."""
    sections = widget.findChild(Sections)
    for title in sections.titles.values():
        title.setChecked(True)
    main: QScrollArea = next(
        area for area in widget.findChildren(QScrollArea) if area.isAncestorOf(sections)
    )
    dock = widget.parent()
    while dock.parent() is not None and not hasattr(dock, "setFloating"):
        dock = dock.parent()
    dock.setFloating(True)
    dock.resize(width + dock.width() - widget.width(), 600)
    return main


@pytest.mark.parametrize("width", [230, 300])
def test_every_word_is_seen_in_a_narrow_dock(
    open_widget: Any, qtbot: Any, width: int, tmp_path: Path
) -> None:
    widget = open_widget(squares())
    main = _open_all(widget, width)
    qtbot.waitUntil(lambda: widget.width() == width, timeout=PATIENCE_S * 1000)
    qtbot.waitUntil(main.verticalScrollBar().isVisible, timeout=PATIENCE_S * 1000)
    inside: Any = main.widget()
    scrolled = inside.findChildren(QAbstractScrollArea)
    assert inside.width() <= main.viewport().width() < width, "the bar is beside the controls"
    n_seen = 0
    for one in inside.findChildren(QWidget):
        if not one.isVisible() or one.window() is not inside.window():
            continue
        right = one.mapTo(inside, one.rect().topRight()).x()
        is_scrolled = any(area.isAncestorOf(one) for area in scrolled)
        if not is_scrolled:
            assert right < main.viewport().width(), (type(one).__name__, one.objectName())
        if isinstance(one, QPushButton | QCheckBox):
            wanted = one.fontMetrics().horizontalAdvance(one.text())
            assert one.width() >= wanted, one.text()
            n_seen += 1
        elif isinstance(one, QLabel) and one.wordWrap() and one.text():
            assert one.height() >= one.heightForWidth(one.width()) - 1, one.text()
    assert n_seen > 40


def test_a_long_name_loses_its_middle_and_is_whole_under_the_mouse(qtbot: Any) -> None:
    line = text_line("Where steps are saved")
    qtbot.addWidget(line)
    line.show_text(f"Saved at 10:00:00 in {LONG}", f"/data/{LONG}")
    line.resize(200, 60)
    line.show()
    assert line.text() == f"Saved at 10:00:00 in {LONG}"
    words = line.shown.split()
    assert words[:-1] == ["Saved", "at", "10:00:00", "in"]
    start, _, end = words[-1].partition("…")
    assert start
    assert end
    assert LONG.startswith(start)
    assert LONG.endswith(end)
    assert line.fontMetrics().horizontalAdvance(words[-1]) <= 200
    assert line.toolTip() == f"Where steps are saved\n/data/{LONG}"
    line.resize(2000, 60)
    assert line.shown == line.text()
    line.setText("short")
    assert (line.shown, line.toolTip()) == ("short", "Where steps are saved")
    line.setText(f"Exported to results/{LONG}")
    line.resize(200, 60)
    assert line.shown.startswith("Exported to results/a_")
    assert line.toolTip().endswith(f"\nExported to results/{LONG}")
    line.setText("<p><b>rich</b></p>")
    assert line.shown == "<p><b>rich</b></p>"


def test_the_saved_line_names_the_journal_under_the_mouse(open_widget: Any, settle: Any) -> None:
    widget = open_widget(squares(), name=LONG)
    control = widget.controller
    control.click((15, 20), "positive")
    control.finish()
    settle(control)
    assert isinstance(widget.saved_line, TextLine)
    assert widget.saved_line.text() == control.project.saved_line
    assert widget.saved_line.toolTip().endswith(str(control.project.place))


def test_a_row_goes_on_below_where_it_is_narrow(qtbot: Any) -> None:
    buttons = [QPushButton(text) for text in ("Previous image", "Next", "Next one to do")]
    outer = QWidget()
    qtbot.addWidget(outer)
    layout = QVBoxLayout(outer)
    layout.setContentsMargins(0, 0, 0, 0)
    line = row(*buttons)
    layout.addWidget(line)
    layout.addStretch(1)
    outer.show()
    hints = [one.sizeHint().width() for one in buttons]

    def places(width: int) -> list[int]:
        outer.resize(width, 300)
        layout.activate()
        return [one.y() for one in buttons]

    assert len(set(places(sum(hints) + 8))) == 1
    assert buttons[-1].geometry().right() == sum(hints) + 8 - 1
    first, second, third = places(sum(hints) + 7)
    assert first == second < third
    assert line.height() == line.heightForWidth(line.width()) == third + buttons[2].height()
    assert buttons[2].width() == line.width(), "all of the line is its own"
    assert len(set(places(max(hints) + 3))) == 3
    buttons[1].hide()
    one, _, three = places(sum(hints) - hints[1] + 4)
    assert one == three
