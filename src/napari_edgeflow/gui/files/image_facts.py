"""What is known of the image under a Labels layer: its file, pixel size and place on the map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_edgeflow.annotation.objects import ImageInfo, PixelReader, PlaneIndex
from napari_edgeflow.errors import ExportError
from napari_edgeflow.gui.planes import Plane, PlaneImage
from napari_edgeflow.raster.source import RasterSource


@dataclass(frozen=True, slots=True, eq=False)
class ImageFacts:
    """Facts of a layer, for exporters; nothing is opened before it is asked for.

    Attributes:
        name: The layer's, or its file's.
        path: The file, if known.
        scale: Size of a pixel along each axis, in world units.
        units: Of each axis.
        shape: Along each axis, without that of red, green and blue.
        image: Array or levels of the image; None when there are labels alone.
        is_rgb: The image's last axis holds red, green and blue.
        is_multiscale: ``image`` is a list of levels.
    """

    name: str
    path: Path | None
    scale: tuple[float, ...]
    units: tuple[str, ...]
    shape: tuple[int, ...]
    image: Any = None
    is_rgb: bool = False
    is_multiscale: bool = False

    @classmethod
    def of_layer(cls, layer: Any) -> ImageFacts:
        """The facts of an Image layer."""
        attributes = {
            "name": layer.name,
            "scale": layer.scale,
            "units": layer.units,
            "rgb": layer.rgb,
            "multiscale": layer.multiscale,
            "metadata": {"path": layer.source.path or layer.metadata.get("path")},
        }
        return cls.of_data((layer.data, attributes, "image"))

    @classmethod
    def of_data(cls, layer: tuple[Any, Mapping[str, Any], str]) -> ImageFacts:
        """The facts of a layer as napari hands it to a writer: data, attributes, type."""
        data, attributes, kind = layer
        is_multiscale = bool(attributes.get("multiscale", False))
        is_rgb = bool(attributes.get("rgb", False))
        shape = tuple(int(side) for side in (data[0] if is_multiscale else data).shape)
        shape = shape[:-1] if is_rgb else shape
        found = attributes.get("metadata", {}).get("path")
        path = Path(found) if found else None
        return cls(
            path.name if path else str(attributes.get("name", "image")),
            path,
            tuple(map(float, attributes.get("scale", (1.0,) * len(shape)))),
            tuple(map(str, attributes.get("units") or ("pixel",) * len(shape))),
            shape,
            data if kind == "image" else None,
            is_rgb,
            is_multiscale,
        )

    def info(self, plane: PlaneIndex, shape: tuple[int, int]) -> ImageInfo:
        """For an ``AnnotationSet`` of this plane; planes of a stack have their numbers' names."""
        rows, columns = [axis for axis, at in enumerate(plane or (None, None)) if at is None]
        at = "".join(f"_{number:04d}" for number in plane if number is not None)
        own = Path(self.name)
        return ImageInfo(
            f"{own.stem}{at}{own.suffix}" if at else self.name,
            shape,
            (self.scale[rows], self.scale[columns]),
            self.units[rows],
            self.of_file("georeference", shape),
            self.path,
        )

    def of_file(self, attribute: str, shape: tuple[int, int] | None = None) -> Any:
        """``georeference`` or ``place`` of the image's file; None when it has none.

        A file of another size than the plane is not the image on the screen.
        """
        from napari_edgeflow.raster.open import open_raster

        wanted = self.shape[-2:] if shape is None else shape
        is_tiff = self.path is not None and self.path.suffix.lower() in (".tif", ".tiff")
        if not is_tiff or len(self.shape) != 2 or not self.path or not self.path.is_file():
            return None
        with open_raster(self.path) as raster:
            return getattr(raster, attribute) if tuple(raster.shape) == tuple(wanted) else None

    def pixels(self, plane: PlaneIndex) -> PixelReader:
        """The plane as it is shown.

        Raises:
            ExportError: There are labels alone.
            RasterError: The image cannot be read.
        """
        from napari_edgeflow.export.pictures import StretchedPixels

        raster = self.raster(plane)
        if raster is None:
            raise ExportError(
                f"expected the image under {self.name}, got labels alone; select the image too, "
                "or choose another format"
            )
        return StretchedPixels.of(raster)

    def raster(self, plane: PlaneIndex) -> RasterSource | None:
        """The plane with its own values; None when there are labels alone.

        Raises:
            RasterError: The image cannot be read.
        """
        from napari_edgeflow.raster.open import open_raster

        if self.image is None:
            return None
        index = plane or (None, None)
        rows, columns = [axis for axis, at in enumerate(index) if at is None]
        whole = Plane(index, (self.shape[rows], self.shape[columns]))
        shown = PlaneImage(self.name, self.image, self.is_rgb, self.is_multiscale, whole)
        data, axes, at = shown.source()
        return open_raster(data, axes=axes, index=at)
