"""What the network is shown without the session's zoom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from napari_edgeflow._types import AnyArray, BoolArray, Click, ClickKind, FloatArray, Window
from napari_edgeflow.evaluation.views import FixedView, RitmView, resize_corners, ritm_box
from napari_edgeflow.inference.predictor import RawPrediction, SupportsPredict


class Threshold:
    """Says that what is bright is the object, and keeps what it was shown."""

    name, input_side = "threshold", 64
    click_kinds: tuple[ClickKind, ...] = ("positive", "negative")

    takes_prior = True

    @property
    def stages(self) -> tuple[SupportsPredict, ...]:
        return (self,)

    def __init__(self) -> None:
        self.shown: list[tuple[FloatArray, list[Click], FloatArray | None]] = []

    def predict(
        self, image: FloatArray, clicks: Sequence[Click], prior: FloatArray | None
    ) -> RawPrediction:
        self.shown.append((image, list(clicks), prior))
        logits = np.where(image[..., 0] > 0.5, 4.0, -4.0).astype(np.float32)
        return RawPrediction(logits, (1 / (1 + np.exp(-logits))).astype(np.float32))

    def glance(self, image: FloatArray, clicks: Sequence[Click]) -> FloatArray:
        raise AssertionError("nobody zooms here")

    def prior_from_mask(self, mask: BoolArray) -> FloatArray:
        return mask.astype(np.float32)


def bright_box(shape: tuple[int, int], window: Window) -> AnyArray:
    image = np.zeros(shape, np.uint8)
    image[window.slices] = 255
    return image


def test_the_fixed_view_is_the_field_of_view_at_every_click() -> None:
    predictor, image = Threshold(), bright_box((200, 300), Window(80, 100, 120, 160))
    segmenter = FixedView(predictor)
    segmenter.begin(image, 128)
    segmenter.click(Click(100, 130))
    mask = segmenter.click(Click(90, 105, False))

    np.testing.assert_array_equal(mask[:, 66:194] | (image[:, 66:194] > 0), image[:, 66:194] > 0)
    assert mask[100, 130]
    assert not mask[90, 105]
    assert not mask[:36].any()
    assert not mask[164:].any()
    # a square of 128 px around (100, 130) at 64 px: half the size, edges onto edges
    (first, clicks, prior), (second, more, fed_back) = predictor.shown
    assert first.shape == second.shape == (64, 64, 3)
    assert prior is None
    assert fed_back is not None
    assert fed_back.shape == (64, 64)
    assert more == [*clicks, Click((90 - 36 + 0.5) / 2 - 0.5, (105 - 66 + 0.5) / 2 - 0.5, False)]


def test_a_click_outside_of_the_fixed_view_is_not_seen() -> None:
    predictor = Threshold()
    segmenter = FixedView(predictor)
    segmenter.begin(bright_box((200, 300), Window(80, 100, 120, 160)), 64)
    first = segmenter.click(Click(100, 130))
    np.testing.assert_array_equal(segmenter.click(Click(5, 5)), first)
    assert len(predictor.shown[-1][1]) == 1


def test_ritm_sees_the_whole_image_first_and_then_the_object() -> None:
    predictor, image = Threshold(), bright_box((500, 700), Window(100, 200, 300, 400))
    segmenter = RitmView(predictor)
    segmenter.begin(image, 700)
    first = segmenter.click(Click(200, 300))
    second = segmenter.click(Click(150, 220))

    np.testing.assert_array_equal(first, image > 0)
    (whole, clicks, prior), (part, moved, fed_back) = predictor.shown
    assert whole.shape == (500, 700, 3)
    assert clicks == [Click(200, 300)]
    assert prior is not None
    assert not prior.any()
    # rows 100…299 and columns 200…399: 200 px, 1.4 times as large 280, from 59.5 and 159.5 on,
    # which round to 60 and 160 (to even), up to 339.5 and 439.5, that is to 340 and 440: 281 px
    box = Window(60, 160, 341, 441)
    assert ritm_box(image > 0, [Click(200, 300)]) == box
    assert part.shape == (400, 400, 3)
    assert moved == [
        Click((200 - 60) * 400 / 281, (300 - 160) * 400 / 281),
        Click((150 - 60) * 400 / 281, (220 - 160) * 400 / 281),
    ]
    expected = resize_corners(whole[box.slices], (400, 400))
    np.testing.assert_array_equal(part, expected)
    assert fed_back is not None
    assert (fed_back > 0.9).mean() == pytest.approx((200 / 281) ** 2, abs=0.02)
    agreement = (second & first).sum() / (second | first).sum()
    assert agreement > 0.98


def test_ritm_keeps_its_box_while_it_serves() -> None:
    predictor, image = Threshold(), bright_box((500, 700), Window(100, 200, 300, 400))
    segmenter = RitmView(predictor, 100)
    segmenter.begin(image, 700)
    sides = []
    for click in (Click(200, 300), Click(150, 220), Click(350, 300, False), Click(480, 300)):
        segmenter.click(click)
        sides.append(predictor.shown[-1][0].shape[:2])
    # a negative click outside moves nothing; a positive one does: all 500 rows, some 280 columns
    assert sides[:3] == [(500, 700), (100, 100), (100, 100)]
    assert sides[3][0] == 100
    assert 55 <= sides[3][1] <= 60


def test_ritm_looks_at_everything_while_the_mask_is_empty() -> None:
    predictor = Threshold()
    segmenter = RitmView(predictor)
    segmenter.begin(bright_box((300, 300), Window(0, 0, 1, 1)) // 255, 300)
    segmenter._image[:] = 0.0
    for _ in range(3):
        assert not segmenter.click(Click(9, 9)).any()
        assert predictor.shown[-1][0].shape == (300, 300, 3)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (Window(0, 0, 10, 10), Window(0, 0, 105, 105)),  # at least 200 px, cut at the corner
        (Window(290, 390, 300, 400), Window(194, 294, 300, 400)),
        (Window(0, 0, 300, 400), Window(0, 0, 300, 400)),
    ],
)
def test_ritms_box_stays_in_the_image(box: Window, expected: Window) -> None:
    mask = np.zeros((300, 400), dtype=bool)
    mask[box.slices] = True
    assert ritm_box(mask, []) == expected


@pytest.mark.parametrize("shape", [(3, 4), (7, 5), (20, 31), (1, 1)])
def test_resizing_puts_corners_onto_corners_like_torch(shape: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    plane = np.random.default_rng(0).random((9, 11, 3), np.float32)
    tensor = torch.from_numpy(plane).permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(
        tensor, size=shape, mode="bilinear", align_corners=True
    )
    found = resize_corners(plane, shape)
    np.testing.assert_allclose(found, expected[0].permute(1, 2, 0).numpy(), atol=1e-5)
