"""COCO and LVIS together, by RITM's rule (Sofiiuk et al. 2021, section 4.2).

On the images of an LVIS split, all of LVIS' masks and those of COCO's that no LVIS mask covers with
an IoU above 0.80 (the paper; its code compares with 0.70, on boxes and masks, and also drops double
LVIS masks above 0.85, which is not done here). RITM's published file of the result is a
pickle, which could run foreign code when opened: it is made anew from the two sources.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from napari_edgeflow._types import BoolArray
from napari_edgeflow.data.annotations import (
    Objects,
    decode_objects,
    find_files,
    read_annotations,
    to_sample,
)
from napari_edgeflow.data.base import Sample
from napari_edgeflow.data.coco import find_instances
from napari_edgeflow.data.lvis import find_lvis, image_folders
from napari_edgeflow.data.origin import Origin

DROP_ABOVE = 0.80
"""IoU to an LVIS mask above which a COCO mask is dropped."""

ORIGIN = Origin(
    "COCO and LVIS",
    "https://www.lvisdataset.org/dataset and https://cocodataset.org/#download",
    "unpack LVIS' and COCO's annotations and COCO's images, so that the folder holds "
    "lvis_v1_train.json, annotations/instances_train2017.json, annotations/instances_val2017.json, "
    "train2017/ and val2017/.",
)


class CocoLvisDataset:
    """LVIS' images with the masks of both.

    Args:
        path: Folder that holds both.
        split: Split of LVIS.
        name: For reports; ``coco_lvis_SPLIT`` when None.
        drop_above: IoU to an LVIS mask above which a COCO mask is dropped.

    Raises:
        DatasetError: Something is missing or not in COCO's form.
    """

    def __init__(
        self,
        path: Path,
        split: str = "train",
        name: str | None = None,
        *,
        drop_above: float = DROP_ABOVE,
    ) -> None:
        self.path, self.name = path, name or f"coco_lvis_{split}"
        self._drop_above = drop_above
        lvis_path = find_lvis(path, split)
        # LVIS' splits cut across COCO's
        coco_paths = [p for s in ("train", "val") if (p := find_instances(path, s)) is not None]
        if lvis_path is None or not coco_paths:
            lacking = [] if lvis_path else [f"lvis_v1_{split}.json"]
            lacking += [] if coco_paths else ["annotations/instances_train2017.json"]
            raise ORIGIN.missing(path, lacking)
        self._lvis = [image for image in read_annotations(lvis_path) if image.annotations]
        self._files = find_files(self._lvis, image_folders(path), str(lvis_path))
        wanted = {image.key for image in self._lvis}
        coco = (image for file in coco_paths for image in read_annotations(file))
        self._coco = {image.key: image for image in coco if image.key in wanted}

    def __len__(self) -> int:
        """Number of LVIS' images with annotations."""
        return len(self._lvis)

    def __getitem__(self, index: int) -> Sample:
        """The image at ``index``: LVIS' objects first, then COCO's that were kept.

        Raises:
            DatasetError: An annotation or the image cannot be read, or sizes differ.
        """
        image = self._lvis[index]
        objects = decode_objects(image, str(self.path))
        if image.key in self._coco:
            more = decode_objects(self._coco[image.key], str(self.path))
            objects = merge_objects(objects, more, len(image.annotations), self._drop_above)
        return to_sample(image, self._files[image.key], objects)

    def __iter__(self) -> Iterator[Sample]:
        """All samples in order."""
        return (self[index] for index in range(len(self)))


def merge_objects(lvis: Objects, coco: Objects, offset: int, drop_above: float) -> Objects:
    """LVIS' masks and those of COCO's that are not among them.

    Args:
        lvis: Keep all.
        coco: Keep what no LVIS mask covers with an IoU above ``drop_above``; their ids are
            shifted by ``offset``.
        offset: The largest id of LVIS' that may occur.
        drop_above: IoU in [0, 1].
    """
    kept = {
        offset + i: mask
        for i, mask in coco.masks.items()
        if all(_iou(mask, other) <= drop_above for other in lvis.masks.values())
    }
    return Objects({**lvis.masks, **kept}, lvis.crowd | coco.crowd)


def _iou(first: BoolArray, second: BoolArray) -> float:
    union = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / union if union else 0.0
