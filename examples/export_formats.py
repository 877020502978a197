"""Objects in every format: nuclei found by a threshold, exported and read back.

python examples/export_formats.py [OUT.png]

The label mask goes to OUT.png, all other formats into a folder beside it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from scipy import ndimage
from skimage.io import imread

import napari_edgeflow
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.commands import NewObject, commit_object
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.import_coco import read_coco
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.objects import ImageInfo, measure_labels
from napari_edgeflow.annotation.store import ArrayStore, StoredPlane
from napari_edgeflow.export.formats import FORMATS, export
from napari_edgeflow.export.pictures import StretchedPixels
from napari_edgeflow.raster.open import open_raster

SAMPLE = Path(napari_edgeflow.__file__).parent / "gui" / "sample_images" / "nuclei.jpg"


def main(out: Path) -> None:
    folder = out.with_name(f"{out.stem}-formats")
    folder.mkdir(exist_ok=True)
    source = open_raster(SAMPLE)
    parts, _ = ndimage.label(imread(SAMPLE) > 60)
    store = ArrayStore.empty(source.shape)
    journal_file = folder / "nuclei.edgeflow"
    journal_file.unlink(missing_ok=True)
    with Journal.open(journal_file) as journal:
        image = ImageInfo(SAMPLE.name, source.shape, path=SAMPLE)
        history = History.begin(journal, image, store, State(ClassList().add("nucleus")))
        for label, (box, area) in measure_labels(StoredPlane(ArrayStore(parts))).items():
            if area > 100:
                mask = parts[box.slices] == label
                about = NewObject(class_id=1, model="threshold")
                history.do(commit_object(history.state, store, box, mask, about))
        history.undo()  # the last one is taken back, and done again
        history.redo()
        annotated = history.annotations(pixels=StretchedPixels.of(source))
    for name, form in FORMATS.items():
        if "place" in form.needs:  # these nuclei lie nowhere on the map
            continue
        path = out if name == "label_png" else folder / f"{name}{form.suffix}"
        report = export(name, path, [annotated])
        print(f"{path}: {'; '.join(report.notes) or 'holds everything'}")
    (again,) = read_coco(folder / "coco.json")
    print(f"{len(again.objects)} objects read back from COCO")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "nuclei.png"))
