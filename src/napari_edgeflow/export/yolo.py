"""YOLO segmentation: a text file for each image, one line for each object, and ``data.yaml``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.spatial import KDTree

from napari_edgeflow._files import write_whole
from napari_edgeflow.annotation.objects import AnnotationSet
from napari_edgeflow.export.coco import merge_classes
from napari_edgeflow.export.folders import make_folder, unique_stems
from napari_edgeflow.export.outlines import (
    Outline,
    XyRing,
    count_holed,
    count_parted,
    find_outlines,
    say_objects,
)
from napari_edgeflow.export.run import PLAIN_RUN, ExportRun


def write_yolo(
    folder: Path, sets: Sequence[AnnotationSet], run: ExportRun = PLAIN_RUN
) -> tuple[str, ...]:
    """What the files could not hold, in words.

    Writes ``labels/NAME.txt`` for each image and ``data.yaml``. Class numbers count from 0 in the
    order of the class list. A line holds one closed outline: parts of an object are joined by
    bridges of no width, holes are filled.

    Raises:
        ExportError: Classes disagree, two images have one name, or a file cannot be written.
    """
    classes = merge_classes(sets)
    numbers = {one.id: number for number, one in enumerate(classes)}
    stems = unique_stems(sets)
    make_folder(folder / "labels")
    n_holed = n_parted = 0
    for number, (stem, annotated) in enumerate(zip(stems, sets, strict=True)):
        outlines = find_outlines(annotated, run.part(number / len(sets), (number + 1) / len(sets)))
        n_holed += count_holed(outlines)
        n_parted += count_parted(outlines)
        lines = [_line(outline, numbers, annotated.image.shape) for outline in outlines]
        write_whole(folder / "labels" / f"{stem}.txt", "".join(lines).encode())
    write_whole(folder / "data.yaml", _data_yaml([one.name for one in classes]).encode())
    notes = ["classes are numbered from 0; ids and names of objects are not in YOLO's files"]
    notes += ["images are not copied: put them into images/ beside labels/"]
    notes += [f"holes of {say_objects(n_holed)} are filled"] * bool(n_holed)
    notes += [f"parts of {say_objects(n_parted)} are joined by bridges of no width"] * bool(
        n_parted
    )
    return tuple(notes)


def _line(outline: Outline, numbers: dict[int, int], shape: tuple[int, int]) -> str:
    ring = _join(outline.exteriors_xy) / (shape[1], shape[0])
    digits = max(6, math.ceil(math.log10(max(shape))) + 3)
    places = " ".join(f"{value:.{digits}f}" for value in ring.ravel())
    return f"{numbers[outline.record.class_id]} {places}\n"


def _join(rings: list[XyRing]) -> XyRing:
    """All rings as one: along the longest, out to each other from where it is nearest, and back."""
    main = max(rings, key=len)
    tree = KDTree(main)
    tours: dict[int, list[XyRing]] = {}
    for ring in (one for one in rings if one is not main):
        gaps, nearest = tree.query(ring)
        there = int(gaps.argmin())
        here = int(nearest[there])
        tour = np.roll(ring, -there, axis=0)
        tours.setdefault(here, []).extend([main[here : here + 1], tour, tour[:1]])
    pieces, last = [], 0
    for here in sorted(tours):
        pieces += [main[last:here], *tours[here]]
        last = here
    return np.concatenate([*pieces, main[last:]])


def _data_yaml(names: list[str]) -> str:
    # a JSON string is a YAML string
    lines = [f"  {number}: {json.dumps(name)}" for number, name in enumerate(names)]
    return "\n".join(["path: .", "train: images", "val: images", "names:", *lines, ""])
