"""Labels as OME-Zarr 0.5: a pyramid of their own, or inside the image that they belong to.

Written chunk by chunk, each level from the one before by taking every second pixel; chunks
without objects are not written.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from napari_edgeflow._files import write_whole
from napari_edgeflow._types import Window
from napari_edgeflow.annotation.objects import AnnotationSet, tiles
from napari_edgeflow.errors import ExportError
from napari_edgeflow.export.folders import make_folder
from napari_edgeflow.export.ome_zarr_image import Axes, image_axes, plain_axes
from napari_edgeflow.export.run import PLAIN_RUN, ExportRun
from napari_edgeflow.export.stacks import plane_of
from napari_edgeflow.export.views import MappedLabels, objects_only
from napari_edgeflow.export.whole import folder_written_whole

CHUNK = 512
_BLOCK = 4 * CHUNK
_OWN = "napari_edgeflow"
_NAME_INSIDE = "objects"


def write_ome_zarr(
    path: Path, annotated: AnnotationSet, run: ExportRun = PLAIN_RUN
) -> tuple[str, ...]:
    """What it could not hold, in words.

    Args:
        path: A new folder, or one that this function wrote before, which is replaced. The folder
            of an OME-Zarr 0.5 image of the same size takes the labels in, as
            ``labels/objects``; so does ``IMAGE.zarr/labels/NAME``.
        annotated: The objects; uint32 ids, colours of their classes.
        run: Hears how far it is.

    Raises:
        Cancelled: The run says so; nothing is left behind.
        ExportError: Something else is at the path, the image there is of another size or
            version, or the folder cannot be written.
    """
    image, target = _find_target(path)
    _check_replaceable(target)
    if image is None:
        axes = plain_axes(annotated.image)
    else:
        axes = image_axes(image, annotated.image, plane_of(annotated))
        make_folder(target.parent)
    with folder_written_whole(target) as folder:
        _write(folder, objects_only(annotated), axes, run)
        _describe(folder, annotated, axes, is_inside=image is not None)
    if image is not None:
        _list_label(target)
    if not any(record.name for record in annotated.objects):
        return ()
    return ("names are under image-label.properties, which few programs show",)


def _find_target(path: Path) -> tuple[Path | None, Path]:
    """The image's folder that takes the labels in, or None, and the labels' own folder."""
    outer = path.parent.parent
    if path.parent.name == "labels" and (outer / "zarr.json").exists():
        return outer, path
    if (path / "zarr.json").exists() and not _is_ours(path):
        return path, path / "labels" / _NAME_INSIDE
    return None, path


def _is_ours(folder: Path) -> bool:
    import zarr

    try:
        own: Any = zarr.open_group(str(folder), mode="r").attrs.get(_OWN, {})
        return dict(own).get("kind") == "export"  # the labels of a project are never replaced
    except Exception:  # whatever it is, it is not ours
        return False


def _check_replaceable(target: Path) -> None:
    if target.exists() and not _is_ours(target):
        raise ExportError(
            f"expected a new folder, or labels written by napari-edgeflow before, got {target}; "
            "choose another name"
        )


def _write(folder: Path, labels: MappedLabels, axes: Axes, run: ExportRun) -> None:
    import zarr

    group = zarr.open_group(str(folder), mode="w", zarr_format=3)
    blocks = [list(tiles(shape, _BLOCK)) for shape in axes.shapes]
    total, done = sum(map(len, blocks)), 0
    finer: Any = None
    for number, shape in enumerate(axes.shapes):
        array = _create_level(group, str(number), axes, shape)
        for window in blocks[number]:
            run.count(done, total)
            done += 1
            part = labels.read(window) if number == 0 else _thinned(finer, axes, window, shape)
            if part.any():
                array[axes.key(window)] = part
        finer = array


def _create_level(group: Any, name: str, axes: Axes, shape: tuple[int, int]) -> Any:
    sides = axes.full_shape((min(CHUNK, shape[0]), min(CHUNK, shape[1])), beside=1)
    return group.create_array(
        name,
        shape=axes.full_shape(shape),
        dtype="uint32",
        chunks=sides,
        fill_value=0,
        dimension_names=axes.names,
        config={"write_empty_chunks": False},
    )


def _thinned(finer: Any, axes: Axes, window: Window, shape: tuple[int, int]) -> Any:
    """``(h, w) uint32``: every second pixel of the finer level, or as many as the levels ask."""
    sides = tuple(int(finer.shape[axis]) for axis in axes.yx)
    y, x = (max(round(side / new), 1) for side, new in zip(sides, shape, strict=True))
    wide = Window(
        min(window.y0 * y, sides[0] - 1),
        min(window.x0 * x, sides[1] - 1),
        min(window.y1 * y, sides[0]),
        min(window.x1 * x, sides[1]),
    )
    part = np.asarray(finer[axes.key(wide)])[::y, ::x]
    missing = window.height - part.shape[0], window.width - part.shape[1]
    return np.pad(part, ((0, missing[0]), (0, missing[1])), mode="edge")


def _describe(folder: Path, annotated: AnnotationSet, axes: Axes, *, is_inside: bool) -> None:
    """Adds the metadata."""
    import zarr

    label: dict[str, Any] = {
        "colors": [
            {"label-value": record.id, "rgba": [*annotated.class_of(record).color, 255]}
            for record in annotated.objects
        ],
        "properties": [
            {
                "label-value": record.id,
                "class": annotated.class_of(record).name,
                "class_id": record.class_id,
                "name": record.name,
                "area_px": record.area_px,
            }
            for record in annotated.objects
        ],
    }
    if is_inside:
        label["source"] = {"image": "../../"}
    label = {key: value for key, value in label.items() if value}
    ome: Any = {
        "version": "0.5",
        "multiscales": [axes.multiscale()],
        "image-label": label,
    }
    group = zarr.open_group(str(folder), mode="r+")
    group.attrs.update({"ome": ome, _OWN: {"kind": "export"}})


def _list_label(target: Path) -> None:
    """Puts the label's name on the list of the image's labels.

    Raises:
        ExportError: The list cannot be written.
    """
    file = target.parent / "zarr.json"
    node = json.loads(file.read_text("utf-8")) if file.exists() else {}
    node = {"zarr_format": 3, "node_type": "group", "attributes": {}} | node
    ome = {"version": "0.5", "labels": []} | node["attributes"].get("ome", {})
    if target.name not in ome["labels"]:
        ome["labels"] = [*ome["labels"], target.name]
    node["attributes"] = node["attributes"] | {"ome": ome}
    write_whole(file, json.dumps(node, indent=2).encode())
