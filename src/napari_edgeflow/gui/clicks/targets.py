"""Which Labels layer objects go to: that of the project, or one chosen before there is an image."""

from __future__ import annotations

from napari.layers import Image, Labels

from napari_edgeflow.gui.clicks.objects import Binding
from napari_edgeflow.gui.labels.commit import check_target
from napari_edgeflow.gui.planes import layer_shape
from napari_edgeflow.gui.projects.projects import Projects


class Targets:
    """Gives images their Labels layer.

    Args:
        projects: Of the images.
    """

    def __init__(self, projects: Projects) -> None:
        self._projects = projects
        self._chosen: Labels | None = None

    def of(self, binding: Binding | None) -> Labels | None:
        """The layer that objects go to; None: a new one with the next object."""
        project = None if binding is None else binding.project
        return project.layer if project else self._chosen

    def choose(self, binding: Binding | None, layer: Labels | None) -> None:
        """Send objects to another layer.

        Raises:
            ValueError: It does not fit the image.
        """
        if binding is None:
            self._chosen = layer
        elif layer is None:
            self._projects.begin_anew(binding)
        else:
            self._projects.adopt(binding, layer)

    def shared(self, image: Image | None) -> Labels | None:
        """A layer that was chosen before there was an image, when it fits the image."""
        if image is None or self._chosen is None:
            return None
        try:
            check_target(self._chosen, layer_shape(image))
        except ValueError:
            return None
        return self._chosen

    def settle(self, binding: Binding | None, shared: Labels | None) -> None:
        """Give a new binding its project, with the shared layer if there is one."""
        if binding is not None and binding.project is None:
            if shared is None:
                self._projects.of(binding)
            else:
                self._projects.adopt(binding, shared)
        self._chosen = None

    def forget(self, layer: object) -> None:
        """A layer was deleted."""
        if layer is self._chosen:
            self._chosen = None
