"""Which keys and buttons do what, as they are bound now."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_edgeflow.gui.input.hand import Hand
from napari_edgeflow.gui.input.preferences import Modifier
from napari_edgeflow.gui.input.shortcuts import SHARED, TITLES, in_print
from napari_edgeflow.gui.panels.forms import check_box, text_line

_HELD: dict[Modifier, str] = {
    "Control or Alt": "Ctrl or Alt + ",
    "Control": "Ctrl + ",
    "Alt": "Alt + ",
    "none": "",
}


class HelpPanel(QWidget):  # type: ignore[misc, unused-ignore]
    """Actions with their keys, and what the mouse does; switches for hover and swapped clicks.

    Args:
        hand: The keys and the mouse.
    """

    def __init__(self, hand: Hand) -> None:
        super().__init__()
        self._hand = hand
        self.hover_box = check_box(
            "Mask under the pointer",
            "Once the pointer rests, outline what a click there would give; worked out only "
            "while there is nothing else to do" + hand.shortcuts.hint("hover"),
            lambda is_on: setattr(hand.hover, "is_on", is_on),
        )
        self.swap_box = check_box(
            "Swap left and right click",
            "For pens and touch screens: until switched off, a left click is beside the object"
            + hand.shortcuts.hint("swap"),
            self._on_swap,
        )
        self.text = text_line("Keys and mouse buttons, as they are now")
        self.text.setTextFormat(Qt.TextFormat.RichText)
        note = QLabel(
            f"{', '.join(sorted(SHARED))} are ours while the click tool is on and the selected "
            "layer is in its pan/zoom mode; else they do what they do in napari. Change keys and "
            "buttons in File › Preferences › EdgeFlow (napari 0.9 and later)."
        )
        note.setWordWrap(True)
        note.setToolTip("Where keys and buttons can be changed")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self.hover_box, self.swap_box, self.text, note):
            layout.addWidget(part)
        hand.changed.connect(self.refresh)
        self.refresh()

    def _on_swap(self, is_on: bool) -> None:
        if is_on != self._hand.tool.is_swapped:
            self._hand.swap()

    def refresh(self) -> None:
        """Show what is bound now."""
        self.hover_box.setChecked(self._hand.hover.is_on)
        self.swap_box.setChecked(self._hand.tool.is_swapped)
        keys = [
            (", ".join(map(in_print, self._hand.shortcuts.bound[name])), title)
            for name, title in TITLES.items()
            if name in self._hand.shortcuts.bound
        ]
        self.text.setText(_table("Keys", keys) + _table("Mouse", self._mouse()))

    def _mouse(self) -> list[tuple[str, str]]:
        """What is done with the mouse, and what it does."""
        mouse = self._hand.tool.preferences()
        on, beside = ("on the object", "beside the object")
        if self._hand.tool.plain_kind == "negative":
            on, beside = beside, on
        held = _HELD[mouse.other_sign]
        rows = [("Left click", on), ("Right click", beside)]
        if held:
            rows.append((f"{held}left click", beside))
        return [
            *rows,
            ("Shift + left click", "on the boundary, with models that take it"),
            ("Drag, wheel", "pan and zoom"),
        ]

    def close_down(self) -> None:
        """Follow keys and mouse no more."""
        self._hand.changed.disconnect(self.refresh)


def _table(title: str, rows: Iterable[tuple[str, str]]) -> str:
    lines = "".join(
        f"<tr><td><b>{escape(left)}</b>&nbsp;&nbsp;</td><td>{escape(right)}</td></tr>"
        for left, right in rows
    )
    return f"<p><i>{title}</i></p><table>{lines}</table>"
