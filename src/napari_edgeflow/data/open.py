"""One way to open any data set: by what lies there, or by its name before a colon."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from napari_edgeflow.data.base import Dataset
from napari_edgeflow.data.coco import find_instances, open_coco
from napari_edgeflow.data.coco_lvis import CocoLvisDataset
from napari_edgeflow.data.folder import FolderDataset
from napari_edgeflow.data.lvis import find_lvis, open_lvis
from napari_edgeflow.data.origin import find_folder
from napari_edgeflow.data.ritm_benchmarks import BENCHMARKS, open_benchmark
from napari_edgeflow.data.sbd import open_sbd
from napari_edgeflow.data.voc import open_voc
from napari_edgeflow.errors import DatasetError

_Open = Callable[[Path, str, str | None], Dataset]


def _open_benchmark(kind: str) -> _Open:
    return lambda path, _, name: open_benchmark(kind, path, name)


FORMATS: dict[str, _Open] = {
    "folder": lambda path, _, name: FolderDataset(path, name),
    **{kind: _open_benchmark(kind) for kind in BENCHMARKS},
    "voc": open_voc,
    "sbd": open_sbd,
    "coco": open_coco,
    "lvis": open_lvis,
    "coco_lvis": CocoLvisDataset,
}
"""From the name before the colon to what opens a path, for a split, under a name."""

WITH_SPLITS = frozenset({"voc", "sbd", "coco", "lvis", "coco_lvis"})
"""Formats that hold a training and a validation part."""

_SPEC = re.compile(r"(?P<format>\w{2,})(?:@(?P<split>[\w-]+))?:(?P<path>.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Spec:
    """What is asked for: a format (None: find out), a split (None: the caller's) and a path."""

    format: str | None
    split: str | None
    path: Path


def open_dataset(spec: str | Path, *, split: str = "val", name: str | None = None) -> Dataset:
    """The data set that ``spec`` asks for.

    Args:
        spec: A path, opened by what lies there; or ``FORMAT:PATH`` or ``FORMAT@SPLIT:PATH`` with a
            format of ``FORMATS``.
        split: The part of a data set that has parts, unless ``spec`` says another.
        name: For reports; the data set's own when None.

    Raises:
        DatasetError: It is not there (the message says where to get it), incomplete, or of no
            known form.
    """
    asked = parse_spec(spec)
    kind = asked.format or recognise(asked.path)
    return FORMATS[kind](asked.path, asked.split or split, name)


def dataset_name(spec: str | Path, *, split: str = "val") -> str:
    """The name that ``open_dataset`` gives, without opening anything large.

    Raises:
        DatasetError: ``spec`` names no format.
    """
    asked = parse_spec(spec)
    kind = asked.format or recognise(asked.path)
    if kind == "folder":
        return asked.path.resolve().name
    if asked.path.suffix == ".json":
        return asked.path.stem
    return f"{kind}_{asked.split or split}" if kind in WITH_SPLITS else kind


def parse_spec(spec: str | Path) -> Spec:
    """The parts of ``FORMAT@SPLIT:PATH``.

    Raises:
        DatasetError: The format is none that we know, or has no splits.
    """
    text = str(spec)
    match = _SPEC.fullmatch(text)
    if match is None or Path(text).exists():
        return Spec(None, None, Path(text))
    kind, split = match["format"].lower(), match["split"]
    if kind not in FORMATS:
        raise DatasetError(
            f"expected one of {', '.join(FORMATS)} before the colon, got {match['format']!r} in "
            f"{text!r}"
        )
    if split is not None and kind not in WITH_SPLITS:
        raise DatasetError(
            f"{kind} has no splits, got {split!r}; those with splits are "
            f"{', '.join(sorted(WITH_SPLITS))}"
        )
    return Spec(kind, split, Path(match["path"]))


def recognise(path: Path) -> str:
    """The format of what lies at ``path``; ``folder`` when it is none of the others.

    Raises:
        DatasetError: It could be several.
    """
    if path.is_file():
        return "lvis" if "lvis" in path.name.lower() else "coco"
    found = [kind for kind, is_there in _SIGNS.items() if is_there(path)]
    if len(found) > 1:
        choices = ", ".join(f"{kind}:{path}" for kind in found)
        raise DatasetError(f"{path} could be several data sets; say which: {choices}")
    return found[0] if found else "folder"


def _has(*wanted: str, below: tuple[str, ...] = ()) -> Callable[[Path], bool]:
    return lambda path: find_folder(path, wanted, below) is not None


_SIGNS: dict[str, Callable[[Path], bool]] = {
    "folder": _has("images", "masks"),
    "grabcut": _has("data_GT", "boundary_GT"),
    "davis": lambda path: _has("img", "gt")(path) and "mval" not in path.resolve().name.lower(),
    "coco_mval": lambda path: _has("img", "gt")(path) and "mval" in path.resolve().name.lower(),
    "sbd": _has("img", "inst", below=("benchmark_RELEASE/dataset", "dataset")),
    "voc": _has("JPEGImages", "SegmentationObject", below=("VOC2012", "VOCdevkit/VOC2012")),
    "coco": lambda path: any(_instances(path, split) for split in ("train", "val")),
    "lvis": lambda path: any(find_lvis(path, split) for split in ("train", "val")),
    "coco_lvis": lambda path: _SIGNS["coco"](path) and _SIGNS["lvis"](path),
}


def _instances(path: Path, split: str) -> bool:
    try:
        return find_instances(path, split) is not None
    except DatasetError:  # several years: still COCO
        return True
