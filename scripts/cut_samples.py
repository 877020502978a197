"""Cuts the bundled sample images out of the project's data folder.

Run it again only to change what is bundled::

    python scripts/cut_samples.py DATA_FOLDER
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import rasterio
from rasterio.windows import Window

TARGET = Path(__file__).parents[1] / "src" / "napari_edgeflow" / "gui" / "sample_images"

# Photographs and micrographs, all of the validation split, are bundled byte for byte.
COPIES = {
    "nuclei.jpg": "val/micro_dsb2018/images/4e1c889de3764694.jpg",
    "phase_contrast.jpg": "val/micro_usiigaci_phase/images/val_set48.jpg",
    "mushrooms.jpg": "val/nat_mushrooms/images/"
    "train_IMG_4984-2024-03-11-15_23_11_jpeg.rf.04f4fbc5ac1577d76f113bb879216224.jpg",
}

# Five by five whole zoom-21 tiles, x 1238453–1238457, y 1046530–1046534.
AERIAL_SOURCE = "rasters/fair_oam_z21_image.tif"
AERIAL_WINDOW = Window(29 * 256, 2 * 256, 5 * 256, 5 * 256)


def cut_aerial(source_path: Path, target_path: Path) -> None:
    """Writes the window of the GeoTIFF with its own georeference, JPEG-compressed."""
    with rasterio.open(source_path) as source:
        pixels = source.read(window=AERIAL_WINDOW)
        with rasterio.open(
            target_path,
            "w",
            driver="GTiff",
            dtype=pixels.dtype,
            count=pixels.shape[0],
            height=pixels.shape[1],
            width=pixels.shape[2],
            crs=source.crs,
            transform=source.window_transform(AERIAL_WINDOW),
            tiled=True,
            blockxsize=256,
            blockysize=256,
            compress="jpeg",
            photometric="ycbcr",
            jpeg_quality=80,
        ) as target:
            target.write(pixels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder that holds val/ and rasters/")
    data = parser.parse_args().data
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, source in COPIES.items():
        shutil.copyfile(data / source, TARGET / name)
    cut_aerial(data / AERIAL_SOURCE, TARGET / "aerial_buildings.tif")
    for path in sorted(TARGET.iterdir()):
        print(f"{path.stat().st_size / 1024:7.0f} KiB  {path.name}")


if __name__ == "__main__":
    main()
