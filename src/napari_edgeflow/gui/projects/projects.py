"""Which project belongs to which image: opened, taken from a Labels layer, closed."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from napari.layers import Image, Labels

from napari_edgeflow._types import PostProcessing
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.objects import ImageInfo, PlaneIndex
from napari_edgeflow.gui.clicks.objects import Binding
from napari_edgeflow.gui.clicks.spare import Spare
from napari_edgeflow.gui.labels.commit import check_target
from napari_edgeflow.gui.labels.label_view import ArrayView, LabelView, plane_index
from napari_edgeflow.gui.labels.large_labels import StoreView
from napari_edgeflow.gui.labels.sizes import MAX_PLANE_PX, needs_store
from napari_edgeflow.gui.messages import Messages
from napari_edgeflow.gui.planes import layer_shape
from napari_edgeflow.gui.projects.autosave_settings import Autosave
from napari_edgeflow.gui.projects.files import ProjectFile
from napari_edgeflow.gui.projects.labels import name_project
from napari_edgeflow.gui.projects.project import Project
from napari_edgeflow.gui.worker import Worker

CLASS_NAME = "object"


class Projects:
    """The projects of the images in the viewer.

    Attributes:
        classes: Of images that have none yet.
        settings: Post-processing, likewise.
        resumes: ``"ask"`` offers what was saved of an image, ``"always"`` goes on with it.
        autosave: Where to.
        spare: Layers that go from one image of a series to the next.

    Args:
        viewer: The napari viewer.
        messages: Where to say what happened.
        on_new: Called with a binding and a project that is new to it.
    """

    def __init__(
        self, viewer: Any, messages: Messages, on_new: Callable[[Binding, Project], None]
    ) -> None:
        self.worker = Worker()
        self.classes = ClassList().add(CLASS_NAME)
        self.settings = PostProcessing()
        self.resumes = "ask"
        self.autosave = Autosave.remembered()
        self.spare = Spare(viewer)
        self._viewer = viewer
        self._messages = messages
        self._on_new = on_new
        self._projects: list[Project] = []

    @property
    def all(self) -> tuple[Project, ...]:
        """Every project that is open, the one that was used last at the end."""
        return tuple(self._projects)

    def of(self, binding: Binding) -> Project:
        """The project of the image, begun now if there is none."""
        if binding.project is None:
            known = [p for p in self._projects if p.image is binding.image]
            if known:
                self._give(binding, known[-1])
            else:
                self._begin(binding)
        if binding.project is None:
            raise RuntimeError("expected the project that was just begun, got none")
        return binding.project

    def begin_anew(self, binding: Binding) -> None:
        """A new project without objects; the one before stays in its layer."""
        binding.project = None
        self._begin(binding, "never")

    def adopt(self, binding: Binding, layer: Labels) -> None:
        """Go on in this layer: its own project, or a new one with its labels as objects.

        Raises:
            ValueError: Objects of this image cannot be written to it.
        """
        known = [project for project in self._projects if project.layer is layer]
        if not any(project.image is binding.image for project in known):
            check_target(layer, layer_shape(binding.image))
        if known:
            self._give(binding, known[0])
            return
        self._add(
            binding,
            ArrayView(self._viewer, binding.image, layer),
            replace(self._file(binding.image), labels=layer.data),
        )

    def ready(self, binding: Binding) -> Project:
        """The project, with a layer for an object.

        Raises:
            ValueError: There is no memory, or the labels are not open yet.
        """
        project = self.of(binding)
        project.view.ensure()
        return project

    def prepare(self, binding: Binding) -> None:
        """Make a small layer before the first object needs it, as napari takes its time."""
        project = self.of(binding)
        if isinstance(project.view, StoreView):
            project.view.prepare()
        elif project.layer is None and math.prod(layer_shape(binding.image)) <= MAX_PLANE_PX:
            project.view.ensure()

    def forget_layer(self, layer: Any) -> str:
        """The layer was deleted: its name if it showed objects, which are kept."""
        for project in self._projects:
            if project.layer is not None and project.layer is layer:
                project.view.layer = None
                return str(layer.name) if project.state.objects else ""
        return ""

    def leave(self, binding: Binding) -> None:
        """The image is no longer bound: its project waits, or closes if nothing was done in it."""
        project, binding.project = binding.project, None
        if project is None:
            return
        project.absorb()
        view = project.view
        if self.spare.is_kept and _is_spare(project) and isinstance(view, ArrayView):
            view.give_up(self.spare)
        if project.is_untouched:
            self.close(project)

    def forget_image(self, image: Any) -> None:
        """The image was deleted: close its projects."""
        for project in list(self._projects):
            if project.image is image:
                self.close(project)

    def dismiss(self, image: Any) -> None:
        """Close the projects of an image and remove the layers that were made for them.

        The layer of a project that is kept in memory alone stays, as it is all there is of it.
        """
        for project in [one for one in self._projects if one.image is image]:
            layer, is_saved = project.layer, project.is_on_disk
            is_ours = _is_spare(project)
            self.close(project)
            if layer is None or layer not in self._viewer.layers:
                continue
            if is_ours:
                self._viewer.layers.remove(layer)
            elif not is_saved and project.state.objects:
                self._messages.warn_later(
                    f"The objects of {image.name} are not saved on disk; they stay in the layer "
                    f"{layer.name}. Save it before closing."
                )

    def close(self, project: Project) -> None:
        """Close one project; what was written to its layer without a word is saved."""
        project.absorb()
        if project in self._projects:
            self._projects.remove(project)
        project.close()

    def close_all(self) -> None:
        """Close all projects; steps that are on their way are still saved."""
        for project in list(self._projects):
            self.close(project)
        self.worker.finish()

    def _begin(self, binding: Binding, resumes: str = "") -> None:
        file = self._file(binding.image)
        self._add(
            binding, self._view(binding.image), replace(file, resumes=resumes or self.resumes)
        )

    def _file(self, image: Any) -> ProjectFile:
        """What it takes to open the image's project."""
        info = image_info(image)
        same = [one for one in self._viewer.layers if isinstance(one, Image)]
        n_same = sum(_path_of(one) == info.path for one in same)
        return ProjectFile(
            info,
            layer_shape(image),
            image.data[0] if image.multiscale else image.data,
            self.classes,
            self.settings,
            part=str(image.name) if info.path is not None and n_same > 1 else "",
            folder=self.autosave.folder,
            is_saved=self.autosave.is_on,
        )

    def _view(self, image: Any) -> LabelView:
        if needs_store(layer_shape(image)):
            return StoreView(self._viewer, image, self._messages)
        return ArrayView(self._viewer, image, spare=self.spare)

    def _add(self, binding: Binding, view: LabelView, file: ProjectFile) -> None:
        project = Project(
            binding.image,
            view,
            file,
            worker=self.worker,
            messages=self._messages,
            shown_plane=lambda: _shown(binding),
        )
        project.changed.connect(partial(name_project, weakref.ref(project)))
        self._give(binding, project)

    def _give(self, binding: Binding, project: Project) -> None:
        if project in self._projects:  # the last one is the one to come back to
            self._projects.remove(project)
        self._projects.append(project)
        binding.project = project
        self._on_new(binding, project)


def _is_spare(project: Project) -> bool:
    """True when the layer was made for the project, and all that it shows is on disk."""
    return project.view.is_own and (project.is_on_disk or not project.state.objects)


def image_info(image: Any) -> ImageInfo:
    """What an Image layer says of itself; rows and columns are its last two axes."""
    shape = layer_shape(image)
    size = (float(image.scale[-2]), float(image.scale[-1]))
    unit = str(image.units[-1]) if hasattr(image, "units") else ""
    path = _path_of(image)
    name = str(image.name) if path is None else path.name
    return ImageInfo(name, (shape[-2], shape[-1]), size, unit, path=path)


def _path_of(image: Any) -> Path | None:
    """The file of a layer; None when it has none on a disk of ours."""
    source = image.source.path or image.metadata.get("path")
    return None if not source or "://" in str(source) else Path(source)


def _shown(binding: Binding) -> PlaneIndex:
    plane = binding.shown_plane
    return () if plane is None else plane_index(plane)
