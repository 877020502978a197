"""Berkeley: 100 objects on 96 photographs (McGuinness and O'Connor 2010).

As published with RITM: ``images/`` and ``masks/``; a photograph with two objects is there twice,
once for each. Masks: 0 background, 128 belongs to nobody, 255 the object.
"""

from __future__ import annotations

from pathlib import Path

from napari_edgeflow.data.origin import Origin
from napari_edgeflow.data.pairs import PairDataset, object_above_128

FOLDERS = ("images", "masks")
ORIGIN = Origin(
    "Berkeley",
    "https://github.com/saic-vul/ritm_interactive_segmentation#datasets",
    "unpack Berkeley.zip, so that the folder holds images/ and masks/.",
)


def open_berkeley(path: Path, name: str = "berkeley") -> PairDataset:
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
        below=("Berkeley",),
    )
