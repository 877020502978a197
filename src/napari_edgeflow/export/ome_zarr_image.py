"""Axes and levels of OME-Zarr labels: as the image has them, or plain rows and columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.objects import ImageInfo, PlaneIndex
from napari_edgeflow.errors import ExportError

_SMALLEST_SIDE = 512
_UNITS = {
    "um": "micrometer", "µm": "micrometer", "μm": "micrometer", "micron": "micrometer",
    "nm": "nanometer", "mm": "millimeter", "cm": "centimeter", "m": "meter", "metre": "meter",
    "micrometer": "micrometer", "nanometer": "nanometer", "millimeter": "millimeter",
    "meter": "meter",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Axes:
    """The axes of a label image and where its plane lies in it.

    Attributes:
        entries: As in the metadata, without channels.
        sizes: Length of each; of y and x those of level 0.
        position: Of the plane along each; None for y and x.
        shapes: (rows, columns) of each level.
        scales: Coordinate transformations of each level, as in the metadata.
        whole: Those of all levels together, likewise.
    """

    entries: tuple[Mapping[str, Any], ...]
    sizes: tuple[int, ...]
    position: tuple[int | None, ...]
    shapes: tuple[tuple[int, int], ...]
    scales: tuple[Any, ...]
    whole: tuple[Any, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each axis."""
        return tuple(str(entry["name"]) for entry in self.entries)

    @property
    def yx(self) -> tuple[int, int]:
        """Which axes are rows and columns."""
        return self.names.index("y"), self.names.index("x")

    def full_shape(self, shape: tuple[int, int], beside: int | None = None) -> tuple[int, ...]:
        """The shape with all axes; those beside y and x have their own sizes, or ``beside``."""
        full = list(self.sizes) if beside is None else [beside] * len(self.sizes)
        full[self.yx[0]], full[self.yx[1]] = shape
        return tuple(full)

    def key(self, window: Window) -> tuple[int | slice, ...]:
        """Index of the window of the plane."""
        rows, columns = self.yx
        parts: list[int | slice] = [0 if at is None else at for at in self.position]
        parts[rows], parts[columns] = window.slices
        return tuple(parts)

    def multiscale(self) -> dict[str, Any]:
        """The entry of ``multiscales``."""
        datasets = [
            {"path": str(number), "coordinateTransformations": list(scale)}
            for number, scale in enumerate(self.scales)
        ]
        axes = [dict(entry) for entry in self.entries]
        found = {"name": "labels", "axes": axes, "datasets": datasets, "type": "nearest"}
        return found | ({"coordinateTransformations": list(self.whole)} if self.whole else {})


def plain_axes(image: ImageInfo) -> Axes:
    """Rows and columns with the image's pixel size, as far as it is known.

    Levels are halved, rounded up, until one is a chunk; level k keeps every 2ᵏ-th pixel.
    """
    unit = _UNITS.get(image.unit.lower())
    extra = {"unit": unit} if unit is not None else {}
    entries = tuple({"name": name, "type": "space"} | extra for name in "yx")
    y, x = (1.0, 1.0) if image.pixel_size_yx is None else image.pixel_size_yx
    shapes = [image.shape]
    while max(shapes[-1]) > _SMALLEST_SIDE:
        rows, columns = shapes[-1]
        shapes.append((-(-rows // 2), -(-columns // 2)))
    factors = [2.0**number for number in range(len(shapes))]
    scales = tuple(({"type": "scale", "scale": [y * f, x * f]},) for f in factors)
    return Axes(entries, image.shape, (None, None), tuple(shapes), scales)


def image_axes(folder: Path, image: ImageInfo, plane: PlaneIndex) -> Axes:
    """Axes for labels in the OME-Zarr 0.5 image in the folder, which has as many levels.

    Raises:
        ExportError: It is none, or of another size or version.
    """
    import zarr

    try:
        group: Any = zarr.open_group(str(folder), mode="r")
        ome: Any = group.attrs["ome"]
        multiscale: Any = ome["multiscales"][0]
        arrays: list[Any] = [group[entry["path"]] for entry in multiscale["datasets"]]
        version = str(ome["version"])
    except Exception as error:  # every store and damaged document raises its own kinds
        raise ExportError(
            f"expected a new folder or an OME-Zarr 0.5 image, but {folder} is neither ({error}); "
            "choose a new name beside it"
        ) from error
    if version != "0.5":
        raise ExportError(
            f"expected an OME-Zarr image of version 0.5, got {version} in {folder}; choose a new "
            "name beside it"
        )
    axes = _axes(multiscale, arrays, plane)
    if axes.shapes[0] != image.shape:
        raise ExportError(
            f"expected the image of the labels, {image.shape[0]} × {image.shape[1]} px, got one of "
            f"{axes.shapes[0][0]} × {axes.shapes[0][1]} px in {folder}; choose a new name beside it"
        )
    return axes


def _yx_of(multiscale: Mapping[str, Any]) -> tuple[int, int]:
    names = [axis["name"] for axis in multiscale["axes"]]
    return names.index("y"), names.index("x")


def _axes(multiscale: Mapping[str, Any], arrays: Sequence[Any], plane: PlaneIndex) -> Axes:
    """The image's axes without its channels."""
    kept = [n for n, axis in enumerate(multiscale["axes"]) if axis.get("type") != "channel"]
    stack = iter([at for at in plane if at is not None])
    rows, columns = _yx_of(multiscale)
    whole = multiscale.get("coordinateTransformations") or ()
    return Axes(
        tuple(multiscale["axes"][n] for n in kept),
        tuple(int(arrays[0].shape[n]) for n in kept),
        tuple(None if n in (rows, columns) else next(stack, 0) for n in kept),
        tuple((int(array.shape[rows]), int(array.shape[columns])) for array in arrays),
        tuple(
            tuple(_without(step, kept) for step in entry["coordinateTransformations"])
            for entry in multiscale["datasets"]
        ),
        tuple(_without(step, kept) for step in whole),
    )


def _without(step: Mapping[str, Any], kept: list[int]) -> dict[str, Any]:
    kind = str(step["type"])
    return {"type": kind, kind: [step[kind][n] for n in kept]}
