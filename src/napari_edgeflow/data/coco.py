"""COCO's JSON: its own releases, and whatever else is annotated in that form.

``annotations/instances_{train,val}2017.json`` beside ``train2017/`` and ``val2017/``, or one JSON
file with its images beside it, in ``images/``, or in a folder beside its own. Objects that overlap
are each kept whole; ``iscrowd`` regions are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from napari_edgeflow.data.annotations import (
    decode_objects,
    find_files,
    read_annotations,
    to_sample,
)
from napari_edgeflow.data.base import Sample
from napari_edgeflow.data.origin import Origin
from napari_edgeflow.errors import DatasetError

ORIGIN = Origin(
    "COCO",
    "https://cocodataset.org/#download",
    "unpack annotations_trainval2017.zip and the images, so that the folder holds "
    "annotations/instances_val2017.json and val2017/ (the same with train2017).",
)


class JsonDataset:
    """The images of one JSON file in COCO's form that have an annotation.

    Args:
        json_path: The file.
        folders: Where its images may lie.
        name: For reports.

    Raises:
        DatasetError: The file is not in COCO's form, or images are missing.
    """

    def __init__(self, json_path: Path, folders: list[Path], name: str) -> None:
        self.path, self.name = json_path, name
        self._images = [image for image in read_annotations(json_path) if image.annotations]
        if not self._images:
            raise DatasetError(f"{json_path}: expected annotated objects, and there is none")
        self._files = find_files(self._images, folders, str(json_path))

    def __len__(self) -> int:
        """Number of images with annotations."""
        return len(self._images)

    def __getitem__(self, index: int) -> Sample:
        """The image at ``index``; its ids number its annotations from 1 in the file's order.

        Raises:
            DatasetError: An annotation or the image cannot be read, or sizes differ.
        """
        image = self._images[index]
        objects = decode_objects(image, str(self.path))
        return to_sample(image, self._files[image.key], objects)

    def __iter__(self) -> Iterator[Sample]:
        """All samples in order."""
        return (self[index] for index in range(len(self)))


def open_coco(path: Path, split: str = "val", name: str | None = None) -> JsonDataset:
    """One split of COCO in the folder ``path``, or the JSON file ``path``.

    Args:
        path: Folder or JSON file.
        split: ``train`` or ``val``; of no meaning for a file.
        name: For reports; ``coco_SPLIT``, or the file's own name, when None.

    Raises:
        DatasetError: It is not there, or incomplete.
    """
    if path.is_file():
        beside = path.parent
        folders = [beside, beside / "images", beside.parent, beside.parent / "images"]
        return JsonDataset(path, folders, name or path.stem)
    json_path = find_instances(path, split)
    if json_path is None:
        raise ORIGIN.missing(path, [f"annotations/instances_{split}2017.json"])
    images = json_path.stem.removeprefix("instances_")
    folders = [path / images, path / "images" / images, path / "images", path]
    return JsonDataset(json_path, folders, name or f"coco_{split}")


def find_instances(path: Path, split: str) -> Path | None:
    """``instances_SPLIT*.json`` in ``path`` or its ``annotations/``; None when there is none.

    Raises:
        DatasetError: There are several.
    """
    found = [
        file
        for folder in (path / "annotations", path)
        for file in sorted(folder.glob(f"instances_{split}[0-9]*.json"))
    ]
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise DatasetError(
            f"{path} holds {names}; name one of them, as in coco:{found[0]}, instead of the folder"
        )
    return found[0] if found else None
