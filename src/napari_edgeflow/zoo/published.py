"""Checkpoints that others have published and that can be downloaded and imported."""

from __future__ import annotations

from dataclasses import dataclass

_RITM = "https://github.com/saic-vul/ritm_interactive_segmentation/releases/download/v1.0"
_EISEG = "https://bj.bcebos.com/paddleseg/dygraph/interactive_segmentation/ritm"
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A checkpoint on the web.

    Attributes:
        name: What the user chooses; the imported model gets it.
        url: As its publisher documents it.
        network: Registered architecture that it is expected to fill.
        licence: As its publisher states it.
        summary: One line.
        about_bytes: Size as its publisher documents it, rounded; 0: not documented.
        sha256: Of the file; empty: not yet recorded by this package, so that the first
            download decides (see ``zoo.store.pin``).
    """

    name: str
    url: str
    network: str
    licence: str
    summary: str
    about_bytes: int = 0
    sha256: str = ""

    @property
    def file_name(self) -> str:
        """Last part of the address."""
        return self.url.rpartition("/")[2]


def _ritm(name: str, file: str, network: str, size_mib: float, summary: str) -> PublishedFile:
    """A file of release 1.0 of RITM; its page gives sizes in units of 2²⁰ bytes, rounded."""
    size = round(size_mib * _MIB)
    return PublishedFile(name, f"{_RITM}/{file}", network, "MIT", summary, size)


def _eiseg(name: str, file: str, network: str, summary: str) -> PublishedFile:
    return PublishedFile(name, f"{_EISEG}/{file}", network, "Apache-2.0", summary)


PUBLISHED: tuple[PublishedFile, ...] = (
    _ritm(
        "ritm-h18s-cocolvis",
        "coco_lvis_h18s_itermask.pth",
        "ritm-h18s",
        16.5,
        "RITM, HRNet-18s, COCO+LVIS; the fastest of them",
    ),
    _ritm(
        "ritm-h18-cocolvis",
        "coco_lvis_h18_itermask.pth",
        "ritm-h18",
        38.8,
        "RITM, HRNet-18, COCO+LVIS",
    ),
    _ritm(
        "ritm-h32-cocolvis",
        "coco_lvis_h32_itermask.pth",
        "ritm-h32",
        119,
        "RITM, HRNet-32, COCO+LVIS; the most exact of them on photographs",
    ),
    _ritm(
        "ritm-h18-sbd",
        "sbd_h18_itermask.pth",
        "ritm-h18",
        38.8,
        "RITM, HRNet-18, SBD",
    ),
    _ritm(
        "ritm-h18-baseline-cocolvis",
        "coco_lvis_h18_baseline.pth",
        "ritm-h18-baseline",
        38.8,
        "RITM without the mask of the step before, HRNet-18, COCO+LVIS",
    ),
    _eiseg(
        "eiseg-h18s-cocolvis",
        "hrnet18s_ocr48_cocolvis.pdparams",
        "ritm-h18s",
        "RITM as trained by EISeg, HRNet-18s, COCO+LVIS",
    ),
    _eiseg(
        "eiseg-h18-cocolvis",
        "hrnet18_ocr64_cocolvis.pdparams",
        "ritm-h18",
        "RITM as trained by EISeg, HRNet-18, COCO+LVIS",
    ),
)


def find_published(name: str) -> PublishedFile:
    """The published file called ``name``.

    Raises:
        ValueError: There is none.
    """
    for item in PUBLISHED:
        if item.name == name:
            return item
    known = ", ".join(item.name for item in PUBLISHED)
    raise ValueError(
        f"nothing to download is called {name!r}; known are {known}. A file that you have "
        "already becomes a model with 'napari-edgeflow models import FILE'"
    )
