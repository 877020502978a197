"""What is known of an image, there and back through JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from napari_edgeflow.annotation.objects import ImageInfo
from napari_edgeflow.annotation.serialize import image_from_json, image_to_json
from napari_edgeflow.raster.georef import GeoReference
from napari_edgeflow.raster.place import MapPlace

PLACE = MapPlace((0.1, 0.2, 733601.123456789, 1 / 3, -0.5, 3725139.75), 'PROJCRS["a"]')


@pytest.mark.parametrize(
    "image",
    [
        ImageInfo("a.tif", (3, 4)),
        ImageInfo("a.tif", (3, 4), (0.1, 1 / 3), "um", GeoReference((1.0, 2.0)), Path("b"), PLACE),
        ImageInfo("a.tif", (3, 4), place=MapPlace(PLACE.affine)),
    ],
)
def test_an_image_comes_back_to_the_last_bit(image: ImageInfo) -> None:
    assert image_from_json(json.loads(json.dumps(image_to_json(image)))) == image


def test_a_journal_from_before_places_were_kept() -> None:
    old = image_to_json(ImageInfo("a.tif", (3, 4)))
    del old["place"]
    assert image_from_json(old) == ImageInfo("a.tif", (3, 4))
