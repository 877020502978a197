"""A mask made elsewhere is corrected by a click: a threshold's result on the bundled nuclei.

python examples/correct_mask.py [OUT.png]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage.io import imread

import napari_edgeflow
from napari_edgeflow import Predictor, Session
from napari_edgeflow.export.mask import write_label_image

SAMPLE = Path(napari_edgeflow.__file__).parent / "gui" / "sample_images" / "nuclei.jpg"


def main(out: Path) -> None:
    image = imread(SAMPLE)
    parts, count = ndimage.label(image > np.percentile(image, 95))
    sizes = ndimage.sum_labels(parts > 0, parts, range(1, count + 1))
    mask = parts == 1 + int(np.argmax(sizes))  # touching nuclei, most likely
    session = Session(image, Predictor.from_zoo(), initial_mask=mask)
    y, x = np.argwhere(mask)[-1]  # let the last pixel not belong to the object
    prediction = session.add_click(float(y), float(x), is_positive=False)
    print(f"{int(mask.sum())} px before the click, {int(prediction.mask.sum())} px after it")
    write_label_image(out, prediction.full_mask(image.shape).astype(np.uint8))
    print(f"wrote {out}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "corrected.png"))
