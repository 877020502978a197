"""The question of who keeps pixels that a new object and others claim."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Literal

from napari_edgeflow._types import Prediction
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.objects import PlaneIndex
from napari_edgeflow.annotation.store import LabelStore, OverlapRule, find_overlaps
from napari_edgeflow.annotation.tiling import TILE_PX, tiles_of

ChosenRule = Literal["new_on_top", "old_protected", "ask"]
Ask = Callable[[str, Callable[[OverlapRule | None], None]], None]
"""Called with a question; answers with the rule, or None to leave all as it is."""

_SHOWN = 4


class OverlapFoundError(ValueError):
    """Objects lie where a new one is to go, and the user wants to be asked."""


def check_overlaps(
    state: State,
    store: LabelStore,
    prediction: Prediction,
    label: int | None,
    plane: PlaneIndex = (),
    tile_px: int = TILE_PX,
) -> None:
    """Nothing, when the mask lies on no other object that could give way.

    Args:
        state: Now.
        store: Read tile by tile, so that the object may be of any size.
        prediction: The object that is to be committed.
        label: The object that it corrects; None: it is a new one.
        plane: Where it is.
        tile_px: Side of the tiles.

    Raises:
        OverlapFoundError: It does; the message is the question for the user.
    """
    found = Counter[int]()
    for tile in tiles_of(prediction.window, tile_px):
        mask = prediction.mask_in(tile)
        if mask.any():
            found.update(find_overlaps(store.read(tile, plane), mask, label or 0))
    free = {i: n for i, n in found.items() if i not in state.objects or not _is_locked(state, i)}
    if free:
        raise OverlapFoundError(question(state, free))


def question(state: State, overlaps: Mapping[int, int]) -> str:
    """What the user is asked, with objects and pixels, the largest overlap first."""
    order = sorted(overlaps.items(), key=lambda item: -item[1])
    parts = [f"{_name(state, label)} ({count} px)" for label, count in order[:_SHOWN]]
    rest = len(order) - len(parts)
    others = f" and {rest} more" if rest else ""
    return f"The object lies partly on {', '.join(parts)}{others}. Who keeps these pixels?"


def ask_in_window(text: str, on_answer: Callable[[OverlapRule | None], None]) -> None:
    """Ask in a small window; returns at once."""
    from qtpy.QtWidgets import QApplication, QMessageBox

    box = QMessageBox(QApplication.activeWindow())
    box.setWindowTitle("Objects overlap")
    box.setText(text)
    role = QMessageBox.ButtonRole
    buttons: dict[Any, tuple[OverlapRule | None, str]] = {
        box.addButton("The new one", role.AcceptRole): (
            "new_on_top",
            "The others lose these pixels",
        ),
        box.addButton("The others", role.AcceptRole): (
            "old_protected",
            "The new object is cut there",
        ),
        box.addButton("Cancel", role.RejectRole): (None, "Go on clicking; nothing is written"),
    }
    for one, (_, tip) in buttons.items():
        one.setToolTip(tip)

    def answer(chosen: Any) -> None:
        found = [rule for one, (rule, _) in buttons.items() if one is chosen]
        box.deleteLater()
        on_answer(found[0] if found else None)

    box.buttonClicked.connect(answer)
    box.open()


def _is_locked(state: State, label: int) -> bool:
    return state.objects[label].is_locked


def _name(state: State, label: int) -> str:
    record = state.objects.get(label)
    if record is None:
        return f"object {label}"
    title = record.name or state.classes.get(record.class_id).name
    return f"object {label} “{title}”"
