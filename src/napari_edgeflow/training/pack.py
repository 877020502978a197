"""All training images decoded once into two flat files, read through memory maps.

Decoding a JPEG for every crop costs more than cutting the crop; the pack also lets several
processes share one copy in the page cache.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_edgeflow._types import AnyArray
from napari_edgeflow.data.base import Sample
from napari_edgeflow.data.layers import one_layer_each
from napari_edgeflow.data.open import dataset_name, open_dataset
from napari_edgeflow.errors import DatasetError
from napari_edgeflow.raster.open import open_raster
from napari_edgeflow.raster.stretch import estimate_stretch

IGNORE = np.uint16(65535)
MIN_AREA_PX = 24
SPLIT = "train"


@dataclass(frozen=True, slots=True)
class PackedObject:
    """One annotated object: its image, id and box ``(y0, x0, y1, x1)``, half-open."""

    image: int
    label: int
    box: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class PackedImage:
    """Where an image lies in the pack."""

    dataset: str
    shape: tuple[int, int]
    offset_px: int


class Pack:
    """Read access to a pack folder.

    Raises:
        DatasetError: The folder holds no complete pack.
    """

    def __init__(self, folder: Path) -> None:
        try:
            index = json.loads((folder / "index.json").read_text())
        except (OSError, ValueError) as error:
            raise DatasetError(f"{folder} holds no packed data set: {error}") from error
        self.images = [
            PackedImage(i["dataset"], (i["shape"][0], i["shape"][1]), i["offset_px"])
            for i in index["images"]
        ]
        self.objects = [
            PackedObject(o[0], o[1], (o[2], o[3], o[4], o[5])) for o in index["objects"]
        ]
        total = int(index["total_px"])
        self._pixels = np.memmap(folder / "images.bin", np.uint8, "r", shape=(total, 3))
        self._labels = np.memmap(folder / "labels.bin", np.uint16, "r", shape=(total,))

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        """``(H, W, 3) uint8`` stretched RGB, a view of the map."""
        item = self.images[index]
        height, width = item.shape
        part = self._pixels[item.offset_px : item.offset_px + height * width]
        return part.reshape(height, width, 3)

    def labels(self, index: int) -> npt.NDArray[np.uint16]:
        """``(H, W) uint16`` ids, 65535 ignore, a view of the map."""
        item = self.images[index]
        height, width = item.shape
        return self._labels[item.offset_px : item.offset_px + height * width].reshape(height, width)


def write_pack(
    folders: Sequence[str | Path], out: Path, progress: Callable[[str], None] | None = None
) -> Pack:
    """Decodes every image of ``folders`` into ``out`` and returns the pack.

    ``folders`` are data sets as ``open_dataset`` takes them. Images go through the same
    global stretch as in the viewer (``raster.stretch``).

    Raises:
        DatasetError: A data set is not what its format promises.
    """
    if not folders:
        raise DatasetError(
            "expected at least one data set to train on, got none; name them in 'data'"
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / "index.json").unlink(missing_ok=True)
    images: list[dict[str, object]] = []
    objects: list[list[int]] = []
    offset = 0
    with (out / "images.bin").open("wb") as pixels, (out / "labels.bin").open("wb") as ids:
        for folder in folders:
            dataset = open_dataset(folder, split=SPLIT)
            for sample in one_layer_each(dataset):
                labels = _ids(sample)
                pixels.write(_rgb(sample).tobytes())
                ids.write(labels.tobytes())
                objects += [[len(images), *item] for item in _boxes(labels)]
                images.append({"dataset": dataset.name, "shape": sample.shape, "offset_px": offset})
                offset += sample.shape[0] * sample.shape[1]
            if progress is not None:
                progress(f"{dataset.name}: {len(images)} images, {len(objects)} objects")
    if not objects:
        raise DatasetError(
            f"expected objects of at least {MIN_AREA_PX} px to learn from, found none in "
            f"{', '.join(str(folder) for folder in folders)}"
        )
    index = {"images": images, "objects": objects, "total_px": offset}
    (out / "index.json").write_text(json.dumps(index))
    return Pack(out)


def check_pack(pack: Pack, folders: Sequence[str], where: Path) -> None:
    """Refuses a pack that was made of other data sets than ``folders`` (none: any will do).

    Raises:
        DatasetError: The pack holds other data sets.
    """
    wanted = {dataset_name(folder, split=SPLIT) for folder in folders}
    found = {image.dataset for image in pack.images}
    if wanted and wanted != found:
        raise DatasetError(
            f"expected the pack {where} to hold {', '.join(sorted(wanted))}, but it holds "
            f"{', '.join(sorted(found))}; delete that folder, or put 'out' beside another one"
        )


def _rgb(sample: Sample) -> npt.NDArray[np.uint8]:
    """``(H, W, 3) uint8`` as the network sees it."""
    image: AnyArray = sample.image if sample.image.ndim == 3 else sample.image[..., None]
    rgb = estimate_stretch(open_raster(sample.image)).apply(image)
    return np.rint(rgb * 255).astype(np.uint8)


def _ids(sample: Sample) -> npt.NDArray[np.uint16]:
    """``(H, W) uint16`` ids with the ignore mark; ids too large for it are counted anew."""
    labels = sample.labels
    if int(labels.max(initial=0)) >= int(IGNORE):
        values, inverse = np.unique(np.append(labels.ravel(), 0), return_inverse=True)
        if len(values) > int(IGNORE):
            raise DatasetError(f"{sample.name}: expected at most 65534 objects in an image")
        labels = inverse[:-1].reshape(labels.shape).astype(np.int32)
    ids: npt.NDArray[np.uint16] = labels.astype(np.uint16)
    ids[sample.ignore] = IGNORE
    return ids


def _boxes(labels: npt.NDArray[np.uint16]) -> list[list[int]]:
    """``[id, y0, x0, y1, x1]`` of every object that is large enough to learn from."""
    known = np.where(labels == IGNORE, 0, labels).astype(np.int32)
    found = []
    for index, box in enumerate(ndimage.find_objects(known)):
        if box is None or int((known[box] == index + 1).sum()) < MIN_AREA_PX:
            continue
        rows, columns = box
        found.append([index + 1, rows.start, columns.start, rows.stop, columns.stop])
    return found
