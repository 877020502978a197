"""A mask made elsewhere is corrected by clicks: a threshold merged two nuclei of the sample.

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
    parts, _ = ndimage.label(image > 45)
    mask = parts == parts[45, 140]  # two nuclei that touch
    session = Session(image, Predictor.from_zoo(), initial_mask=mask)
    session.add_click(45.0, 140.0)  # this nucleus is meant
    session.add_click(35.0, 83.0, is_positive=False)  # and not that one
    prediction = session.add_click(50.0, 95.0, is_positive=False)
    print(f"{int(mask.sum())} px before, {int(prediction.mask.sum())} px after three clicks")
    write_label_image(out, prediction.full_mask(image.shape).astype(np.uint8))
    print(f"wrote {out}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "corrected.png"))
