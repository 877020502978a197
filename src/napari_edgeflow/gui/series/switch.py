"""From one image of a series to the next: layers in and out, classes carried over."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image

from napari_edgeflow.annotation.changes import Change, State
from napari_edgeflow.annotation.classes import ClassList, ObjectClass
from napari_edgeflow.annotation.commands import edit_classes
from napari_edgeflow.annotation.store import LabelStore
from napari_edgeflow.gui.planes import layer_shape
from napari_edgeflow.gui.series.load import LoadedImage


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

    def to_file(self, loaded: LoadedImage, classes: ClassList) -> Image:
        """Show an image that was read, in place of the series' last one."""
        old = [layer for layer in self._ours if layer in self._viewer.layers]
        had_shape = layer_shape(old[0]) if old else None
        is_shown = [self._look(layer) for layer in old]
        place = self._viewer.layers.index(old[0]) if old else len(self._viewer.layers)
        made = [Image(data, **options) for data, options in loaded.layers]
        # the first image is bound as it is inserted, so its project is opened by then
        spare = self._controller.projects.spare
        with _quick_removals(), self._projects_of_series(classes), spare.kept():
            for number, layer in enumerate(made):
                if number < len(is_shown):
                    _dress(layer, is_shown[number])
                self._viewer.layers.insert(place + number, layer)
            self._bind(made[0], classes)
            if spare.is_full:
                self._controller.show_layers()
            for layer in old:
                self._controller.dismiss(layer)
                if layer in self._viewer.layers:
                    self._viewer.layers.remove(layer)
        self._ours = made
        for layer, (_, options) in zip(made, loaded.layers, strict=True):
            layer.name = options["name"]  # the one before may have had it until now
        if layer_shape(made[0]) != had_shape:
            self._viewer.reset_view()
        return made[0]

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
