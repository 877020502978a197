"""Pascal VOC 2012: photographs with every object of 20 classes outlined (Everingham et al.).

The development kit: ``JPEGImages/``, ``SegmentationObject/`` (palette PNG: the index is the
object, 255 the outline and what is too hard, which belongs to nobody) and
``ImageSets/Segmentation/{train,val,trainval}.txt``. RITM reads the palette's colours as grey, where
index 255 becomes 220: the same pixels.
"""

from __future__ import annotations

from pathlib import Path

from napari_edgeflow.data.folder import read_mask
from napari_edgeflow.data.listed import ListedDataset, read_list
from napari_edgeflow.data.origin import Origin, find_folder

FOLDERS = ("JPEGImages", "SegmentationObject", "ImageSets/Segmentation")
BELOW = ("VOC2012", "VOCdevkit/VOC2012")
ORIGIN = Origin(
    "Pascal VOC 2012",
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
    "unpack the training/validation data, so that the folder holds JPEGImages/, "
    "SegmentationObject/ and ImageSets/Segmentation/.",
)
_OUTLINE = 255


def open_voc(path: Path, split: str = "val", name: str | None = None) -> ListedDataset:
    """One split of the data set in ``path``.

    Args:
        path: ``VOC2012``, or the folder that holds it or ``VOCdevkit``.
        split: ``train``, ``val``, ``trainval`` or another list that is there.
        name: For reports; ``voc_SPLIT`` when None.

    Raises:
        DatasetError: It is not there, or incomplete.
    """
    found = find_folder(path, FOLDERS, BELOW)
    if found is None:
        raise ORIGIN.missing(path, [f"{f}/" for f in FOLDERS if not (path / f).is_dir()])
    return ListedDataset(
        found,
        name=name or f"voc_{split}",
        stems=read_list(found / FOLDERS[2] / f"{split}.txt"),
        image_form="JPEGImages/{}.jpg",
        mask_form="SegmentationObject/{}.png",
        read_ids=read_mask,
        ignore_id=_OUTLINE,
    )
