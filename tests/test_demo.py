"""scripts/demo.py: its mouse hits the pixel that it names, in a real window."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "demo.py"


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("edgeflow_demo", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["edgeflow_demo"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("is_positive", [True, False])
@pytest.mark.parametrize("side_px", [60.0, 300.0])
def test_clicks_land_on_the_pixel(
    demo: ModuleType,
    make_napari_viewer: Callable[..., Any],
    qtbot: Any,
    is_positive: bool,
    side_px: float,
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.zeros((300, 400), dtype=np.uint8))
    presses: list[tuple[tuple[float, ...], int]] = []
    viewer.mouse_drag_callbacks.append(
        lambda _viewer, event: presses.append((tuple(event.position), event.button))
    )
    demo.look_at(viewer, (120.0, 200.0), side_px)
    for y, x in ((120.0, 200.0), (130.0, 185.0), (101.0, 222.0)):
        presses.clear()
        demo.click_at(viewer, y, x, is_positive)
        qtbot.waitUntil(lambda: len(presses) == 1)
        (position, button) = presses[0]
        screen_pixel = 1 / demo.find_camera(viewer).zoom
        assert position == pytest.approx((y, x), abs=screen_pixel)
        assert button == (1 if is_positive else 2)


def test_the_demo_s_objects_lie_in_the_sample_and_in_view(demo: ModuleType) -> None:
    for stroke in demo.STROKES:
        assert stroke.clicks[0][2], "the first click on an object is positive"
        for y, x, _ in stroke.clicks:
            assert 0 <= y < 1280
            assert 0 <= x < 1280
            assert abs(y - stroke.centre_yx[0]) < stroke.side_px / 2
            assert abs(x - stroke.centre_yx[1]) < stroke.side_px / 2
