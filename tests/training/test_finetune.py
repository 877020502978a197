"""Which objects a fine-tuning learns from, and which it is judged by."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile

from napari_edgeflow.data.folder import FolderDataset
from napari_edgeflow.errors import DatasetError
from napari_edgeflow.training.finetune import (
    LARGEST_SIDE_PX,
    finetune_config,
    open_objects,
    split_objects,
)
from napari_edgeflow.training.pack import write_pack

Grid = list[npt.NDArray[np.int32]]


def _grid(n: int, first: int = 1) -> npt.NDArray[np.int32]:
    """``n`` squares of 36 px in a row, and a strip at the foot to ignore."""
    labels = np.zeros((20, 10 * n), np.int32)
    for i in range(n):
        labels[4:10, 10 * i + 2 : 10 * i + 8] = first + i
    labels[18:] = 65535
    return labels


def _write(folder: Path, masks: Grid) -> Path:
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number, labels in enumerate(masks):
        image = rng.integers(0, 60000, labels.shape).astype(np.uint16)
        tifffile.imwrite(folder / "images" / f"{number}.tif", image)
        cv2.imwrite(str(folder / "masks" / f"{number}.png"), labels.astype(np.uint16))
    return folder


def test_every_object_is_learned_or_judged_and_never_both(tmp_path: Path) -> None:
    masks = [_grid(5), _grid(3, first=7), _grid(4)]
    source = FolderDataset(_write(tmp_path / "cells", masks))
    split = split_objects(source, tmp_path / "out", seed=3)
    assert (split.n_train, split.n_held_out) == (9, 3)
    learned = {s.name: s for s in FolderDataset(split.train)}
    judged = {s.name: s for s in FolderDataset(split.held_out)}
    n_learned = n_judged = 0
    for index, sample in enumerate(source):
        name = f"{index:05}"
        to_learn = learned[name].labels > 0 if name in learned else np.zeros(sample.shape, bool)
        to_judge = judged[name].labels > 0 if name in judged else np.zeros(sample.shape, bool)
        np.testing.assert_array_equal(to_learn | to_judge, sample.labels > 0)
        assert not (to_learn & to_judge).any()
        if name in learned:
            np.testing.assert_array_equal(learned[name].image, sample.image)
            np.testing.assert_array_equal(learned[name].ignore, sample.ignore | to_judge)
            n_learned += len(learned[name].areas())
        if name in judged:
            np.testing.assert_array_equal(judged[name].image, sample.image)
            np.testing.assert_array_equal(judged[name].ignore, sample.ignore)
            n_judged += len(judged[name].areas())
    assert (n_learned, n_judged) == (9, 3)
    assert len(write_pack([split.train], tmp_path / "pack").objects) == 9


def test_the_draw_depends_on_the_seed_alone(tmp_path: Path) -> None:
    source = FolderDataset(_write(tmp_path / "cells", [_grid(12)]))
    ids = [
        set(
            np.flatnonzero(
                FolderDataset(split_objects(source, tmp_path / str(i), seed).held_out)[
                    0
                ].labels.ravel()
            )
        )
        for i, seed in enumerate((0, 0, 1))
    ]
    assert ids[0] == ids[1]
    assert ids[0] != ids[2]


def test_too_few_objects(tmp_path: Path) -> None:
    source = FolderDataset(_write(tmp_path / "cells", [_grid(3)]))
    with pytest.raises(DatasetError, match=r"at least 4 objects.*got 3; finish a few more"):
        split_objects(source, tmp_path / "out")


def test_ids_beyond_16_bits(tmp_path: Path) -> None:
    folder = _write(tmp_path / "cells", [_grid(4)])
    labels = _grid(4)
    labels[labels == 65535] = 0
    tifffile.imwrite(folder / "masks" / "0.tif", np.where(labels, labels + 100_000, 0))
    (folder / "masks" / "0.png").unlink()
    split = split_objects(open_objects(str(folder)), tmp_path / "out")
    assert len(FolderDataset(split.train)[0].areas()) == 3


def test_the_run_is_short_and_gentle(tmp_path: Path) -> None:
    config = finetune_config(
        "edgeflow-18s", align="image", side=160, data=tmp_path, out=tmp_path / "run", minutes=2
    )
    assert (config.minutes, config.steps, config.align) == (2, 0, "image")
    assert config.learning_rate < 1e-3
    assert config.phases[0].side == LARGEST_SIDE_PX < 160
    assert config.phases[0].freeze_norms
    assert config.phases[0].finenet
