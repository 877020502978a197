"""COCO_MVal: 800 objects of COCO's validation images, ten of each class, with one each.

As published with RITM: ``img/`` and ``gt/``; all values of a mask but 0 are the object.
"""

from __future__ import annotations

from pathlib import Path

from napari_edgeflow.data.origin import Origin
from napari_edgeflow.data.pairs import PairDataset, object_above_0

FOLDERS = ("img", "gt")
ORIGIN = Origin(
    "COCO_MVal",
    "https://github.com/saic-vul/ritm_interactive_segmentation#datasets",
    "unpack COCO_MVal.zip, so that the folder holds img/ and gt/.",
)


def open_coco_mval(path: Path, name: str = "coco_mval") -> PairDataset:
    """The data set in ``path``.

    Raises:
        DatasetError: It is not there, or incomplete.
    """
    return PairDataset(
        path,
        name=name,
        origin=ORIGIN,
        folders=FOLDERS,
        read_mask=object_above_0,
        below=("COCO_MVal",),
    )
