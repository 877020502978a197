"""The annotations of the window's project as exporters take them, from what the Qt thread knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import ReferenceType

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.objects import AnnotationSet, Labels, PlaneIndex
from napari_edgeflow.gui.files.image_facts import ImageFacts

PROJECT_KEY = "napari_edgeflow_project"
"""In the metadata of a Labels layer: a weak reference to the project whose objects it shows."""


@dataclass(frozen=True, eq=False)
class ProjectLabels:
    """One plane of a project; a ``LabelReader``.

    Attributes:
        project: Whose.
        plane: Which.
        shape: (rows, columns).
    """

    project: Any
    plane: PlaneIndex
    shape: tuple[int, int]

    def read(self, window: Window) -> Labels:
        """``(h, w) uint32`` ids of the window."""
        labels: Labels = self.project.read(window, self.plane)
        return labels


def name_project(project: ReferenceType[Any], _change: object = None) -> None:
    """Note in the project's Labels layer whose it is, for whoever saves the layer."""
    found = project()
    if found is not None and found.layer is not None:
        found.layer.metadata[PROJECT_KEY] = project


def project_of(metadata: Mapping[str, Any]) -> Any:
    """The project that a layer of this metadata shows; None when it shows none, or is closed."""
    reference = metadata.get(PROJECT_KEY)
    return reference() if isinstance(reference, ReferenceType) else None


def project_set(
    project: Any, plane: PlaneIndex, facts: ImageFacts, *, with_pixels: bool = False
) -> AnnotationSet:
    """The objects of one plane, as committed.

    Args:
        project: The window's.
        plane: Which plane; () for a plain image.
        facts: Of its image.
        with_pixels: Open the image too, for cut-outs.

    Raises:
        RasterError: The image cannot be read.
    """
    axes = [axis for axis, at in enumerate(plane or (None, None)) if at is None]
    rows, columns = (facts.shape[axis] for axis in axes)
    labels = ProjectLabels(project, plane, (rows, columns))
    state = project.state
    objects = sorted(state.objects.values(), key=lambda record: record.id)
    return AnnotationSet(
        facts.info(plane, labels.shape),
        state.classes,
        tuple(record for record in objects if record.plane == plane),
        labels,
        facts.pixels(plane) if with_pixels else None,
    )
