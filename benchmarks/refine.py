"""What refining the outline of large objects gains: coarse against refined, on real images.

    python benchmarks/refine.py --data FOLDER [--data FOLDER …] [--objects 4] [--clicks 3]

A folder holds ``images`` and ``masks`` (the integers of a mask are objects, 65535 is ignored),
or a pair of files is given as ``IMAGE,MASK``. Objects come from a seeded draw among those whose
longer side is at least ``--least`` pixels. A simulated user clicks; where the network saw the
outline at half the resolution or less, it is then refined. Prints IoU and boundary IoU (a band
of 1 % of the object's side, at least 2 px) before and after.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from napari_edgeflow import Predictor, Session, open_raster
from napari_edgeflow._types import AnyArray, BoolArray, Window
from napari_edgeflow.clicks.simulate import next_click
from napari_edgeflow.inference.refine import WORTHWHILE_GRAIN_PX

FOUND_IOU = 0.75


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", action="append", required=True, help="folder, or IMAGE,MASK")
    parser.add_argument("--model", default="default")
    parser.add_argument("--objects", type=int, default=4, help="at most, of each --data")
    parser.add_argument("--least", type=int, default=256, help="longer side in pixels")
    parser.add_argument("--clicks", type=int, default=3)
    options = parser.parse_args()
    predictor = Predictor.from_zoo(options.model)
    print(
        f"{predictor.device_line}; {options.clicks} clicks; objects of at least {options.least} px"
    )
    print(f"{'data':<25} {'side':>5} {'grain':>6}   IoU: before, after   boundary IoU   seconds")
    rows = []
    for place in options.data:
        found = sorted(_objects(place, options.least), key=lambda each: each[2:])
        chosen = np.random.default_rng(0).permutation(len(found))[: options.objects]
        for image, mask, label, side in (found[index] for index in sorted(chosen)):
            row = _measure(predictor, image, mask == label, side, options.clicks)
            rows.append(row)
            name = Path(place.split(",")[0]).stem[:25]
            print(
                f"{name:<25} {side:5d} {row[0]:6.1f}   {row[1]:11.3f}  {row[2]:.3f}    "
                f"{row[3]:.3f}  {row[4]:.3f}  {row[5]:8.1f}",
                flush=True,
            )
    _summary(rows)


def _summary(rows: list[tuple[float, ...]]) -> None:
    """Means over those that were refined, and over those of them found well before."""
    table = np.array(rows)
    refined = table[table[:, 0] >= WORTHWHILE_GRAIN_PX]
    found = refined[refined[:, 1] >= FOUND_IOU]
    for words, chosen in (("refined", refined), (f"IoU ≥ {FOUND_IOU} before", found)):
        if len(chosen):
            coarse, fine, edge, fine_edge = chosen[:, 1:5].mean(axis=0)
            better = int((chosen[:, 2] > chosen[:, 1]).sum())
            print(
                f"{words}: {len(chosen)} objects, IoU {coarse:.3f} → {fine:.3f}, boundary IoU "
                f"{edge:.3f} → {fine_edge:.3f}; {better} better"
            )


def _objects(place: str, least: int) -> Iterator[tuple[AnyArray, AnyArray, int, int]]:
    """(image, mask, label, longer side) of the large objects."""
    if "," in place:
        pairs = [tuple(Path(part) for part in place.split(","))]
    else:
        masks = sorted(Path(place, "masks").iterdir())
        pairs = [(next(Path(place, "images").glob(f"{mask.stem}.*")), mask) for mask in masks]
    for image_path, mask_path in pairs:
        mask = _read(mask_path)
        mask = mask[:, :, 0] if mask.ndim == 3 else mask
        image = None
        for label in np.unique(mask[(mask > 0) & (mask < 65535)]).tolist():
            _, _, width, height = cv2.boundingRect((mask == label).astype(np.uint8))
            if max(width, height) >= least and (mask == label).sum() > 0.05 * width * height:
                image = _read(image_path) if image is None else image
                yield image, mask, label, max(width, height)


def _read(path: Path) -> AnyArray:
    if path.suffix.lower() in (".tif", ".tiff"):
        with open_raster(path) as raster:
            pixels = raster.read(Window(0, 0, *raster.shape))
            return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels[:, :, :3]
    return np.asarray(Image.open(path))


def _measure(
    predictor: Predictor, image: AnyArray, truth: BoolArray, side: int, clicks: int
) -> tuple[float, ...]:
    """(grain, IoU coarse, refined, boundary IoU coarse, refined, seconds)."""
    session = Session(np.ascontiguousarray(image), predictor, field_of_view=2.0 * side)
    mask = np.zeros_like(truth)
    for _ in range(clicks):
        click = next_click(truth, mask)
        if click is None:
            break
        mask = session.add_click(click.y, click.x, click.is_positive).full_mask(truth.shape)
    grain = 1.0 if session.prediction is None else session.prediction.grain_px
    began = time.perf_counter()
    fine = session.refine().full_mask(truth.shape)
    spent = time.perf_counter() - began
    width = max(round(0.01 * side), 2)
    edges = [_band(each, width) for each in (truth, mask, fine)]
    return (
        grain,
        _iou(truth, mask),
        _iou(truth, fine),
        _iou(edges[0], edges[1]),
        _iou(edges[0], edges[2]),
        spent,
    )


def _band(mask: BoolArray, width: int) -> BoolArray:
    """The mask's pixels at most ``width`` from its border."""
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    band: BoolArray = mask & (depth <= width)
    return band


def _iou(one: BoolArray, other: BoolArray) -> float:
    return float((one & other).sum() / max(int((one | other).sum()), 1))


if __name__ == "__main__":
    main()
