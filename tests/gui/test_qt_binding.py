"""The Qt binding counts references right: PySide6 6.12.0 did not, and Python aborted."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from qtpy.QtCore import QCoreApplication, QEvent, QObject
from qtpy.QtWidgets import QWidget


class Painted(QWidget):  # type: ignore[misc, unused-ignore]
    def paintEvent(self, event: Any) -> None:  # noqa: N802
        """Qt calls this; it returns None."""


class Filter(QObject):  # type: ignore[misc, unused-ignore]
    def eventFilter(self, watched: Any, event: Any) -> bool:  # noqa: N802
        """Qt calls this; it returns False."""
        return False


@pytest.mark.parametrize("singleton", [None, False])
def test_overridden_event_methods_do_not_use_up_none_and_false(qtbot: Any, singleton: Any) -> None:
    painted, watched, event_filter = Painted(), QWidget(), Filter()
    qtbot.addWidget(painted)
    qtbot.addWidget(watched)
    watched.installEventFilter(event_filter)
    with qtbot.waitExposed(painted):
        painted.show()
    calls = 50  # fewer than there are references to False, should they be used up
    before = sys.getrefcount(singleton)
    for _ in range(calls):
        painted.repaint()
        QCoreApplication.sendEvent(watched, QEvent(QEvent.Type.User))
    assert sys.getrefcount(singleton) > before - calls / 2
