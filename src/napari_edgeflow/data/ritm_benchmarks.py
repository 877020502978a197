"""The benchmarks published with RITM, in the layouts that their zips have; one object an image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_edgeflow.data.origin import Origin
from napari_edgeflow.data.pairs import PairDataset, ReadMask, object_above_0, object_above_128

_PAGE = "https://github.com/saic-vul/ritm_interactive_segmentation#datasets"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """How one of them is laid out.

    Attributes:
        title: Its name, and that of its zip and of the folder that the zip makes.
        folders: Names of the folders of images and of masks.
        read_mask: What a mask's values mean.
    """

    title: str
    folders: tuple[str, str]
    read_mask: ReadMask


BENCHMARKS: dict[str, Benchmark] = {
    # 50 photographs (Rother et al. 2004); a band along the outline belongs to nobody.
    "grabcut": Benchmark("GrabCut", ("data_GT", "boundary_GT"), object_above_128),
    # 100 objects on 96 photographs (McGuinness and O'Connor 2010): a photograph with two objects
    # is there twice.
    "berkeley": Benchmark("Berkeley", ("images", "masks"), object_above_128),
    # DAVIS-345, frames of videos (Jang and Kim 2019): all objects of a frame as one.
    "davis": Benchmark("DAVIS", ("img", "gt"), object_above_0),
    # 800 objects of COCO's validation images, ten of each class.
    "coco_mval": Benchmark("COCO_MVal", ("img", "gt"), object_above_0),
}
"""By the name before the colon of a data set."""


def open_benchmark(kind: str, path: Path, name: str | None = None) -> PairDataset:
    """The benchmark ``kind`` of ``BENCHMARKS`` in ``path``.

    Raises:
        DatasetError: It is not there, or incomplete.
    """
    one = BENCHMARKS[kind]
    images, masks = one.folders
    return PairDataset(
        path,
        name=name or kind,
        origin=Origin(
            one.title,
            _PAGE,
            f"unpack {one.title}.zip, so that the folder holds {images}/ and {masks}/.",
        ),
        folders=one.folders,
        read_mask=one.read_mask,
        below=(one.title,),
    )
