"""How a label store lies on disk: an OME-Zarr 0.5 pyramid of planes, with a mark of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.store import Mark
from napari_edgeflow.annotation.store_level import CHUNK, chunks_of
from napari_edgeflow.errors import RasterError

OWN = "napari_edgeflow"
"""The group's attribute for the next id and the mark."""

_STACK_AXES = ({"name": "t", "type": "time"}, {"name": "c"}, {"name": "z", "type": "space"})
_PLANE_AXES = ({"name": "y", "type": "space"}, {"name": "x", "type": "space"})


def store_place(journal: Path) -> Path:
    """The folder of the labels that belong to a journal: ``NAME.zarr`` beside it."""
    return journal.with_name(f"{journal.name}.zarr")


def level_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Planes halved, rounded up, until they are one chunk; as many planes in every level."""
    shapes = [shape]
    while max(shapes[-1][-2:]) > CHUNK:
        *stack, rows, columns = shapes[-1]
        shapes.append((*stack, -(-rows // 2), -(-columns // 2)))
    return shapes


def create_level(group: Any, number: int, shape: tuple[int, ...]) -> Any:
    """A level without labels, in place of what was there."""
    return group.create_array(
        str(number),
        shape=shape,
        dtype="uint32",
        chunks=chunks_of(shape),
        fill_value=0,
        dimension_names=tuple(axis["name"] for axis in _axes(len(shape))),
        config={"write_empty_chunks": False},
        overwrite=True,
    )


def metadata(n_levels: int, n_axes: int) -> dict[str, Any]:
    """OME-Zarr 0.5; level k keeps every 2ᵏ-th pixel, so its pixels' centres lie on level 0's.

    One axis before rows and columns is called z, two t and z, three t, c and z. More than five
    axes are beyond OME-Zarr: other programs may refuse them.
    """
    ones = [1.0] * (n_axes - 2)
    datasets = [
        {
            "path": str(number),
            "coordinateTransformations": [
                {"type": "scale", "scale": [*ones, 2.0**number, 2.0**number]}
            ],
        }
        for number in range(n_levels)
    ]
    multiscale = {"name": "labels", "axes": _axes(n_axes), "datasets": datasets, "type": "nearest"}
    return {"version": "0.5", "multiscales": [multiscale], "image-label": {"version": "0.5"}}


def _axes(n_axes: int) -> list[dict[str, str]]:
    time, channel, depth = _STACK_AXES
    known = {0: (), 1: (depth,), 2: (time, depth), 3: (time, channel, depth)}
    n_stack = n_axes - 2
    more = tuple({"name": f"axis_{number}"} for number in range(n_stack - 3))
    return [*more, *known[min(n_stack, 3)], *_PLANE_AXES]


def mark_from(own: dict[str, Any]) -> Mark | None:
    """The mark in the group's own attributes; None where it is missing or damaged."""
    try:
        n_records, crc = own["journal"]
        return Mark(int(n_records), int(crc))
    except (KeyError, TypeError, ValueError):
        return None


def folder_of(group: Any) -> Path | None:
    """The folder of a group; None where it is not in one."""
    root = getattr(group.store, "root", None)
    return None if root is None else Path(root) / group.path


def chunks_on_disk(folder: Path, n_stack: int) -> Iterator[tuple[tuple[int, ...], int, int]]:
    """Plane, chunk row and chunk column of the chunks of a level that have a file."""
    for file in sorted((folder / "c").glob("/".join("*" * (n_stack + 2)))):
        numbers = file.parts[-n_stack - 2 :]
        if all(number.isdecimal() for number in numbers):
            *plane, row, column = map(int, numbers)
            yield tuple(plane), row, column


def window_at(window: Window, number: int) -> Window | None:
    """The pixels of a level that level-0 pixels of the window are kept in; None if none is."""
    step = 1 << number
    y0, x0, y1, x1 = (-(-side // step) for side in (window.y0, window.x0, window.y1, window.x1))
    return Window(y0, x0, y1, x1) if y1 > y0 and x1 > x0 else None


def refused(error: OSError) -> RasterError:
    """A disk that cannot be written to, in words."""
    return RasterError(
        f"expected to save the labels, but the system refused ({error.strerror}); "
        "free some space and save again"
    )
