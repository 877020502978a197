"""Tiny data sets in the very layouts that the published ones have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat

from napari_edgeflow._types import AnyArray

SHAPE = (12, 16)


def picture(seed: int = 0, shape: tuple[int, int] = SHAPE) -> AnyArray:
    """``(H, W, 3) uint8`` noise."""
    return np.random.default_rng(seed).integers(0, 255, (*shape, 3)).astype(np.uint8)


def save(path: Path, pixels: AnyArray, palette: bool = False) -> None:
    """Write an image, with folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette:
        image.putpalette([value for i in range(256) for value in (i, 255 - i, i // 2)])
    image.save(path)


def boxes(*placed: tuple[int, int, int, int, int], dtype: str = "uint8") -> AnyArray:
    """``SHAPE`` zeros with boxes of (value, y0, x0, y1, x1)."""
    mask = np.zeros(SHAPE, dtype)
    for value, y0, x0, y1, x1 in placed:
        mask[y0:y1, x0:x1] = value
    return mask


def write_grabcut(path: Path) -> Path:
    """``data_GT`` and ``boundary_GT``: mixed suffixes, and a band of 128 around the object."""
    mask = boxes((128, 2, 2, 10, 12), (255, 4, 4, 8, 10))
    for number, suffix in enumerate(("jpg", "JPG", "bmp")):
        save(path / f"data_GT/im{number}.{suffix}", picture(number))
        save(path / f"boundary_GT/im{number}.{'bmp' if number else 'png'}", mask)
    return path


def write_berkeley(path: Path) -> Path:
    """``images`` and ``masks``, the masks saved in three channels."""
    mask = boxes((255, 4, 4, 8, 10), (128, 0, 0, 1, 16))
    save(path / "images/189011a.jpg", picture())
    save(path / "masks/189011a.png", np.repeat(mask[..., None], 3, axis=2))
    return path


def write_davis(path: Path) -> Path:
    """``img`` and ``gt``: two instances in two colours."""
    colours = np.zeros((*SHAPE, 3), np.uint8)
    colours[1:4, 1:4] = (128, 0, 0)
    colours[6:9, 8:14] = (0, 2, 0)
    save(path / "img/bear_00012.jpg", picture())
    save(path / "gt/bear_00012.png", colours)
    return path


def write_voc(path: Path) -> Path:
    """``VOCdevkit/VOC2012`` with palette masks and two lists."""
    root = path / "VOCdevkit/VOC2012"
    mask = boxes((255, 1, 1, 9, 15), (1, 2, 2, 8, 6), (2, 2, 8, 8, 14))
    for stem in ("2007_000033", "2007_000042"):
        save(root / f"JPEGImages/{stem}.jpg", picture())
        save(root / f"SegmentationObject/{stem}.png", mask, palette=True)
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("2007_000033\n")
    (lists / "train.txt").write_text("2007_000042\n")
    return path


def write_sbd(path: Path) -> Path:
    """``benchmark_RELEASE/dataset`` with MATLAB structs as the published ones are."""
    root = path / "benchmark_RELEASE/dataset"
    (root / "inst").mkdir(parents=True)
    save(root / "img/2008_000002.jpg", picture())
    ids = boxes((1, 2, 2, 8, 6), (2, 2, 6, 8, 14))
    instances = {"Segmentation": ids, "Boundaries": np.zeros((2, 1)), "Categories": [[20], [9]]}
    savemat(root / "inst/2008_000002.mat", {"GTinst": instances}, do_compression=True)
    (root / "val.txt").write_text("2008_000002\n")
    return path


def box_polygon(y0: int, x0: int, y1: int, x1: int) -> list[list[int]]:
    """A box as COCO writes polygons."""
    return [[x0, y0, x1, y0, x1, y1, x0, y1]]


def runs(mask: AnyArray) -> dict[str, Any]:
    """A mask as plain run lengths."""
    flat = np.concatenate([[0], (mask > 0).T.ravel().astype(int)])
    changes = np.flatnonzero(np.diff(np.concatenate([flat, [1 - flat[-1]]])))
    return {"size": list(mask.shape), "counts": np.diff([0, *changes.tolist()]).tolist()}


def write_json(path: Path, images: list[dict[str, Any]], rows: list[dict[str, Any]]) -> Path:
    """A JSON file in COCO's form."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": rows, "categories": []}))
    return path


def write_coco(path: Path, split: str = "val") -> Path:
    """``annotations/instances_SPLIT2017.json`` and its images: overlap, crowd, empty image."""
    images = [
        {"id": 7 + i, "file_name": f"{i:012}.jpg", "height": SHAPE[0], "width": SHAPE[1]}
        for i in range(2)
    ]
    crowd = runs(boxes((1, 0, 0, 12, 4)))
    rows = [
        {"id": 2_000_000_000_001, "image_id": 7, "segmentation": box_polygon(2, 2, 8, 8)},
        {"id": 12, "image_id": 7, "segmentation": box_polygon(4, 6, 7, 12), "iscrowd": 0},
        {"id": 13, "image_id": 7, "segmentation": crowd, "iscrowd": 1},
    ]
    for image in images:
        save(path / f"{split}2017" / str(image["file_name"]), picture())
    write_json(path / f"annotations/instances_{split}2017.json", images, rows)
    return path


def write_lvis(path: Path, split: str = "val") -> Path:
    """``lvis_v1_SPLIT.json``, whose images lie in COCO's folders and have no file name."""
    images = [
        {
            "id": 7,
            "coco_url": "http://images.cocodataset.org/val2017/000000000000.jpg",
            "height": SHAPE[0],
            "width": SHAPE[1],
        }
    ]
    rows = [
        {"id": 1, "image_id": 7, "segmentation": box_polygon(2, 2, 8, 9), "category_id": 3},
        {"id": 2, "image_id": 7, "segmentation": box_polygon(3, 3, 5, 5), "category_id": 4},
    ]
    save(path / "val2017/000000000000.jpg", picture())
    write_json(path / f"lvis_v1_{split}.json", images, rows)
    return path
