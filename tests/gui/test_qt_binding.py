"""The Qt binding counts references right: PySide6 6.12.0 did not, and Python aborted."""

from __future__ import annotations

import sys
from typing import Any

from qtpy.QtWidgets import QWidget


class Painted(QWidget):  # type: ignore[misc, unused-ignore]
    def paintEvent(self, event: Any) -> None:  # noqa: N802
        """Qt calls this; it returns None."""


def test_overridden_event_methods_do_not_use_up_none(qtbot: Any) -> None:
    painted = Painted()
    qtbot.addWidget(painted)
    with qtbot.waitExposed(painted):
        painted.show()
    calls = 100
    before = sys.getrefcount(None)
    for _ in range(calls):
        painted.repaint()
    assert sys.getrefcount(None) > before - calls / 2
