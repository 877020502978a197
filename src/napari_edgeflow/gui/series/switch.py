"""From one image of a series to the next: layers in and out, classes carried over."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QTimer

from napari_edgeflow.annotation.changes import Change, State
from napari_edgeflow.annotation.classes import ClassList, ObjectClass
from napari_edgeflow.annotation.commands import edit_classes
from napari_edgeflow.annotation.store import LabelStore
from napari_edgeflow.gui.planes import layer_shape
from napari_edgeflow.gui.series.load import LoadedImage

PAUSE_MS = 10
"""Between the turns of a change: timers of 0 ms would all run before napari draws or a key acts."""
RETRY_MS = 15
"""How long to wait for steps that are on their way to the disk before looking again."""


class ImageSwitch:
    """Puts an image in the place of the one before; touches nothing that is the user's own.

    Args:
        viewer: The napari viewer.
        controller: Of the window.
    """

    def __init__(self, viewer: Any, controller: Any) -> None:
        self._viewer, self._controller = viewer, controller
        self._ours: list[Image] = []
        self._hidden: list[Any] = []
        self._turns: Iterator[int] | None = None
        self._is_hurried = False
        self._is_closed = False

    @property
    def is_ready(self) -> bool:
        """True when no object is being finished and no step is on its way to the disk."""
        active, project = self._controller.active, self._controller.project
        is_finishing = active is not None and active.is_finishing
        return not is_finishing and (project is None or not project.is_busy)

    @property
    def classes(self) -> ClassList | None:
        """Of the image that is open; None when there is none yet."""
        project = self._controller.project
        return project.state.classes if project is not None and project.is_open else None

    @property
    def image(self) -> Image | None:
        """The layer of the series' image; None when it was deleted."""
        found = [layer for layer in self._ours if layer in self._viewer.layers]
        return found[0] if found else None

    @property
    def is_switching(self) -> bool:
        """True from the first turn of a change to the last."""
        return self._turns is not None

    def to_file(
        self,
        loaded: LoadedImage,
        classes: ClassList,
        on_shown: Callable[[ClassList], None] = lambda _classes: None,
    ) -> None:
        """Show an image that was read, in place of the series' last one.

        napari needs 0.1 s to add an image and 0.03 s to remove one, so it is done in several turns
        of the event loop, the first of them now; what the user does comes in between.

        Args:
            loaded: The image.
            classes: For its project, unless others are chosen meanwhile.
            on_shown: Called at the end with the classes that were carried over.
        """
        self.finish()
        self._turns = self._change(loaded, classes, on_shown)
        self._take_turn(self._turns)

    def finish(self) -> None:
        """Take the turns of a change that are left at once."""
        turns, self._is_hurried = self._turns, True
        while turns is not None and self._turns is turns:
            self._take_turn(turns)
        self._is_hurried = False

    def _take_turn(self, turns: Iterator[int]) -> None:
        """Go on with a change, and have it go on later; nothing when it is over."""
        if self._turns is not turns:
            return
        pause_ms = None
        try:
            with _quick_removals():
                pause_ms = next(turns, None)
        finally:
            if pause_ms is None:
                self._turns = None
        if pause_ms is not None and not self._is_hurried:
            QTimer.singleShot(pause_ms, partial(self._take_turn, turns))

    def _change(
        self, loaded: LoadedImage, classes: ClassList, on_shown: Callable[[ClassList], None]
    ) -> Iterator[int]:
        """Milliseconds to wait between one turn and the next."""
        old = [layer for layer in self._ours if layer in self._viewer.layers]
        had_shape = layer_shape(old[0]) if old else None
        made = [Image(data, **options) for data, options in loaded.layers]
        looks = [self._look(layer) for layer in old]
        for layer, look in zip(made, looks, strict=False):
            _dress(layer, look)
        self._ours = made + old
        for number, layer in enumerate(made):
            self._insert(layer, made[:number], old, classes)
            yield PAUSE_MS
        while not self._is_hurried and self._is_worked_on(old):
            yield RETRY_MS
        classes = (self.classes if self._controller.image in old else None) or classes
        self._change_over(made, old, classes)
        yield PAUSE_MS
        for layer in old:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
                yield PAUSE_MS
        self._ours = made
        for layer, (_, options) in zip(made, loaded.layers, strict=True):
            layer.name = options["name"]  # the one before may have had it until now
        if layer_shape(made[0]) != had_shape:
            self._viewer.reset_view()
        on_shown(classes)

    def _insert(
        self, layer: Image, before: list[Image], old: list[Image], classes: ClassList
    ) -> None:
        """Add a layer above those made before it and below the old ones, which hide it as yet."""
        layers = self._viewer.layers
        below = [layers.index(one) + 1 for one in before if one in layers]
        above = [layers.index(one) for one in old if one in layers]
        place = max(below) if below else min(above, default=len(layers))
        # the first image is bound as it is inserted, so its project is opened by then
        with self._projects_of_series(classes):
            layers.insert(place, layer)

    def _is_worked_on(self, old: list[Image]) -> bool:
        """True when somebody clicked on the old image after the new one was added."""
        return self._controller.image in old and not self.is_ready

    def _change_over(self, made: list[Image], old: list[Image], classes: ClassList) -> None:
        """Bind the new image, give it the helper layers and hide the old one."""
        spare = self._controller.projects.spare
        with self._projects_of_series(classes), spare.kept():
            if made[0] in self._viewer.layers:
                self._bind(made[0], classes)
                if spare.is_full:
                    self._controller.show_layers()
            for layer in old:
                self._controller.dismiss(layer)
                layer.visible = False

    def to_layer(self, layer: Any, others: Iterable[Any], classes: ClassList) -> bool:
        """Show a layer that is in the viewer and hide the others of the series; False: it is gone.

        Args:
            layer: The Image layer.
            others: Entries of the series.
            classes: For its project, if it has none of its own.
        """
        if layer not in self._viewer.layers:
            return False
        for entry in others:
            if entry.layer in self._viewer.layers and entry.layer is not layer:
                self._show(entry.layer, False)
        old = self._controller.project
        if old is not None and old.image is not layer and old.layer is not None:
            self._show(old.layer, False)
        self._show(layer, True)
        self._bind(layer, classes)
        project = self._controller.project
        if project is not None and project.layer is not None:
            self._show(project.layer, True)
        return True

    def _show(self, layer: Any, is_visible: bool) -> None:
        if layer.visible == is_visible:
            return
        layer.visible = is_visible
        if not is_visible:
            self._hidden.append(layer)

    def _look(self, layer: Image) -> dict[str, Any]:
        """How the user made a layer of the series look."""
        return {
            "dtype": np.dtype(layer.dtype),
            "is_rgb": layer.rgb,
            "colormap": layer.colormap,
            "opacity": layer.opacity,
            "visible": layer.visible,
            "blending": layer.blending,
        }

    @contextmanager
    def _projects_of_series(self, classes: ClassList) -> Iterator[None]:
        """Projects that are opened meanwhile are resumed unasked; new ones have these classes."""
        projects = self._controller.projects
        asked, projects.resumes = projects.resumes, "always"
        if classes:
            projects.classes = classes
        try:
            yield
        finally:
            projects.resumes = asked

    def _bind(self, image: Image, classes: ClassList) -> None:
        with self._projects_of_series(classes):
            self._controller.bind(image)
        project = self._controller.project
        if project is None:
            return
        if project.is_open:
            _carry(project, classes)
        else:
            project.changed.connect(partial(self._on_open, project, classes))

    def _on_open(self, project: Any, classes: ClassList, change: Change | None) -> None:
        """The project that was being opened is there; each later step passes by."""
        if change is None and not self._is_closed and self._controller.project is project:
            _carry(project, classes)

    def close(self) -> None:
        """Leave the open image and its project as they are; show what was hidden."""
        self._is_closed = True
        self._turns = None  # the image on its way stays below the one before
        for layer in self._hidden:
            layer.visible = True
        self._hidden = []


