"""Objects edited as polygons: from the labels to a Shapes layer and back, as one step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.utils.notifications import show_error, show_info, show_warning
from psygnal import Signal

from napari_edgeflow.annotation.changes import Change
from napari_edgeflow.annotation.objects import ObjectRecord
from napari_edgeflow.annotation.polygon_commands import Pieces
from napari_edgeflow.errors import EdgeFlowError
from napari_edgeflow.gui.labels.label_view import plane_of
from napari_edgeflow.gui.messages import in_words
from napari_edgeflow.gui.outlines.edit import (
    Sketch,
    faults,
    merge_all,
    separate,
    square_all,
    with_rings,
    with_tolerance,
)
from napari_edgeflow.gui.outlines.layer import OutlineLayer
from napari_edgeflow.gui.outlines.preview import ChangeLayer, PixelChanges, find_changes
from napari_edgeflow.gui.outlines.session import (
    OpenEdit,
    Steps,
    Tool,
    Unchanged,
    applied_in_words,
    changes_in_words,
    choose_records,
    drawn_edit,
    kept_records,
    make_change,
    open_outlines,
    ring_colour,
)
from napari_edgeflow.gui.planes import Plane, show_plane
from napari_edgeflow.gui.projects.overlap import Ask, ChosenRule, OverlapFoundError, ask_in_window
from napari_edgeflow.gui.worker import Worker
from napari_edgeflow.vector.polygons import Ring

_MODES: dict[Tool, str] = {"split": "add_polyline", "cut": "add_polygon", "add": "add_polygon"}
_SQUARE_EDGE_PX = 4.0


class PolygonEditor:
    """One edit at a time, of one object or several on a plane.

    Args:
        viewer: The napari viewer.
        controller: Of the window: its project, what is selected.
    """

    changed = Signal()
    """Something that a panel shows has changed."""

    def __init__(self, viewer: Any, controller: Any) -> None:
        self.controller = controller
        self.worker = Worker()
        self.shapes = OutlineLayer(viewer)
        self.changes_layer = ChangeLayer(viewer)
        self.tool: Tool | None = None
        self.tolerance_px = 1.0
        self.changes: PixelChanges | None = None
        self.shows_changes = True
        self.ask: Ask = ask_in_window
        self._viewer = viewer
        self._edit: OpenEdit | None = None
        self._steps: Steps | None = None
        self._is_applying = self.is_opening = False
        self._note = ""
        self.shapes.edited.connect(self._on_edited)
        self.shapes.moving.connect(self._on_moving)
        self.shapes.drawn.connect(self._on_drawn)
        self.shapes.asked.connect(self._on_asked)
        self.shapes.refused.connect(self._warn)
        self.shapes.mode_changed.connect(self._on_mode)
        self.shapes.chosen_changed.connect(self.changed.emit)
        self.shapes.gone.connect(self.cancel)
        viewer.layers.events.removed.connect(self._on_removed)

    # --- what a panel shows ------------------------------------------------------------------

    @property
    def is_editing(self) -> bool:
        """True while outlines are shown."""
        return self._edit is not None

    @property
    def sketch(self) -> Sketch | None:
        """The outlines as they are now; None between edits."""
        return None if self._steps is None else self._steps.now

    @property
    def can_undo(self) -> bool:
        """True when a step of this edit can be taken back."""
        return self._steps is not None and self._steps.can_undo and not self._is_applying

    @property
    def can_redo(self) -> bool:
        """True when a step of this edit can be done again."""
        return self._steps is not None and self._steps.can_redo and not self._is_applying

    @property
    def corners_line(self) -> str:
        """How many corners there are, in words."""
        sketch = self.sketch
        if sketch is None:
            return ""
        chosen = f", {self.shapes.n_chosen} chosen" if self.shapes.n_chosen else ""
        return f"{sketch.n_corners} corners{chosen}"

    @property
    def status(self) -> str:
        """What is edited, what applying would change, and what to mind, in words."""
        sketch = self.sketch
        if self._edit is None or sketch is None:
            return self._note or ("Reading the object…" if self.is_opening else "")
        parts = [f"{self._edit.name}."]
        n = len(sketch.outlines)
        if n != len(self._edit.records):
            parts.append(f"Becomes {n} object{'s' * (n > 1)}.")
        if self.changes is not None:
            parts.append(changes_in_words(self.changes))
        if faults(sketch):
            parts.append("An outline crosses itself: it is mended when applied.")
        return " ".join([*parts, self._note]).strip()

    # --- begin and end -----------------------------------------------------------------------

    def start(self, ids: Sequence[int] | None = None) -> None:
        """Show the outlines of these objects; None: of the selected, else the picked one."""
        project = self.controller.project
        try:
            if self._edit is not None or self.is_opening:
                raise ValueError("Apply or cancel the edit that is open first.")
            if project is None:
                raise ValueError("Choose an image with objects first.")
            wanted = self.controller.selected_ids if ids is None else ids
            records = choose_records(project, wanted)
            plane = plane_of(records[0].plane, project.image)
            show_plane(self._viewer, project.image, plane)
        except (ValueError, EdgeFlowError) as error:
            self._warn(str(error))
            return
        self._note, self.is_opening = "", True
        tolerance = self.tolerance_px
        project.run(
            lambda history: open_outlines(history.store, records, tolerance),
            partial(self._on_open, project, plane, records),
            self._on_not_open,
        )
        self.changed.emit()

    def _on_open(
        self,
        project: Any,
        plane: Plane,
        records: tuple[ObjectRecord, ...],
        found: tuple[Sketch, Pieces],
    ) -> None:
        sketch, pieces = found
        self.is_opening = False
        if project.image not in self._viewer.layers:
            return
        before = tuple(
            (record.id, window, mask)
            for record, (window, mask) in zip(records, pieces, strict=True)
        )
        self._edit = OpenEdit(project, plane, records, before)
        if sketch.tolerance_px > self.tolerance_px:
            self._note = f"Opened at a tolerance of {sketch.tolerance_px:g} px to stay quick."
        self.shapes.open(project.image, plane)
        self._steps = Steps(sketch)
        self._show()

    def _on_not_open(self, error: Exception) -> None:
        self.is_opening = False
        self._warn(in_words(error))

    def cancel(self) -> None:
        """End the edit; the objects stay as they were."""
        if self._edit is not None and not self._is_applying:
            self._end("Cancelled: the objects are as they were.")

    def apply(self, rule: ChosenRule | None = None) -> None:
        """Give the objects the pixels of their outlines, as one step, and end the edit.

        Args:
            rule: Who keeps pixels that others have; None: as the user chose for new objects.
        """
        edit, sketch = self._edit, self.sketch
        if edit is None or sketch is None or self._is_applying:
            return
        self._is_applying = True
        self.worker.cancel("edit")
        how = rule or self.controller.overlap_rule
        make = partial(make_change, edit.ids, sketch.outlines, how)
        edit.project.do(make, self._on_applied, self._on_not_applied)
        self.changed.emit()

    def _on_applied(self, change: Change) -> None:
        self._is_applying = False
        if self._edit is None:
            return
        kept = kept_records(change, self._edit.ids)
        self._end(applied_in_words(change, kept, self.changes))
        self.controller.selected_ids = tuple(record.id for record in kept)

    def _on_not_applied(self, error: Exception) -> None:
        self._is_applying = False
        if isinstance(error, Unchanged):
            self._end("Nothing was changed.")
            return
        if isinstance(error, OverlapFoundError):
            self.ask(str(error), lambda rule: None if rule is None else self.apply(rule))
            return
        self._note = in_words(error)
        show_error(self._note)
        self.changed.emit()

    def _end(self, note: str) -> None:
        self.worker.cancel()
        self._edit = self._steps = self.changes = self.tool = None
        self._note = note
        self.changes_layer.clear()
        self.shapes.close()
        self.changed.emit()

    # --- edits -------------------------------------------------------------------------------

    def arm(self, tool: Tool | None) -> None:
        """What the next shape that is drawn does; None: back to dragging corners."""
        if self._edit is None:
            return
        self.tool = None  # the change of mode must not disarm what is armed next
        self.shapes.draw(_MODES[tool] if tool else "direct")
        self.tool = tool
        self._note = ""
        self.changed.emit()

    def set_tolerance(self, tolerance_px: float) -> None:
        """Make the outlines simpler, or finer again up to the last edit by hand."""
        self.tolerance_px = tolerance_px
        sketch = self.sketch
        if sketch is not None and tolerance_px != sketch.tolerance_px:
            base = sketch.base
            self._run(lambda _sketch: with_tolerance(base, tolerance_px), slides=True)

    def merge(self) -> None:
        """Make all outlines one object."""
        self._run(merge_all)

    def separate(self) -> None:
        """Make each part an object of its own."""
        self._run(separate)

    def square(self) -> None:
        """Give the outlines right angles, as buildings have."""
        self._run(partial(square_all, min_edge_px=_SQUARE_EDGE_PX))

    def undo(self) -> None:
        """Take back the last step of this edit."""
        if self._steps is not None and self.can_undo:
            self._steps.undo()
            self._show_step()

    def redo(self) -> None:
        """Do the step of this edit again."""
        if self._steps is not None and self.can_redo:
            self._steps.redo()
            self._show_step()

    def show_changes(self, is_on: bool) -> None:
        """Show on the image which pixels applying would change, or not."""
        self.shows_changes = is_on
        self._show_changes()

    def _show_step(self) -> None:
        self.worker.cancel("edit")
        self._note = ""
        self._show()

    def _run(self, edit: Callable[[Sketch], Sketch], slides: bool = False) -> None:
        """Work the edit out in the worker; an edit by hand that comes first makes it void."""
        sketch = self.sketch
        if sketch is None or self._is_applying:
            return
        self.worker.submit(
            "edit", lambda _stop: edit(sketch), partial(self._on_run, slides), self._on_failed
        )

    def _on_run(self, slides: bool, sketch: Sketch) -> None:
        if self._steps is not None:
            self._steps.go_on(sketch, slides)
            self._note = ""
            self._show()

    def _on_failed(self, error: Exception) -> None:
        if self._steps is not None:
            self._warn(in_words(error))
            self._show()

    def _show(self) -> None:
        """Show the sketch as it is now."""
        sketch = self.sketch
        if sketch is None:
            return
        if sketch.tolerance_px:
            self.tolerance_px = sketch.tolerance_px
        self.shapes.show(sketch.rings, [ring_colour(key) for key in sketch.keys])
        self._look_at(sketch)

    def _look_at(self, sketch: Sketch) -> None:
        edit = self._edit
        if edit is not None:
            self.worker.submit(
                "changes",
                lambda _stop: find_changes(edit.before, sketch.outlines, edit.plane.shape),
                self._on_changes,
                lambda error: self._warn(in_words(error)),
            )
        self.changed.emit()

    def _on_changes(self, changes: PixelChanges) -> None:
        self.changes = changes
        self._show_changes()
        self.changed.emit()

    def _show_changes(self) -> None:
        if self._edit is None or self.changes is None:
            return
        if self.shows_changes:
            self.changes_layer.show(self._edit.project.image, self._edit.plane, self.changes)
        else:
            self.changes_layer.clear()

    # --- what happens in the layer -----------------------------------------------------------

    def _on_edited(self, rings: list[Ring], is_shown: bool) -> None:
        steps = self._steps
        if steps is None or self._is_applying:
            return
        self.worker.cancel("edit")
        try:
            new = with_rings(steps.now, rings)
        except ValueError as error:
            self._on_failed(error)
            return
        is_shown = is_shown and new.keys == steps.now.keys
        steps.go_on(new)
        self._note = ""
        if is_shown:
            self._look_at(new)
        else:
            self._show()

    def _on_moving(self, rings: list[Ring]) -> None:
        if self._steps is not None and not self._is_applying:
            with suppress(ValueError):  # said when the corner is let go
                self._look_at(with_rings(self._steps.now, rings))

    def _on_drawn(self, corners: npt.NDArray[np.float64], is_closed: bool) -> None:
        """A line parts the outlines; a region is cut out or added."""
        if self._steps is None:
            return
        edit, self.tool = drawn_edit(self.tool, corners, is_closed), None
        self.shapes.draw("direct")
        self._show()  # what was drawn is no outline
        self._run(edit)

    def _on_asked(self, what: str) -> None:
        {"undo": self.undo, "redo": self.redo, "apply": self.apply}[what]()

    def _on_mode(self, mode: str) -> None:
        if self.tool is not None and not mode.startswith("add_"):
            self.tool = None
            self.changed.emit()

    def _on_removed(self, event: Any) -> None:
        if self._edit is not None and event.value is self._edit.project.image:
            self._is_applying = False
            self._end("The image was deleted; the edit ended with it.")

    def _warn(self, text: str) -> None:
        self._note = text[:1].upper() + text[1:]
        (show_info if self._edit is not None else show_warning)(self._note)
        self.changed.emit()

    def close_down(self) -> None:
        """Let go of the viewer."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self.shapes.close_down()
        self.changes_layer.close_down()
        self.worker.close()
        self._edit = self._steps = None
