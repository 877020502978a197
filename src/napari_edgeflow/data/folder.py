"""A folder of images beside a folder of masks: the form that all our data sets have.

``images/<stem>.jpg|png|tif`` and ``masks/<stem>.png|tif``. Masks hold one channel of ids: 0 is
background, 1…N are objects and 65535 marks pixels to leave out. 8-bit masks have no such
mark: there 255 is an id like any other (a 0/255 mask is one object).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from napari_edgeflow._types import AnyArray, LabelArray
from napari_edgeflow.data.base import Sample
from napari_edgeflow.errors import DatasetError

IGNORE_ID = 65535
"""Value of a mask's pixels that belong neither to an object nor to the background."""

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})
MASK_SUFFIXES = frozenset({".png", ".tif", ".tiff"})
_LAYOUT = (
    "a data set is a folder with images/ and masks/, "
    "where masks/NAME.png belongs to images/NAME.jpg"
)


class FolderDataset:
    """The annotated images of ``path``, in the order of their names.

    The files are listed and paired at once and read one by one.

    Args:
        path: Folder that holds ``images/`` and ``masks/``.
        name: For reports; the folder's own name when None.

    Raises:
        DatasetError: The folders are missing or empty, or images and masks do not pair up.
    """

    def __init__(self, path: str | Path, name: str | None = None) -> None:
        self.path = Path(path)
        self.name = self.path.resolve().name if name is None else name
        images = _files_by_stem(self.path / "images", IMAGE_SUFFIXES)
        masks = _files_by_stem(self.path / "masks", MASK_SUFFIXES)
        _check_pairs(self.path, set(images), set(masks))
        self._pairs = [(stem, images[stem], masks[stem]) for stem in sorted(images)]

    def __len__(self) -> int:
        """Number of images."""
        return len(self._pairs)

    def __getitem__(self, index: int) -> Sample:
        """The image at ``index`` with its objects.

        Raises:
            DatasetError: A file cannot be read, or image and mask differ in size.
            IndexError: No such image.
        """
        stem, image_path, mask_path = self._pairs[index]
        ids = read_mask(mask_path)
        ignore = np.asarray(ids == IGNORE_ID, dtype=bool)
        labels = np.where(ignore, 0, ids).astype(np.int32)
        try:
            return Sample(stem, read_image(image_path), labels, ignore)
        except DatasetError as error:
            raise DatasetError(f"{self.path}: {error}") from error

    def __iter__(self) -> Iterator[Sample]:
        """All samples in order."""
        return (self[index] for index in range(len(self)))


def read_image(path: Path) -> AnyArray:
    """``(H, W)`` or ``(H, W, 3)`` pixels of an image file; transparency is dropped.

    Raises:
        DatasetError: The file cannot be read or has another shape.
    """
    pixels = _read_tiff(path) if _is_tiff(path) else _read_with_pillow(path, colours=True)
    if pixels.ndim == 3 and pixels.shape[2] not in (3, 4) and pixels.shape[0] in (3, 4):
        pixels = np.moveaxis(pixels, 0, 2)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = pixels[..., :3]
    if pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3):
        return pixels
    raise DatasetError(
        f"{path}: expected a grey (H, W) or an RGB (H, W, 3) image, got {pixels.shape}"
    )


def read_mask(path: Path) -> LabelArray:
    """``(H, W)`` ids of a mask file, just as they are stored.

    Raises:
        DatasetError: The file cannot be read, or does not hold one channel of ids.
    """
    ids = _read_tiff(path) if _is_tiff(path) else _read_with_pillow(path, colours=False)
    if ids.dtype == bool:
        ids = ids.astype(np.uint8)
    if ids.ndim != 2 or ids.dtype.kind not in "ui":
        raise DatasetError(
            f"{path}: expected one channel of whole ids, got {ids.shape} {ids.dtype}; "
            "save the mask as 8- or 16-bit grey PNG"
        )
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) <= np.iinfo(np.int32).max:
        raise DatasetError(
            f"{path}: ids must lie in 0…2147483647, got {ids.min()}…{ids.max()}; number the "
            "objects anew"
        )
    return ids


def _is_tiff(path: Path) -> bool:
    return path.suffix.lower() in {".tif", ".tiff"}


def _read_tiff(path: Path) -> AnyArray:
    """The pixels of a TIFF file."""
    import tifffile

    try:
        return np.asarray(tifffile.imread(path))
    except (OSError, ValueError, KeyError, tifffile.TiffFileError) as error:
        raise _unreadable(path, error) from error


def _read_with_pillow(path: Path, *, colours: bool) -> AnyArray:
    """The pixels of a PNG, JPEG…; a palette's indices unless ``colours`` are asked for."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            indirect = file.mode in ("P", "PA", "LA", "CMYK", "YCbCr")
            return np.asarray(file.convert("RGB") if colours and indirect else file)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DatasetError:
    return DatasetError(
        f"{path}: cannot be read ({type(error).__name__}: {error}); replace or remove the file"
    )


def _files_by_stem(folder: Path, suffixes: frozenset[str]) -> dict[str, Path]:
    """The files of ``folder`` with one of ``suffixes``, by their stem."""
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder; {_LAYOUT}")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if path.stem in found:
            raise DatasetError(
                f"{folder} holds both {found[path.stem].name} and {path.name}; keep one of them"
            )
        found[path.stem] = path
    if not found:
        raise DatasetError(f"{folder} holds none of {', '.join(sorted(suffixes))}; {_LAYOUT}")
    return found


def _check_pairs(path: Path, images: set[str], masks: set[str]) -> None:
    """Raise DatasetError unless every image has a mask and the other way round."""
    for missing, kind, other in (
        (images - masks, "mask", "image"),
        (masks - images, "image", "mask"),
    ):
        if missing:
            names = ", ".join(sorted(missing)[:5]) + (" …" if len(missing) > 5 else "")
            raise DatasetError(
                f"{path}: {len(missing)} {other}(s) without their {kind}: {names}; "
                f"add the {kind}s or remove the {other}s ({_LAYOUT})"
            )
