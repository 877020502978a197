"""SBD, the Semantic Boundaries Dataset: objects on Pascal VOC's images (Hariharan et al. 2011).

``benchmark_RELEASE/dataset``: ``img/*.jpg``, ``inst/*.mat`` (MATLAB 5; ``GTinst.Segmentation``
holds ids, 0 background) and ``train.txt``, ``val.txt``.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from napari_edgeflow._types import AnyArray, LabelArray
from napari_edgeflow.data.listed import ListedDataset, read_list
from napari_edgeflow.data.origin import Origin, find_folder
from napari_edgeflow.errors import DatasetError

FOLDERS = ("img", "inst")
BELOW = ("dataset", "benchmark_RELEASE/dataset")
ORIGIN = Origin(
    "SBD",
    "http://home.bharathh.info/pubs/codes/SBD/download.html",
    "unpack benchmark.tgz, so that the folder holds img/, inst/, train.txt and val.txt.",
)
_BAD_FILE = (OSError, ValueError, TypeError, KeyError, IndexError, zlib.error)


def open_sbd(path: Path, split: str = "val", name: str | None = None) -> ListedDataset:
    """One split of the data set in ``path``.

    Args:
        path: ``dataset``, or the folder that holds it or ``benchmark_RELEASE``.
        split: ``train`` or ``val``, or another list that is there.
        name: For reports; ``sbd_SPLIT`` when None.

    Raises:
        DatasetError: It is not there, or incomplete.
    """
    found = find_folder(path, FOLDERS, BELOW)
    if found is None:
        raise ORIGIN.missing(path, [f"{f}/" for f in FOLDERS if not (path / f).is_dir()])
    return ListedDataset(
        found,
        name=name or f"sbd_{split}",
        stems=read_list(found / f"{split}.txt"),
        image_form="img/{}.jpg",
        mask_form="inst/{}.mat",
        read_ids=read_instances,
        ignore_id=None,
    )


def read_instances(path: Path) -> LabelArray:
    """``(H, W) int32`` ids of an ``inst/*.mat`` file.

    Raises:
        DatasetError: It cannot be read, or holds no ``GTinst.Segmentation``.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(str(path), variable_names=["GTinst"])
        ids: AnyArray = np.asarray(content["GTinst"]["Segmentation"][0, 0])
    except (*_BAD_FILE, MatReadError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error
    if ids.ndim != 2 or ids.dtype.kind not in "uif" or (ids != np.floor(ids)).any():
        raise _unreadable(path, f"ids of shape {ids.shape} {ids.dtype}")
    return ids.astype(np.int32)


def _unreadable(path: Path, reason: str) -> DatasetError:
    return DatasetError(
        f"{path}: expected a MATLAB file with GTinst.Segmentation, whole ids of (H, W) ({reason}); "
        "replace the file"
    )