@contextmanager
def _quick_removals() -> Iterator[None]:
    """Layers can be removed without napari looking through all of memory for each.

    napari collects garbage with every layer that goes, a fifth of a second or more each with a
    network in memory. What exists now is left to Python's next collection instead.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _dress(layer: Image, look: dict[str, Any]) -> None:
    """Show the next image as the last one was shown; contrast limits are its own."""
    if layer.rgb == look["is_rgb"]:
        layer.opacity, layer.visible = look["opacity"], look["visible"]
        layer.blending = look["blending"]
        if not layer.rgb:
            layer.colormap = look["colormap"]


def _carry(project: Any, classes: ClassList) -> None:
    """Add the classes of the series that an image lacks; a new one began with them."""
    if joined(project.state.classes, classes) != project.state.classes:
        project.do(partial(_add_classes, classes))


def _add_classes(classes: ClassList, state: State, _store: LabelStore) -> Change:
    return edit_classes(state, joined(state.classes, classes))


def joined(own: ClassList, others: ClassList) -> ClassList:
    """An image's classes and those of the series that it lacks; its own ids and digits stay."""
    for theirs in others:
        if own.named(theirs.name) is not None:
            continue
        digits = {one.shortcut for one in own}
        digit = None if theirs.shortcut in digits else theirs.shortcut
        if theirs.id in own:
            new_id = max(one.id for one in (*own, *others)) + 1
            own = ClassList((*own, ObjectClass(new_id, theirs.name, theirs.color, digit)))
        else:
            own = ClassList((*own, ObjectClass(theirs.id, theirs.name, theirs.color, digit)))
    return own
