"""GrabCut: 50 photographs with one object each (Rother et al. 2004).

As published with RITM: ``data_GT/`` holds the images, ``boundary_GT/`` masks of 0 background, 128
a band along the outline that belongs to nobody, 255 the object.
"""

from __future__ import annotations

from pathlib import Path

from napari_edgeflow.data.origin import Origin
from napari_edgeflow.data.pairs import PairDataset, object_above_128

FOLDERS = ("data_GT", "boundary_GT")
ORIGIN = Origin(
    "GrabCut",
    "https://github.com/saic-vul/ritm_interactive_segmentation#datasets",
    "unpack GrabCut.zip, so that the folder holds data_GT/ and boundary_GT/.",
)


def open_grabcut(path: Path, name: str = "grabcut") -> PairDataset:
    """The data set in ``path``.

    Raises:
        DatasetError: It is not there, or incomplete.
    """
    return PairDataset(
        path,
        name=name,
        origin=ORIGIN,
        folders=FOLDERS,
        read_mask=object_above_128,
        below=("GrabCut",),
    )
