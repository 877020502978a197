"""Folders of images and masks: what is read, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_edgeflow._types import AnyArray
from napari_edgeflow.data.folder import FolderDataset
from napari_edgeflow.errors import DatasetError


def write(path: Path, pixels: AnyArray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels, photometric="minisblack")
    else:
        Image.fromarray(pixels).save(path)


def grey(height: int = 6, width: int = 8) -> AnyArray:
    return np.arange(height * width, dtype=np.uint8).reshape(height, width)


def ids(dtype: str = "uint8", height: int = 6, width: int = 8) -> AnyArray:
    mask = np.zeros((height, width), dtype)
    mask[1:3, 1:5] = 1
    mask[4, 2:5] = 7
    return mask


def test_sixteen_bit_masks_mark_what_to_ignore(tmp_path: Path) -> None:
    mask = ids("uint16")
    mask[0, :] = 65535
    write(tmp_path / "images/a.png", grey())
    write(tmp_path / "masks/a.png", mask)

    sample = FolderDataset(tmp_path)[0]

    assert sample.areas() == {1: 8, 7: 3}
    assert sample.ignore.sum() == 8
    assert sample.ignore[0].all()
    assert not sample.labels[sample.ignore].any()
    assert sample.labels.dtype == np.int32
    np.testing.assert_array_equal(sample.image, grey())


def test_in_eight_bits_255_is_an_object(tmp_path: Path) -> None:
    write(tmp_path / "images/a.png", grey())
    write(tmp_path / "masks/a.png", np.where(ids() == 7, 255, 0).astype(np.uint8))

    sample = FolderDataset(tmp_path)[0]

    assert sample.areas() == {255: 3}
    assert not sample.ignore.any()


def test_order_is_by_name_and_other_files_are_left_alone(tmp_path: Path) -> None:
    for stem in ("b", "a", "c"):
        write(tmp_path / f"images/{stem}.jpg", grey())
        write(tmp_path / f"masks/{stem}.png", ids())
    (tmp_path / "images/Thumbs.db").write_bytes(b"x")
    (tmp_path / "images/._a.jpg").write_bytes(b"x")

    dataset = FolderDataset(tmp_path)

    assert len(dataset) == 3
    assert [sample.name for sample in dataset] == ["a", "b", "c"]
    assert dataset.name == tmp_path.name


@pytest.mark.parametrize(
    ("name", "pixels", "shape", "dtype"),
    [
        ("a.png", np.zeros((6, 8, 3), np.uint8), (6, 8, 3), "uint8"),
        ("a.png", np.zeros((6, 8, 4), np.uint8), (6, 8, 3), "uint8"),
        ("a.png", np.zeros((6, 8, 2), np.uint8), (6, 8, 3), "uint8"),
        ("a.png", np.zeros((6, 8), np.uint16), (6, 8), "uint16"),
        ("a.tif", np.zeros((6, 8), np.float32), (6, 8), "float32"),
        ("a.tif", np.zeros((3, 6, 8), np.uint16), (6, 8, 3), "uint16"),
    ],
)
def test_image_forms(
    tmp_path: Path, name: str, pixels: AnyArray, shape: tuple[int, ...], dtype: str
) -> None:
    write(tmp_path / "images" / name, pixels)
    write(tmp_path / "masks/a.tif", ids("uint32"))

    image = FolderDataset(tmp_path)[0].image

    assert image.shape == shape
    assert image.dtype == dtype


def test_palette_masks_give_indices_and_palette_images_colours(tmp_path: Path) -> None:
    palette = Image.fromarray(ids(), mode="P")
    palette.putpalette([0, 0, 0, 200, 100, 50] + [9] * 762)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        palette.save(tmp_path / folder / "a.png")

    sample = FolderDataset(tmp_path)[0]

    assert sample.areas() == {1: 8, 7: 3}
    assert sample.image[1, 1].tolist() == [200, 100, 50]


@pytest.mark.parametrize("missing", ["images", "masks"])
def test_a_missing_folder_names_the_layout(tmp_path: Path, missing: str) -> None:
    write(tmp_path / ("masks" if missing == "images" else "images") / "a.png", ids())
    with pytest.raises(DatasetError, match=rf"{missing} is not a folder.*images/ and masks/"):
        FolderDataset(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    write(tmp_path / "masks/a.png", ids())
    with pytest.raises(DatasetError, match="images holds none of"):
        FolderDataset(tmp_path)


def test_an_image_without_a_mask_is_named(tmp_path: Path) -> None:
    for stem in ("a", "b"):
        write(tmp_path / f"images/{stem}.png", grey())
    write(tmp_path / "masks/a.png", ids())
    with pytest.raises(DatasetError, match=r"1 image\(s\) without their mask: b;"):
        FolderDataset(tmp_path)


def test_a_mask_without_an_image_is_named(tmp_path: Path) -> None:
    write(tmp_path / "images/a.png", grey())
    for stem in ("a", "b"):
        write(tmp_path / f"masks/{stem}.png", ids())
    with pytest.raises(DatasetError, match=r"1 mask\(s\) without their image: b;"):
        FolderDataset(tmp_path)


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "images/a.png", grey())
    write(tmp_path / "images/a.jpg", grey())
    write(tmp_path / "masks/a.png", ids())
    with pytest.raises(DatasetError, match=r"both a\.jpg and a\.png"):
        FolderDataset(tmp_path)


def test_sizes_must_agree(tmp_path: Path) -> None:
    write(tmp_path / "images/a.png", grey(6, 8))
    write(tmp_path / "masks/a.png", ids(height=8, width=6))
    with pytest.raises(DatasetError, match="a: the image is 6 x 8 but its mask is 8 x 6"):
        FolderDataset(tmp_path)[0]


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("folder", ["images", "masks"])
def test_a_broken_file_is_named(tmp_path: Path, folder: str, name: str) -> None:
    write(tmp_path / "images" / name, grey())
    write(tmp_path / "masks" / name, ids())
    (tmp_path / folder / name).write_bytes((tmp_path / folder / name).read_bytes()[:40])
    with pytest.raises(DatasetError, match=rf"{folder}/{name}: cannot be read"):
        FolderDataset(tmp_path)[0]


def test_a_colour_mask_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "images/a.png", grey())
    write(tmp_path / "masks/a.png", np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(DatasetError, match="one channel of whole ids"):
        FolderDataset(tmp_path)[0]


def test_negative_ids_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "images/a.png", grey())
    write(tmp_path / "masks/a.tif", -ids("int16"))
    with pytest.raises(DatasetError, match=r"got -7…0"):
        FolderDataset(tmp_path)[0]


def test_a_stack_is_no_image(tmp_path: Path) -> None:
    write(tmp_path / "images/a.tif", np.zeros((5, 6, 8), np.uint8))
    write(tmp_path / "masks/a.png", ids())
    with pytest.raises(DatasetError, match=r"got \(5, 6, 8\)"):
        FolderDataset(tmp_path)[0]
