"""PASCAL VOC: class and object masks with its palette, and boxes in XML."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from napari_edgeflow._files import write_whole
from napari_edgeflow.annotation.objects import AnnotationSet
from napari_edgeflow.errors import ExportError
from napari_edgeflow.export.coco import merge_classes
from napari_edgeflow.export.folders import make_folder, unique_stems
from napari_edgeflow.export.palette import palette_png, voc_palette
from napari_edgeflow.export.run import PLAIN_RUN, ExportRun
from napari_edgeflow.export.views import MappedLabels, read_whole

MAX_NUMBER = 254
"""Index 255 is VOC's "void"."""
_FOLDERS = ("SegmentationClass", "SegmentationObject", "Annotations", "ImageSets/Segmentation")


def write_voc(
    folder: Path, sets: Sequence[AnnotationSet], run: ExportRun = PLAIN_RUN
) -> tuple[str, ...]:
    """What the files could not hold, in words.

    Writes ``SegmentationClass``, ``SegmentationObject``, ``Annotations``,
    ``ImageSets/Segmentation/all.txt`` and ``labelmap.txt`` into the folder. Class indices follow
    the class list from 1; objects are numbered from 1 in each image.

    Raises:
        ExportError: More than 254 classes or objects in an image, classes disagree, two images
            have one name, or a file cannot be written.
    """
    numbers = {one.id: n for n, one in enumerate(merge_classes(sets), start=1)}
    stems = unique_stems(sets)
    _check(sets, numbers)
    for name in _FOLDERS:
        make_folder(folder / name)
    for number, (stem, annotated) in enumerate(zip(stems, sets, strict=True)):
        run.count(number, len(sets))
        _write_image(folder, stem, annotated, numbers)
    index = "".join(f"{stem}\n" for stem in stems)
    write_whole(folder / "ImageSets" / "Segmentation" / "all.txt", index.encode())
    write_whole(folder / "labelmap.txt", _label_map(sets).encode())
    notes = ["object ids are replaced by 1, 2, 3… in each image", "images are not copied"]
    if any(class_id != number for class_id, number in numbers.items()):
        notes.append("class ids are replaced by 1, 2, 3… in the order of the list")
    return tuple(notes)


def _check(sets: Sequence[AnnotationSet], numbers: dict[int, int]) -> None:
    if len(numbers) > MAX_NUMBER:
        raise ExportError(
            f"expected at most {MAX_NUMBER} classes for PASCAL VOC, got {len(numbers)}; use COCO"
        )
    for annotated in sets:
        if len(annotated.objects) > MAX_NUMBER:
            raise ExportError(
                f"expected at most {MAX_NUMBER} objects in an image for PASCAL VOC, got "
                f"{len(annotated.objects)} in {annotated.image.name}; use COCO, or crop the "
                "image into parts"
            )


def _write_image(
    folder: Path, stem: str, annotated: AnnotationSet, numbers: dict[int, int]
) -> None:
    palette = voc_palette()
    tables = {
        "SegmentationClass": {r.id: numbers[r.class_id] for r in annotated.objects},
        "SegmentationObject": {r.id: n for n, r in enumerate(annotated.objects, start=1)},
    }
    for name, table in tables.items():
        whole = read_whole(MappedLabels(annotated.labels, table), "PASCAL VOC")
        write_whole(folder / name / f"{stem}.png", palette_png(whole, palette))
    write_whole(folder / "Annotations" / f"{stem}.xml", _to_xml(annotated))


def _to_xml(annotated: AnnotationSet) -> bytes:
    """VOC's XML; boxes have corners of whole pixels counted from 1, both inside."""
    height, width = annotated.image.shape
    root = ET.Element("annotation")
    _add(root, "filename", annotated.image.name)
    size = ET.SubElement(root, "size")
    for name, value in (("width", width), ("height", height), ("depth", 3)):
        _add(size, name, str(value))
    _add(root, "segmented", "1")
    for record in annotated.objects:
        item = ET.SubElement(root, "object")
        _add(item, "name", annotated.class_of(record).name)
        for name, text in (("pose", "Unspecified"), ("truncated", "0"), ("difficult", "0")):
            _add(item, name, text)
        box, corners = record.box, ET.SubElement(item, "bndbox")
        places = {"xmin": box.x0 + 1, "ymin": box.y0 + 1, "xmax": box.x1, "ymax": box.y1}
        for name, place in places.items():
            _add(corners, name, str(place))
    ET.indent(root)
    content: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return content


def _add(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, name).text = text


def _label_map(sets: Sequence[AnnotationSet]) -> str:
    """A line ``name:r,g,b::`` for each colour of the class masks."""
    palette = voc_palette()
    names = ["background", *(one.name for one in merge_classes(sets))]
    return "".join(
        f"{name}:{','.join(map(str, palette[index]))}::\n" for index, name in enumerate(names)
    )
