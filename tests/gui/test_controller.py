from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_edgeflow._types import Click

from .fakes import region, squares


@pytest.fixture
def viewer() -> Any:
    return ViewerModel()


def test_a_click_makes_the_mask_of_the_object(viewer, make_controller, settle, preview_mask):
    image = viewer.add_image(squares())
    controller = make_controller(viewer)
    controller.bind(image)
    controller.click((15.0, 20.0), True)
    settle(controller)
    expected = region(image.data, [Click(15, 20)])
    assert expected.sum() == 15 * 20
    assert np.array_equal(preview_mask(controller, (60, 80)), expected)


def test_sign_and_order_reach_the_session(viewer, make_controller, settle, predictor):
    image = viewer.add_image(squares())
    controller = make_controller(viewer)
    controller.bind(image)
    controller.click((15.0, 20.0), True)
    controller.click((12.4, 11.6), False)
    controller.click((40.0, 50.0), True)
    settle(controller)
    expected = (Click(15, 20), Click(12.4, 11.6, False), Click(40, 50))
    assert predictor.click_lists[-1] == expected
