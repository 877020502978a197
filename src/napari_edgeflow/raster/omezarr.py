"""OME-Zarr 0.4 and 0.5 (and what older files have of it): multiscales as levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_edgeflow.errors import RasterError
from napari_edgeflow.raster.axes import resolve_layout
from napari_edgeflow.raster.details import BandInfo, Details, PixelSize
from napari_edgeflow.raster.inmemory import ArrayLike, ArrayRaster

_LETTER_OF_TYPE = {"channel": "C", "time": "T"}
_OLD_AXES = "TCZYX"
_SPARE_LETTERS = "PVUWQ"
_UNITS = {"micrometer": "µm", "nanometer": "nm", "millimeter": "mm", "meter": "m"}


def open_zarr(
    path: Path, *, axes: str | None = None, index: Sequence[int] | None = None
) -> ArrayRaster:
    """Raster of a zarr array or an OME-Zarr image on disk, format 2 or 3; chunks are read lazily.

    Args:
        path: The folder.
        axes: A letter for each axis; None: as the metadata say.
        index: The plane of a stack.

    Raises:
        RasterError: It is no zarr, holds no image, or its metadata contradict its arrays.
    """
    import zarr

    try:
        node = zarr.open(str(path), mode="r")
    except Exception as error:  # every store and version raises its own kinds
        raise RasterError(
            f"expected an image file or an OME-Zarr folder, but {path} cannot be opened (Is a "
            f"directory, and not zarr: {error}); check the path"
        ) from error
    return open_node(node, name=path.name, axes=axes, index=index, path=path)


def open_node(
    node: Any,
    *,
    name: str,
    axes: str | None = None,
    index: Sequence[int] | None = None,
    path: Path | None = None,
) -> ArrayRaster:
    """Raster of an open ``zarr.Array`` or ``zarr.Group``; see ``open_zarr``."""
    if hasattr(node, "dtype"):
        return ArrayRaster([node], name=name, axes=axes, index=index, details=Details(path=path))
    image, attributes = _image_group(node, name)
    multiscale = attributes["multiscales"][0]
    arrays = [_array(image, entry, name) for entry in _datasets(multiscale, name)]
    letters = _letters(multiscale, arrays[0], name)
    levels = _usable_levels(arrays, letters, name)
    scales = [_scale(multiscale["datasets"][number], letters) for number in levels]
    chosen = letters if axes is None else axes
    return ArrayRaster(
        [arrays[number] for number in levels],
        name=name,
        axes=chosen,
        index=index,
        details=_details(multiscale, attributes, letters, arrays[0], scales, path),
    )


def _attributes(group: Any) -> dict[str, Any]:
    """The OME metadata: under ``ome`` since 0.5, at the root before."""
    attributes = dict(group.attrs)
    own = attributes.get("ome")
    return dict(own) if isinstance(own, Mapping) else attributes


def _image_group(group: Any, name: str) -> tuple[Any, dict[str, Any]]:
    """The group with the multiscales: this one, or the first image of bioformats2raw's layout."""
    attributes = _attributes(group)
    if not attributes.get("multiscales") and "bioformats2raw.layout" in attributes and "0" in group:
        group = group["0"]
        attributes = _attributes(group)
    scales = attributes.get("multiscales")
    if isinstance(scales, Sequence) and scales and isinstance(scales[0], Mapping):
        return group, attributes
    inside = ", ".join(sorted(str(key) for key in group)[:8]) or "nothing"
    what = "a plate: name one well's field in it" if "plate" in attributes else f"it holds {inside}"
    raise RasterError(
        f"{name}: expected an OME-Zarr image with multiscales metadata, got a group without "
        f"({what}); give the path of the image or the array inside"
    )


def _datasets(multiscale: Mapping[str, Any], name: str) -> list[str]:
    try:
        paths = [str(entry["path"]) for entry in multiscale["datasets"]]
    except (KeyError, TypeError):
        paths = []
    if not paths:
        raise RasterError(
            f"{name}: expected multiscales metadata that list the levels under 'datasets', got "
            "none; write the image anew"
        )
    return paths


def _array(group: Any, path: str, name: str) -> ArrayLike:
    try:
        array = group[path]
        if not hasattr(array, "dtype"):
            raise TypeError("it is a group")
    except Exception as error:  # missing, or metadata that no reader understands
        raise RasterError(
            f"{name}: expected the level {path!r} that its metadata name, but it is missing or "
            f"damaged ({error}); copy the folder again"
        ) from error
    level: ArrayLike = array
    return level


