"""A model that learns one user's objects: which it trains on, which it is judged by, and how."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_edgeflow._types import AnyArray, BoolArray
from napari_edgeflow.data.base import Dataset, Sample
from napari_edgeflow.data.layers import one_layer_each
from napari_edgeflow.errors import DatasetError
from napari_edgeflow.training.pack import IGNORE, MIN_AREA_PX, SPLIT
from napari_edgeflow.training.settings import Phase, TrainConfig

FEWEST_OBJECTS = 4
LARGEST_SIDE_PX = 144
HELD_OUT_SHARE = 0.25
MOST_HELD_OUT = 20


@dataclass(frozen=True, slots=True)
class Split:
    """The user's objects in two data sets.

    Attributes:
        train: Folder of those to learn from.
        held_out: Folder of those to judge by.
        n_train: How many there are to learn from.
        n_held_out: How many there are to judge by.
    """

    train: Path
    held_out: Path
    n_train: int
    n_held_out: int


def split_objects(dataset: Dataset, out: Path, seed: int = 0) -> Split:
    """Writes a data set's objects into two: to learn from, and to judge by.

    A quarter of the objects, at least one and at most twenty, is held out; of the pixels of
    these the training learns nothing (they are marked as ignored). An image can be in both.

    Args:
        dataset: The user's objects.
        out: Folder for ``train/`` and ``held_out/``.
        seed: Of the draw.

    Raises:
        DatasetError: There are fewer than four objects of 24 px or more.
        OSError: A file cannot be written.
    """
    objects = [
        (index, object_id)
        for index, sample in enumerate(one_layer_each(dataset))
        for object_id, area in sample.areas().items()
        if area >= MIN_AREA_PX
    ]
    if len(objects) < FEWEST_OBJECTS:
        raise DatasetError(
            f"expected at least {FEWEST_OBJECTS} objects of {MIN_AREA_PX} px to improve a model "
            f"with, got {len(objects)}; finish a few more"
        )
    count = min(max(round(HELD_OUT_SHARE * len(objects)), 1), MOST_HELD_OUT)
    order = np.random.default_rng(seed).permutation(len(objects))
    chosen = {objects[int(i)] for i in order[:count]}
    split = Split(out / "train", out / "held_out", len(objects) - count, count)
    for folder in (split.train, split.held_out):
        shutil.rmtree(folder, ignore_errors=True)
    for index, sample in enumerate(one_layer_each(dataset)):
        held = [i for at, i in chosen if at == index]
        _write_sample(split, f"{index:05}", sample, np.isin(sample.labels, held))
    return split


def _write_sample(split: Split, name: str, sample: Sample, is_held: BoolArray) -> None:
    """One image with what is left of its objects, in each of the two data sets it is in."""
    labels = _small_ids(sample)
    judged = np.where(is_held, labels, 0)
    learned = np.where(is_held, IGNORE, labels)
    written: Path | None = None
    for folder, ids in ((split.train, learned), (split.held_out, judged)):
        if not ((ids > 0) & (ids != IGNORE)).any():
            continue
        ids[sample.ignore] = IGNORE
        written = _write_image(folder / "images" / f"{name}.tif", sample.image, written)
        _write_tiff(folder / "masks" / f"{name}.tif", ids)


def _small_ids(sample: Sample) -> AnyArray:
    """``(H, W) uint16``: the objects counted from 1 on."""
    values, inverse = np.unique(sample.labels, return_inverse=True)
    if len(values) >= int(IGNORE):
        raise DatasetError(f"{sample.name}: expected at most 65533 objects in an image")
    ids: AnyArray = inverse.reshape(sample.labels.shape) + (values[0] != 0)
    return ids.astype(np.uint16)


def _write_image(path: Path, image: AnyArray, same: Path | None) -> Path:
    """The image's file; a link to ``same`` where the disk has links."""
    if same is None:
        _write_tiff(path, image)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(same, path)
    except OSError:
        shutil.copyfile(same, path)
    return path


def _write_tiff(path: Path, pixels: AnyArray) -> None:
    import tifffile

    path.parent.mkdir(parents=True, exist_ok=True)
    photometric = "rgb" if pixels.ndim == 3 else "minisblack"
    tifffile.imwrite(path, np.ascontiguousarray(pixels), photometric=photometric)


def finetune_config(
    network: str,
    *,
    align: str,
    side: int,
    data: Path,
    out: Path,
    minutes: float,
    seed: int = 0,
    bf16: bool = False,
) -> TrainConfig:
    """A short run from trained weights: a low rate, and batch norms that keep their statistics.

    Args:
        network: Registered name of the architecture.
        align: Of the weights.
        side: Side in pixels of the views that suit the weights; at most 144 px of it are used, as
            many small steps teach more in minutes than few large ones.
        data: The data set to learn from.
        out: Folder of the run.
        minutes: Length.
        seed: Of all randomness.
        bf16: Mixed precision.
    """
    phase = Phase(1.0, min(side, LARGEST_SIDE_PX), 4, finenet=True, max_clicks=8, freeze_norms=True)
    return TrainConfig(
        network=network,
        align=align,
        data=(f"folder:{data}",),
        out=str(out),
        minutes=minutes,
        phases=(phase,),
        learning_rate=2e-4,
        warm_up=20,
        average=0.99,
        again=0.5,
        bf16=bf16,
        seed=seed,
        log_every=5,
        save_minutes=1.0,
    )


def open_objects(spec: str) -> Dataset:
    """The data set to learn from: its training part where there is one.

    Raises:
        DatasetError: It is not there, or of no known form.
    """
    from napari_edgeflow.data.open import open_dataset

    return open_dataset(spec, split=SPLIT)
