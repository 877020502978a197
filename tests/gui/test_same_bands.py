"""The network gets the same pixels in the window and headless, whatever bands were chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_edgeflow._types import Click
from napari_edgeflow.gui.clicks.engine import open_session
from napari_edgeflow.gui.files.reader import read_image
from napari_edgeflow.gui.planes import Plane, PlaneImage
from napari_edgeflow.inference.session import Session
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.open import open_raster
from napari_edgeflow.raster.view import BandView, view_of

from ..inference.fakes import ColourPredictor
from .test_reader import _satellite


def _in_window(path: Path, view: BandView) -> PlaneImage:
    """What the window hands to the worker for a layer of this file with these bands."""
    ((data, options, _),) = read_image(path)
    plane = Plane((None, None), (90, 120))
    return PlaneImage(options["name"], data, options["rgb"], options["multiscale"], plane, view)


@pytest.mark.parametrize(
    ("bands", "rule", "gamma"), [((3, 2, 1), "strong", 0.7), ((4,), "full", 1.0)]
)
def test_window_and_headless_agree(
    tmp_path: Path, bands: tuple[int, ...], rule: str, gamma: float
) -> None:
    path = _satellite(tmp_path / "a.tif")
    seen: list[Any] = []
    clicks = [Click(50.0, 60.0), Click(70.0, 90.0, False)]
    with open_raster(path) as raster:
        assert isinstance(raster, ArrayRaster)
        view = view_of(raster, bands, rule, gamma)
        told = BandView.from_json(view.to_json())
        headless = ColourPredictor()
        session = Session(raster, headless, 60.0, bands=told.bands, stretch=told.stretch)
        session.set_clicks(clicks)
        seen.append((headless.images, session.prediction))
    window = ColourPredictor()
    other: Any = open_session(_in_window(path, view), window, 60.0)
    other.set_clicks(clicks)
    seen.append((window.images, other.prediction))
    (images, prediction), (shown, answer) = seen
    assert len(images) == len(shown) > 0
    for one, two in zip(images, shown, strict=True):
        np.testing.assert_array_equal(one, two)
    assert prediction.window == answer.window
    np.testing.assert_array_equal(prediction.mask, answer.mask)
    default = ColourPredictor()
    with open_raster(path) as raster:
        Session(raster, default, 60.0).set_clicks(clicks)
    assert not np.array_equal(default.images[0], images[0])  # the bands do matter
