from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from tests.inference.fakes import ColourPredictor

from napari_edgeflow._types import (
    AnyArray,
    BoolArray,
    Click,
    FloatArray,
    MaskPatch,
    PostProcessing,
    Prediction,
    Window,
)
from napari_edgeflow.errors import Cancelled
from napari_edgeflow.inference.cascade import finest_stage, step_computer
from napari_edgeflow.inference.predictor import RawPrediction
from napari_edgeflow.inference.refine import Refinement, is_worthwhile, refine, stage_scales
from napari_edgeflow.inference.session import Session
from napari_edgeflow.inference.tiling import (
    Lattice,
    boundary,
    deepest_pixels,
    near_boundary,
    without_islands,
)
from napari_edgeflow.raster.open import open_raster
from napari_edgeflow.raster.stretch import Stretch

FULL = Stretch((0.0,) * 3, (255.0,) * 3)


class BatchPredictor(ColourPredictor):
    """Answers several views at once, and counts how often."""

    def __init__(self, input_side: int = 64) -> None:
        super().__init__(input_side)
        self.batches: list[int] = []

    def predict_batch(
        self,
        images: Sequence[FloatArray],
        clicks: Sequence[Sequence[Click]],
        priors: Sequence[FloatArray],
    ) -> list[RawPrediction]:
        self.batches.append(len(images))
        return [self.predict(*view) for view in zip(images, clicks, priors, strict=True)]


