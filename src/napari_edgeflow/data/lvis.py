"""LVIS v1: COCO's images with many more classes and finer outlines (Gupta et al. 2019).

``lvis_v1_{train,val}.json`` (also in ``annotations/``) beside ``train2017/`` and ``val2017/``: both
splits use images of both folders, found by the end of each image's ``coco_url``.
"""

from __future__ import annotations

from pathlib import Path

from napari_edgeflow.data.coco import JsonDataset
from napari_edgeflow.data.origin import Origin

ORIGIN = Origin(
    "LVIS",
    "https://www.lvisdataset.org/dataset",
    "unpack lvis_v1_val.json.zip and COCO's images, so that the folder holds lvis_v1_val.json, "
    "train2017/ and val2017/ (the same with lvis_v1_train.json).",
)


def open_lvis(path: Path, split: str = "val", name: str | None = None) -> JsonDataset:
    """One split of LVIS in the folder ``path``, or the JSON file ``path``.

    Args:
        path: Folder or JSON file.
        split: ``train`` or ``val``; of no meaning for a file.
        name: For reports; ``lvis_SPLIT``, or the file's own name, when None.

    Raises:
        DatasetError: It is not there, or incomplete.
    """
    if path.is_file():
        return JsonDataset(path, image_folders(path.parent), name or path.stem)
    json_path = find_lvis(path, split)
    if json_path is None:
        raise ORIGIN.missing(path, [f"lvis_v1_{split}.json"])
    return JsonDataset(json_path, image_folders(path), name or f"lvis_{split}")


def find_lvis(path: Path, split: str) -> Path | None:
    """``lvis_v1_SPLIT.json`` in ``path`` or its ``annotations/``; None when there is none."""
    files = (folder / f"lvis_v1_{split}.json" for folder in (path, path / "annotations"))
    return next((file for file in files if file.is_file()), None)


def image_folders(path: Path) -> list[Path]:
    """Where the folders ``train2017/`` and ``val2017/`` may lie."""
    return [path, path / "images", path.parent, path.parent / "images"]
