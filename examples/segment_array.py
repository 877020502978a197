"""Clicks become masks in plain Python: two nuclei of the bundled sample, written as one label TIFF.

python examples/segment_array.py [OUT.tif]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from skimage.io import imread

import napari_edgeflow
from napari_edgeflow import Predictor, Session
from napari_edgeflow.export.mask import write_label_image

SAMPLE = Path(napari_edgeflow.__file__).parent / "gui" / "sample_images" / "nuclei.jpg"
NUCLEI = [(181.0, 247.0), (155.0, 320.0)]


def main(out: Path) -> None:
    image = imread(SAMPLE)
    predictor = Predictor.from_zoo()
    print(predictor.device_line)
    session = Session(image, predictor, field_of_view=128)
    labels = np.zeros(image.shape, np.uint16)
    for number, (y, x) in enumerate(NUCLEI, start=1):
        session.add_click(y, x)
        prediction = session.finish()
        part = labels[prediction.window.slices]
        part[prediction.mask & (part == 0)] = number
        print(f"nucleus {number}: {int(prediction.mask.sum())} px, score {prediction.score:.2f}")
    write_label_image(out, labels)
    print(f"wrote {out}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "nuclei_labels.tif"))