def _letters(multiscale: Mapping[str, Any], array: ArrayLike, name: str) -> str:
    """One letter for each axis, by the names of the metadata; five axes before 0.3 had any."""
    axes = multiscale.get("axes")
    n_axes = len(array.shape)
    if axes is None:
        axes = list(_OLD_AXES[-n_axes:].lower())
    spare = iter(_SPARE_LETTERS)
    letters = [_letter(axis, spare) for axis in axes]
    if len(letters) != n_axes or len(set(letters)) < n_axes or not {"Y", "X"} <= set(letters):
        named = [axis["name"] if isinstance(axis, Mapping) else axis for axis in axes]
        raise RasterError(
            f"{name}: expected {n_axes} different axes with y and x among them, got "
            f"{named} for shape {tuple(array.shape)}; give the level's array and axes='…' instead"
        )
    return "".join(letters)


def _letter(axis: Any, spare: Any) -> str:
    label = str(axis.get("name", "") if isinstance(axis, Mapping) else axis).upper()
    if len(label) == 1 and label in "TCZYX":
        return label
    kind = axis.get("type") if isinstance(axis, Mapping) else None
    return _LETTER_OF_TYPE.get(str(kind)) or next(spare, "?")


def _usable_levels(arrays: Sequence[ArrayLike], letters: str, name: str) -> list[int]:
    """Numbers of the levels that shrink in rows and columns alone.

    Where z shrinks too, a plane of level 0 has no counterpart; such levels are left out.
    """
    usable = []
    first = _beside_yx(arrays[0], letters)
    for number, array in enumerate(arrays):
        if len(array.shape) != len(letters):
            raise RasterError(
                f"{name}: expected {len(letters)} axes in every level, but level {number} has "
                f"shape {tuple(array.shape)}; write the image anew"
            )
        if _beside_yx(array, letters) == first:
            usable.append(number)
    return usable


def _beside_yx(array: ArrayLike, letters: str) -> list[int]:
    sizes = zip(letters, array.shape, strict=True)
    return [int(size) for letter, size in sizes if letter not in "YX"]


def _details(
    multiscale: Mapping[str, Any],
    attributes: Mapping[str, Any],
    letters: str,
    array: ArrayLike,
    scales: Sequence[tuple[float, float] | None],
    path: Path | None,
) -> Details:
    whole = _scale(multiscale, letters) or (1.0, 1.0)
    known = [scale for scale in scales if scale is not None]
    size = None
    if len(known) == len(scales):
        y, x = known[0][0] * whole[0], known[0][1] * whole[1]
        size = PixelSize(y, x, _unit(multiscale.get("axes"), letters))
        known = [(scale[0] / known[0][0], scale[1] / known[0][1]) for scale in known]
    else:
        known = []
    bands, limits = _channels(attributes, letters, array)
    return Details(bands=bands, limits=limits, pixel_size=size, scales=tuple(known), path=path)


def _scale(entry: Mapping[str, Any], letters: str) -> tuple[float, float] | None:
    """(y, x) of the first scale transformation; None without a usable one."""
    for transformation in entry.get("coordinateTransformations") or ():
        values = transformation.get("scale") if transformation.get("type") == "scale" else None
        if isinstance(values, Sequence) and len(values) == len(letters):
            y, x = float(values[letters.index("Y")]), float(values[letters.index("X")])
            return (y, x) if y > 0 and x > 0 else None
    return None


def _unit(axes: Any, letters: str) -> str:
    axis = axes[letters.index("X")] if axes else None
    unit = str(axis.get("unit", "")) if isinstance(axis, Mapping) else ""
    return _UNITS.get(unit, unit)


def _channels(
    attributes: Mapping[str, Any], letters: str, array: ArrayLike
) -> tuple[tuple[BandInfo, ...], tuple[tuple[float, float], ...]]:
    """Names and display limits of the channels from ``omero``, when they fit the array."""
    channels = (attributes.get("omero") or {}).get("channels") or []
    band = resolve_layout(array.shape, letters, (0,) * _stack_axes(array, letters)).band
    n_bands = 1 if band is None else int(array.shape[band])
    if len(channels) != n_bands:
        return (), ()
    bands = tuple(BandInfo(str(channel.get("label", ""))) for channel in channels)
    windows = [channel.get("window") or {} for channel in channels]
    limits = tuple((window.get("start"), window.get("end")) for window in windows)
    usable = [(float(a), float(b)) for a, b in limits if a is not None and b is not None and a < b]
    return bands, tuple(usable) if len(usable) == n_bands else ()


def _stack_axes(array: ArrayLike, letters: str) -> int:
    return sum(letter not in "YXC" for letter in letters)
