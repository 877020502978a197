"""The images that are or were clicked on, and what becomes of them when layers go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari_edgeflow.gui.clicks.log import KINDS
from napari_edgeflow.gui.clicks.objects import Binding
from napari_edgeflow.gui.messages import Messages
from napari_edgeflow.gui.projects.projects import Projects
from napari_edgeflow.gui.worker import Worker


class Bindings:
    """Keeps the binding of every image that has clicks or objects.

    Attributes:
        bound: The one that is clicked on now; None when there is none.

    Args:
        viewer: The napari viewer.
        worker: Of the network.
        projects: Of the images.
        messages: Where to say what happened.
        on_new: Called with a new binding.
    """

    def __init__(
        self,
        viewer: Any,
        worker: Worker,
        projects: Projects,
        messages: Messages,
        on_new: Callable[[Binding], None],
    ) -> None:
        self.bound: Binding | None = None
        self._viewer = viewer
        self._worker = worker
        self._projects = projects
        self._messages = messages
        self._on_new = on_new
        self._all: list[Binding] = []

    def __iter__(self) -> Any:
        return iter(tuple(self._all))

    def bind(self, image: Any) -> None:
        """Click on this image from now on; clicks on the one before are kept with it."""
        old, self.bound = self.bound, None
        if old is not None and (self._projects.spare.is_kept or not old.objects):
            self._projects.leave(old)
            self._unbind(old)
        if image is None:
            return
        known = [binding for binding in self._all if binding.image is image]
        self.bound = known[0] if known else self._new(image)
        self.bound.last_plane = None

    def forget(self, layer: Any) -> None:
        """A layer was deleted."""
        name = self._projects.forget_layer(layer)
        if name:
            self._messages.warn_later(
                f"The layer {name} was deleted; its objects are kept and come back with the next "
                "one. Delete them in the list of objects to be rid of them."
            )
        for binding in list(self._all):
            if layer is binding.image:
                self._forget_image(binding)
            elif binding.clicks.forget(layer):
                if len(layer.data):
                    self._messages.warn_later(
                        f"The layer {layer.name} was deleted; its clicks are kept and come back "
                        "with the next click. Reset drops them."
                    )
            elif layer is binding.preview.layer:
                binding.preview.layer = None

    def dismiss(self, image: Any) -> None:
        """Close an image, with its projects and all layers that were made for it."""
        for binding in [one for one in self._all if one.image is image]:
            helpers = [binding.clicks.layer(kind) for kind in KINDS] + [binding.preview.layer]
            self._unbind(binding)
            if self.bound is binding:
                self.bound = None
            for layer in helpers:
                if layer is not None and layer in self._viewer.layers:
                    self._viewer.layers.remove(layer)
        self._projects.dismiss(image)

    def close(self) -> None:
        """Let go of all of them."""
        for binding in list(self._all):
            self._unbind(binding)
        self.bound = None

    def _new(self, image: Any) -> Binding:
        binding = Binding(self._viewer, image, self._projects.spare)
        self._all.append(binding)
        self._on_new(binding)
        return binding

    def _unbind(self, binding: Binding) -> None:
        if binding not in self._all:  # deleting its layers already let go of it
            return
        for active in binding.objects.values():
            self._worker.cancel(active.id)
        self._all.remove(binding)
        binding.close()

    def _forget_image(self, binding: Binding) -> None:
        has_clicks = bool(binding.log.planes)
        self._projects.forget_image(binding.image)
        self._unbind(binding)
        if self.bound is binding:
            self.bound = None
        rest = "; its clicks stay in their Points layers" if has_clicks else ""
        self._messages.warn_later(
            f"The image {binding.image.name} was deleted{rest}. Choose another image."
        )