def _wavy(shape: tuple[int, int] = (400, 460)) -> BoolArray:
    """A blob with waves along its border that a coarse look cannot show."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    angle = np.arctan2(y - shape[0] / 2, x - shape[1] / 2)
    radius = 0.38 * min(shape) + 6 * np.sin(17 * angle)
    inside: BoolArray = np.hypot(y - shape[0] / 2, x - shape[1] / 2) < radius
    return inside


def _picture(truth: BoolArray) -> AnyArray:
    image = np.full((*truth.shape, 3), 90, np.uint8)
    image[truth] = (220, 0, 0)
    return image


def _clicked(truth: BoolArray, predictor: ColourPredictor) -> Session:
    session = Session(_picture(truth), predictor, float(max(truth.shape)), stretch=FULL)
    rows, columns = np.nonzero(truth)
    session.add_click(int(np.median(rows)), int(np.median(columns)))
    return session


def _errors(prediction: Prediction, truth: BoolArray) -> int:
    return int((prediction.full_mask(truth.shape) != truth).sum())


def test_the_refined_outline_is_exact_where_the_coarse_one_is_not() -> None:
    truth, predictor = _wavy(), ColourPredictor()
    session = _clicked(truth, predictor)
    coarse = session.prediction
    assert coarse is not None
    assert coarse.grain_px > 6
    assert session.can_refine
    assert _errors(coarse, truth) > 200
    fine = session.refine()
    assert _errors(fine, truth) == 0
    assert fine.grain_px == 1
    assert fine.is_whole
    assert np.array_equal(fine.probs > 0.5, fine.mask)
    assert session.is_refined
    assert not session.can_refine


@pytest.mark.parametrize(
    "box",
    [
        Window(0, 0, 160, 220),
        Window(130, 100, 300, 350),
        Window(0, 70, 300, 250),
        Window(70, 0, 251, 350),
    ],
    ids=["first corner", "last corner", "from top to bottom", "from side to side"],
)
def test_objects_at_the_rasters_border(box: Window) -> None:
    truth = np.zeros((300, 350), bool)
    truth[box.slices] = True
    session = _clicked(truth, ColourPredictor())
    assert _errors(session.refine(), truth) == 0


def test_no_tile_shows_the_inside_alone() -> None:
    """Every tile holds a piece of the border: colours of both sides are in it."""
    truth, predictor = _wavy((500, 500)), ColourPredictor()
    session = _clicked(truth, predictor)
    before = predictor.n_runs
    session.refine()
    looked = predictor.images[before:]
    assert all(np.ptp(image[:, :, 0]) > 0.3 for image in looked)
    perimeter = 2 * math.pi * 0.38 * 500
    assert len(looked) < 6 * perimeter / 32


def _stage_computer(truth: BoolArray, predictor: ColourPredictor) -> Refinement:
    raster = open_raster(_picture(truth), axes="YXS")
    look = finest_stage(step_computer(raster, predictor, (0, 1, 2), FULL))
    return Refinement(look, (), PostProcessing())


def _in_cells(truth: BoolArray, scale: int, grain: float) -> Prediction:
    """The truth in cells, shifted, as a coarse look would have it."""
    window = Window(0, 0, *truth.shape)
    cells = truth[scale // 2 :: scale, scale // 2 :: scale]
    cells = np.roll(np.pad(cells, ((0, -(-truth.shape[0] // scale) - len(cells)), (0, 0))), 1, 1)
    return Prediction(window, cells.astype(np.float32), cells, 0.9, scale, grain)


def test_objects_kept_in_cells_get_patches_that_equal_the_whole() -> None:
    truth = _wavy((256, 320))
    how = _stage_computer(truth, ColourPredictor())
    coarse = _in_cells(truth, 4, 8.0)
    assert not coarse.is_whole
    fine = refine(coarse, how)
    assert fine.scale == 4
    assert fine.patches
    np.testing.assert_array_equal(fine.full_mask(truth.shape), truth)
    assert fine.grain_px == 1
    centres = truth[2::4, 2::4]
    np.testing.assert_array_equal(fine.mask, centres)
    covered = sum(patch.mask.size for patch in fine.patches if patch.scale == 1)
    assert covered < truth.size


@pytest.mark.parametrize("batch", [1, 7])
def test_the_answer_does_not_depend_on_the_batch(batch: int) -> None:
    truth, predictor = _wavy(), BatchPredictor()
    coarse = _in_cells(truth, 1, 6.0)
    how = _stage_computer(truth, predictor)
    one = refine(coarse, how)
    predictor.batches.clear()
    other = refine(coarse, Refinement(how.look, (), how.settings, batch=batch))
    np.testing.assert_array_equal(one.mask, other.mask)
    np.testing.assert_array_equal(one.probs, other.probs)
    assert max(predictor.batches, default=1) == batch


def test_progress_goes_from_nothing_to_all() -> None:
    session = _clicked(_wavy(), ColourPredictor())
    told: list[tuple[int, int]] = []
    session.refine(lambda done, total: told.append((done, total)))
    shares = [done / total for done, total in told]
    assert len(told) > 5
    assert shares == sorted(shares)
    assert shares[0] < 0.2
    assert told[-1][0] == told[-1][1]


def test_stopping_leaves_everything_as_it_was() -> None:
    predictor = ColourPredictor()
    session = _clicked(_wavy(), predictor)
    before, limit = session.prediction, predictor.n_runs + 10
    with pytest.raises(Cancelled):
        session.refine(should_stop=lambda: predictor.n_runs > limit)
    assert session.prediction is before
    assert not session.is_refined
    assert predictor.n_runs < limit + 10


class DeafPredictor(ColourPredictor):
    """Says the opposite of what the user means, with confidence."""

    def predict(
        self, image: FloatArray, clicks: Sequence[Click], prior: FloatArray | None
    ) -> RawPrediction:
        raw = super().predict(image, clicks, prior)
        return RawPrediction(-raw.logits, raw.prior)


@pytest.mark.parametrize("scale", [1, 4])
def test_clicks_are_obeyed_whatever_the_network_says(scale: int) -> None:
    truth = _wavy((256, 320))
    edges = np.argwhere(boundary(truth))[::47]
    clicks = [Click(int(y), int(x), bool(index % 2)) for index, (y, x) in enumerate(edges)]
    how = _stage_computer(truth, DeafPredictor())
    settings = PostProcessing(largest_component=False)
    fine = refine(_in_cells(truth, scale, 8.0), Refinement(how.look, clicks, settings))
    full = fine.full_mask(truth.shape)
    assert len(clicks) > 10
    assert [bool(full[click.pixel]) for click in clicks] == [c.is_positive for c in clicks]


def test_a_tile_sees_the_users_clicks_and_others_inside_and_outside() -> None:
    truth, predictor = _wavy((256, 320)), ColourPredictor()
    how = _stage_computer(truth, predictor)
    edge = np.argwhere(boundary(truth))[0]
    click = Click(int(edge[0]), int(edge[1]), is_positive=False)
    refine(_in_cells(truth, 1, 4.0), Refinement(how.look, (click,), how.settings))
    assert all(any(c.is_positive for c in seen) for seen in predictor.clicks)
    assert all(any(c.is_negative for c in seen) for seen in predictor.clicks)
    views = zip(predictor.images, predictor.clicks, strict=True)
    red = [image[c.pixel][0] > 0.5 for image, seen in views for c in seen if c.is_positive]
    assert np.mean(red) > 0.99, "positive clicks lie on the object"
    with_users = [seen for seen in predictor.clicks if len(seen) and seen[-1].is_negative]
    assert with_users
    assert all(prior is not None and prior.any() for prior in predictor.priors)


def test_threshold_undo_and_the_way_back() -> None:
    truth, predictor = _wavy(), ColourPredictor()
    session = _clicked(truth, predictor)
    coarse = session.prediction
    fine = session.refine()
    runs = predictor.n_runs
    session.threshold = 0.3
    assert session.prediction is not None
    assert session.is_refined
    assert predictor.n_runs == runs, "the slider runs no network"
    session.threshold = 0.5
    assert session.prediction is fine
    session.undo()
    assert session.prediction is None
    assert session.redo() is fine
    back = session.unrefine()
    assert back is not None
    assert coarse is not None
    np.testing.assert_array_equal(back.mask, coarse.mask)
    session.refine()
    after = session.add_click(200, 250)
    assert not session.is_refined
    assert after.grain_px > 2


def test_what_is_fine_already_is_left_alone() -> None:
    predictor = ColourPredictor(256)
    session = Session(_picture(_wavy((200, 200))), predictor, 200.0, stretch=FULL)
    with pytest.raises(ValueError, match="click on an object first"):
        session.refine()
    before = session.add_click(100, 100)
    runs = predictor.n_runs
    assert not is_worthwhile(before)
    assert session.refine() is before
    assert predictor.n_runs == runs


@pytest.mark.parametrize(
    ("grain", "expected"),
    [(1.0, []), (1.9, []), (2.0, [1]), (5.0, [1]), (12.0, [4, 1]), (160.0, [32, 16, 4, 1])],
)
def test_each_pass_is_at_most_some_times_finer(grain: float, expected: list[int]) -> None:
    scales = stage_scales(grain)
    assert len(scales) == len(expected)
    assert scales == expected
    before = grain
    for scale in scales:
        assert before / scale <= 7.1
        before = scale


@pytest.mark.parametrize("scale", [1, 4])
def test_tiles_lie_in_the_raster_around_their_cells(scale: int) -> None:
    raster = (1_000, 777)
    lattice = Lattice(Window(13, 20, 990, 777), scale, 64, raster)
    for row in range(-(-977 // lattice.cell_px)):
        for column in range(-(-757 // lattice.cell_px)):
            cell, tile = lattice.cell((row, column)), lattice.tile((row, column))
            assert tile.intersect(Window(0, 0, *raster)) == tile
            assert tile.shape == (64 * scale, 64 * scale)
            assert (tile.y0 - 13) % scale == (tile.x0 - 20) % scale == 0
            common = cell.intersect(tile)
            assert common is not None
            assert common.height > cell.height - scale
            assert common.width > cell.width - scale


def test_pixels_near_the_boundary_by_brute_force() -> None:
    mask = np.random.default_rng(1).random((20, 24)) > 0.8
    places = {side: np.argwhere(mask == side) for side in (True, False)}
    near = near_boundary(mask, 2.5)
    for y, x in np.ndindex(*mask.shape):
        other = places[not mask[y, x]]
        assert near[y, x] == (np.hypot(*(other - (y, x)).T).min() <= 2.5)
    assert not near_boundary(np.ones((5, 5), bool), 9.0).any()


def test_deepest_pixels_are_deep_and_apart() -> None:
    mask = np.zeros((64, 64), bool)
    mask[4:35, 4:35] = True
    mask[45:60, 40:60] = True
    found = deepest_pixels(mask, 4, 4.0)
    assert found[0] == (19, 19)
    assert any(45 <= y < 60 and 40 <= x < 60 for y, x in found)
    for y, x in found:
        assert mask[y - 3 : y + 4, x - 3 : x + 4].all()
    assert deepest_pixels(mask[40:50, :20], 4, 4.0) == []


def test_islands_and_holes_between_fixed_pixels_go() -> None:
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    mask[8, 8] = False
    mask[2, 2] = True
    mask[0, 9] = True
    fixed = np.zeros_like(mask)
    fixed[12, 12] = True
    cleaned = without_islands(mask, fixed)
    assert cleaned[8, 8]
    assert not cleaned[2, 2]
    assert cleaned[0, 9], "what goes on beyond the border stays"
    assert cleaned[5:15, 5:15].all()


def test_a_patch_over_another_is_what_is_seen() -> None:
    base = np.zeros((10, 10), bool)
    patch = MaskPatch(Window(4, 4, 8, 8), np.ones((4, 4), bool))
    over = MaskPatch(Window(5, 5, 6, 7), np.zeros((1, 1), bool), 2)
    seen = Prediction(
        Window(0, 0, 20, 20), base.astype(np.float32), base, 0.0, 2, 1.0, (patch, over)
    ).mask_in(Window(3, 3, 9, 9))
    expected = np.zeros((6, 6), bool)
    expected[1:5, 1:5] = True
    expected[2, 2:4] = False
    np.testing.assert_array_equal(seen, expected)
