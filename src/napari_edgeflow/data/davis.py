"""DAVIS-345: frames of videos, all objects of a frame as one (Jang and Kim 2019).

As published with RITM: ``img/`` holds 345 frames, ``gt/`` their masks: all values but 0 are the
object.
"""

from __future__ import annotations

from pathlib import Path

from napari_edgeflow.data.origin import Origin
from napari_edgeflow.data.pairs import PairDataset, object_above_0

FOLDERS = ("img", "gt")
ORIGIN = Origin(
    "DAVIS-345",
    "https://github.com/saic-vul/ritm_interactive_segmentation#datasets",
    "unpack DAVIS.zip, so that the folder holds img/ and gt/.",
)


def open_davis(path: Path, name: str = "davis") -> PairDataset:
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
        below=("DAVIS",),
    )
