from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.inference.fakes import ColourPredictor

from napari_edgeflow._types import AnyArray, Click, PostProcessing, Window
from napari_edgeflow.errors import Cancelled, RasterError
from napari_edgeflow.inference.postprocess import probs_to_mask
from napari_edgeflow.inference.predictor import RawPrediction, network_shape
from napari_edgeflow.inference.session import Session
from napari_edgeflow.raster.stretch import Stretch

FULL = Stretch((0.0,) * 3, (255.0,) * 3)


def _picture(shape: tuple[int, int] = (300, 400)) -> AnyArray:
    """Grey image with a red, a green and a blue square."""
    image = np.full((*shape, 3), 90, np.uint8)
    image[40:120, 50:130] = (220, 0, 0)
    image[150:190, 200:240] = (0, 220, 0)
    image[250:300, 350:400] = (0, 0, 220)
    return image


@pytest.fixture
def predictor() -> ColourPredictor:
    return ColourPredictor()


@pytest.fixture
def session(predictor: ColourPredictor) -> Session:
    return Session(_picture(), predictor, stretch=FULL)


def _iou(session: Session, truth: Window) -> float:
    prediction = session.prediction
    assert prediction is not None
    full = prediction.full_mask(session.source.shape)
    expected = np.zeros_like(full)
    expected[truth.slices] = True
    return float((full & expected).sum() / (full | expected).sum())


def test_a_click_finds_the_object_at_its_place(session: Session) -> None:
    prediction = session.add_click(80, 90)
    assert prediction.probs.shape == prediction.mask.shape == prediction.window.shape
    assert prediction.probs.dtype == np.float32
    assert prediction.mask.dtype == np.bool_
    assert _iou(session, Window(40, 50, 120, 130)) > 0.9
    assert prediction.score > 0.9


def test_second_look_zooms_in_on_a_small_object(
    session: Session, predictor: ColourPredictor
) -> None:
    session.add_click(170, 220)
    assert predictor.n_runs == 2
    assert predictor.priors[1] is None
    assert session.prediction is not None
    assert max(session.prediction.window.shape) < 100
    assert _iou(session, Window(150, 200, 190, 240)) > 0.95


@pytest.mark.parametrize(
    ("row", "column"), [(0, 0), (0, 399), (299, 0), (299, 399), (299, 200), (128, 399)]
)
@pytest.mark.parametrize("is_positive", [True, False])
def test_every_click_counts_wherever_it_falls(
    session: Session, row: int, column: int, is_positive: bool
) -> None:
    session.add_click(80, 90)
    prediction = session.add_click(row, column, is_positive)
    assert prediction.window.contains(Click(row, column))
    assert prediction.full_mask((300, 400))[row, column] == is_positive


@pytest.mark.parametrize("spot", [(-1, 5), (300, 5), (5, 400), (5, -0.6), (1e9, 0)])
def test_click_outside_is_refused_and_changes_nothing(
    session: Session, predictor: ColourPredictor, spot: tuple[float, float]
) -> None:
    before = session.add_click(80, 90)
    runs = predictor.n_runs
    with pytest.raises(ValueError, match="outside the image"):
        session.add_click(*spot)
    assert session.prediction is before
    assert session.clicks == (Click(80, 90),)
    assert predictor.n_runs == runs


def test_nan_click_is_refused(session: Session) -> None:
    with pytest.raises(ValueError, match="finite"):
        session.add_click(float("nan"), 3)


def test_prior_goes_from_click_to_click(session: Session, predictor: ColourPredictor) -> None:
    session.add_click(80, 90)
    session.add_click(60, 60)
    assert predictor.priors[0] is None
    last = predictor.priors[-1]
    assert last is not None
    assert last.max() == pytest.approx(0.5)


def test_undo_restores_mask_prior_and_window_exactly(
    session: Session, predictor: ColourPredictor
) -> None:
    first = session.add_click(80, 90)
    second = session.add_click(20, 20, is_positive=False)
    runs = predictor.n_runs
    back = session.undo()
    assert back is not None
    assert back.window == first.window
    assert np.array_equal(back.probs, first.probs)
    assert np.array_equal(back.mask, first.mask)
    again = session.redo()
    assert again is not None
    assert np.array_equal(again.mask, second.mask)
    assert predictor.n_runs == runs, "undo and redo need no network"
    session.undo()
    session.add_click(20, 20, is_positive=False)
    assert session.prediction is not None
    assert np.array_equal(session.prediction.probs, second.probs)
    assert not session.can_redo


def test_undo_to_the_start_and_beyond(session: Session) -> None:
    session.add_click(80, 90)
    assert session.undo() is None
    assert not session.can_undo
    assert session.undo() is None
    assert session.redo() is not None


def test_threshold_and_component_run_no_network(
    session: Session, predictor: ColourPredictor
) -> None:
    session.add_click(80, 90)
    runs = predictor.n_runs
    areas = []
    for threshold in (0.02, 0.5, 0.98):
        session.threshold = threshold
        assert session.prediction is not None
        areas.append(int(session.prediction.mask.sum()))
    session.largest_component = False
    assert predictor.n_runs == runs
    assert areas[0] >= areas[1] >= areas[2]
    assert areas[0] > areas[2]


def test_mask_depends_on_clicks_alone_not_on_the_threshold_meanwhile() -> None:
    clicks = [(80, 90, True), (20, 20, False), (110, 70, True)]
    plain = Session(_picture(), ColourPredictor(), stretch=FULL)
    moody = Session(_picture(), ColourPredictor(), stretch=FULL)
    for index, (y, x, is_positive) in enumerate(clicks):
        expected = plain.add_click(y, x, is_positive)
        moody.threshold = 0.05 if index % 2 else 0.97
        moody.add_click(y, x, is_positive)
    moody.threshold = 0.5
    assert moody.prediction is not None
    assert moody.prediction.window == expected.window
    assert np.array_equal(moody.prediction.mask, expected.mask)


@pytest.mark.parametrize("value", [0.0, 1.0, -1, float("nan")])
def test_bad_threshold_is_refused(session: Session, value: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        session.threshold = value


def test_moved_click_replays_from_the_change(session: Session, predictor: ColourPredictor) -> None:
    for y, x in [(80, 90), (60, 60), (100, 100)]:
        session.add_click(y, x)
    runs = predictor.n_runs
    session.set_clicks([Click(80, 90), Click(60, 60), Click(101, 101)])
    assert predictor.n_runs == runs + 1
    fresh = Session(_picture(), ColourPredictor(), stretch=FULL)
    for y, x in [(80, 90), (60, 60), (101, 101)]:
        expected = fresh.add_click(y, x)
    assert session.prediction is not None
    assert np.array_equal(session.prediction.probs, expected.probs)
    session.undo()
    assert session.clicks[-1] == Click(100, 100)


def test_deleting_all_clicks_leaves_nothing(session: Session) -> None:
    session.add_click(80, 90)
    assert session.set_clicks([]) is None
    assert session.prediction is None
    assert session.undo() is not None


def test_cancelled_work_changes_nothing(session: Session) -> None:
    before = session.add_click(80, 90)
    with pytest.raises(Cancelled):
        session.set_clicks([Click(80, 90), Click(1, 1)], should_stop=lambda: True)
    assert session.prediction is before
    assert session.clicks == (Click(80, 90),)


def test_finish_returns_the_mask_and_starts_afresh(session: Session) -> None:
    with pytest.raises(ValueError, match="nothing to finish"):
        session.finish()
    prediction = session.add_click(80, 90)
    assert session.finish() is prediction
    assert session.clicks == ()
    assert session.prediction is None
    assert not session.can_undo


def test_start_from_a_mask_made_elsewhere(predictor: ColourPredictor) -> None:
    mask = np.zeros((300, 400), bool)
    mask[40:120, 50:100] = True
    session = Session(_picture(), predictor, initial_mask=mask, stretch=FULL)
    start = session.prediction
    assert start is not None
    assert np.array_equal(start.full_mask((300, 400)), mask)
    assert predictor.n_runs == 0
    session.add_click(80, 120)
    prior = predictor.priors[-1]
    assert prior is not None
    assert prior.max() == 1, "the mask is the prior of the first click"
    assert _iou(session, Window(40, 50, 120, 130)) > 0.9
    back = session.undo()
    assert back is not None
    assert np.array_equal(back.full_mask((300, 400)), mask)


def test_bad_start_masks_are_refused(session: Session) -> None:
    with pytest.raises(ValueError, match="empty"):
        session.start_from(np.zeros((300, 400), bool))
    with pytest.raises(ValueError, match="bool of shape"):
        session.start_from(np.ones((10, 10), bool))
    with pytest.raises(ValueError, match="bool of shape"):
        session.start_from(np.ones((300, 400), np.uint8))
    with pytest.raises(ValueError, match="inside the raster"):
        session.start_from(np.ones((10, 10), bool), Window(295, 0, 305, 10))
    with pytest.raises(ValueError, match="mask > 0"):
        session.start_from([[1, 0], [0, 1]])  # type: ignore[arg-type]


def test_a_stretch_for_other_bands_is_refused_before_the_first_click(
    predictor: ColourPredictor,
) -> None:
    with pytest.raises(ValueError, match=r"stretch for 1 band.*shown with 3"):
        Session(_picture(), predictor, stretch=Stretch((0.0,), (1.0,)))


def test_field_of_view_is_what_the_network_sees_first(predictor: ColourPredictor) -> None:
    session = Session(_picture(), predictor, field_of_view=100, stretch=FULL)
    session.add_click(80, 90)
    assert session.prediction is not None
    assert session.prediction.window == Window(30, 40, 130, 140)
    with pytest.raises(ValueError, match="before the first click"):
        session.field_of_view = 50
    with pytest.raises(ValueError, match="positive"):
        Session(_picture(), predictor, field_of_view=0)


def test_same_clicks_on_the_same_pixels_in_a_larger_raster() -> None:
    """A crop in the middle of a larger raster gives the same mask, view by view."""
    crop = _picture()
    large = np.zeros((1300, 1700, 3), np.uint8)
    large[500:800, 700:1100] = crop
    clicks = [(80, 90, True), (70, 100, True), (60, 70, False)]
    small_session = Session(crop, ColourPredictor(), field_of_view=64, stretch=FULL)
    large_session = Session(large, ColourPredictor(), field_of_view=64, stretch=FULL)
    for y, x, is_positive in clicks:
        here = small_session.add_click(y, x, is_positive)
        there = large_session.add_click(y + 500, x + 700, is_positive)
        assert there.window.relative_to(Window(500, 700, 800, 1100)) == here.window
        assert np.array_equal(there.mask, here.mask)


class _Pyramid:
    """Three levels over one array; counts the pixels that are read."""

    def __init__(self, image: AnyArray) -> None:
        from napari_edgeflow.raster.source import Level

        self._data = [image, image[::2, ::2], image[::4, ::4]]
        self.name, self.dtype, self.georeference = "pyramid", image.dtype, None
        self.shape, self.n_bands = image.shape[:2], image.shape[2]
        self.levels = tuple(
            Level(data.shape[:2], (2.0**i, 2.0**i)) for i, data in enumerate(self._data)
        )
        self.most_read = 0

    def read(self, window: Window, level: int = 0, bands: object = None) -> AnyArray:
        self.most_read = max(self.most_read, window.height * window.width)
        return self._data[level][window.slices]


def test_a_coarse_view_reads_a_coarse_level() -> None:
    source = _Pyramid(_picture((2048, 2048)))
    session = Session(source, ColourPredictor(), field_of_view=1024, stretch=FULL)
    session.add_click(80, 90)
    assert source.most_read <= 512 * 512
    assert _iou(session, Window(40, 50, 120, 130)) > 0.9


def test_not_finite_answers_are_an_error_and_change_nothing(predictor: ColourPredictor) -> None:
    session = Session(_picture(), predictor, stretch=FULL)
    before = session.add_click(80, 90)
    bad = RawPrediction(np.full((64, 64), np.nan, np.float32), np.zeros((64, 64), np.float32))
    predictor.predict = lambda *_: bad  # type: ignore[method-assign]
    with pytest.raises(RasterError, match="not finite"):
        session.add_click(81, 91)
    assert session.prediction is before


@pytest.mark.parametrize(
    "image",
    [
        np.zeros(10),
        np.zeros((0, 10)),
        np.zeros((1, 1)),
        np.zeros((2, 3, 4, 50, 60)),
        np.zeros((20, 20), complex),
        np.array([["a", "b"], ["c", "d"]], dtype=object),
    ],
)
def test_images_that_cannot_be_used(image: AnyArray, predictor: ColourPredictor) -> None:
    with pytest.raises(RasterError):
        Session(image, predictor)


@pytest.mark.parametrize(
    "image",
    [
        np.full((50, 60), 7, np.uint16),
        np.random.default_rng(0).random((50, 60)) > 0.5,
        np.where(np.eye(50) > 0, np.nan, np.random.default_rng(0).random((50, 50))),
        np.random.default_rng(0).normal(0, 1e30, (50, 60)),
        np.random.default_rng(0).integers(0, 60000, (50, 60, 4)).astype(np.uint16),
    ],
    ids=["constant", "bool", "nan", "huge", "four bands"],
)
def test_images_that_are_unusual_still_answer(image: AnyArray, predictor: ColourPredictor) -> None:
    session = Session(image, predictor)
    prediction = session.add_click(20, 20)
    assert prediction.full_mask((image.shape[0], image.shape[1]))[20, 20]
    assert all(np.isfinite(seen).all() for seen in predictor.images)
    assert all(seen.min() >= 0 and seen.max() <= 1 for seen in predictor.images)


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(0, 299), st.integers(0, 399), st.booleans()),
            st.sampled_from(["undo", "redo"]),
        ),
        max_size=12,
    )
)
def test_any_sequence_ends_where_its_clicks_alone_lead(actions: list[object]) -> None:
    session = Session(_picture(), ColourPredictor(32), stretch=FULL)
    for action in actions:
        if action == "undo":
            session.undo()
        elif action == "redo":
            session.redo()
        else:
            session.add_click(*action)  # type: ignore[misc]
    replay = Session(_picture(), ColourPredictor(32), stretch=FULL)
    for click in session.clicks:
        replay.add_click(click.y, click.x, click.is_positive)
    if session.prediction is None or replay.prediction is None:
        assert session.prediction is replay.prediction is None
    else:
        assert session.prediction.window == replay.prediction.window
        assert np.array_equal(session.prediction.mask, replay.prediction.mask)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ((512, 512), (256, 256)),
        ((100, 400), (128, 512)),
        ((1, 1000), (16, 640)),
        ((300, 200), (320, 208)),
    ],
)
def test_network_shape_keeps_area_and_aspect(
    window: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert network_shape(window, 256) == expected


def test_window_grows_while_the_object_runs_out_of_it(predictor: ColourPredictor) -> None:
    image = np.full((200, 800, 3), 90, np.uint8)
    image[90:110, 100:700] = (220, 0, 0)
    session = Session(image, predictor, field_of_view=64, stretch=FULL)
    first = session.add_click(100, 400)
    assert first.mask.any(axis=0).sum() <= 64
    second = session.add_click(100, 405)
    assert second.mask.any(axis=0).sum() > 150


def test_postprocessing_runs_no_network_and_is_undone_exactly(
    session: Session, predictor: ColourPredictor
) -> None:
    before = session.add_click(80, 90)
    runs = predictor.n_runs
    chosen = PostProcessing(0.3, False, True, 20, 2.0)
    session.postprocessing = chosen
    assert session.prediction is not None
    assert np.array_equal(session.prediction.probs, before.probs)
    oracle = probs_to_mask(before.probs, before.window, session.clicks, chosen)
    assert np.array_equal(session.prediction.mask, oracle)
    assert not np.array_equal(oracle, before.mask)
    assert (session.threshold, session.largest_component) == (0.3, False)
    session.threshold = 0.4
    session.largest_component = True
    assert session.postprocessing == PostProcessing(0.4, True, True, 20, 2.0)
    session.postprocessing = PostProcessing()
    assert np.array_equal(session.prediction.mask, before.mask)
    assert predictor.n_runs == runs


def test_a_mask_is_worked_out_once_for_each_look(
    session: Session, predictor: ColourPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []

    def count(*args: Any) -> Any:
        counted.append(1)
        return probs_to_mask(*args)

    for module in ("showing", "steps"):
        monkeypatch.setattr(f"napari_edgeflow.inference.{module}.probs_to_mask", count)
    first = session.add_click(80, 90)
    assert len(counted) == predictor.n_runs, "box and display share one mask"
    kept = first.mask.copy()
    first.mask[:] = False
    session.undo()
    again = session.redo()
    assert again is not None
    assert np.array_equal(again.mask, kept), "the mask that was given away is a copy"


def test_a_mask_from_elsewhere_is_cleaned_but_keeps_all_its_parts(session: Session) -> None:
    mask = np.zeros(session.source.shape, bool)
    mask[10:40, 10:40] = mask[60:70, 60:70] = mask[80, 80] = True
    mask[20:23, 20:23] = False
    shown = session.start_from(mask)
    assert np.array_equal(shown.full_mask(mask.shape), mask)
    session.postprocessing = PostProcessing(0.9, True, True, 5)
    assert session.prediction is not None
    expected = mask.copy()
    expected[20:23, 20:23], expected[80, 80] = True, False
    assert np.array_equal(session.prediction.full_mask(mask.shape), expected)
    session.postprocessing = PostProcessing()
    assert np.array_equal(session.prediction.full_mask(mask.shape), mask)


def test_a_peek_changes_nothing_and_makes_the_click_quick(
    session: Session, predictor: ColourPredictor
) -> None:
    clicks = [Click(80, 90), Click(20, 20, False)]
    fresh = Session(_picture(), ColourPredictor(), stretch=FULL)
    fresh.reset(120.0)
    first = session.peek(clicks[:1], 120.0)
    assert first is not None
    assert session.clicks == ()
    assert session.prediction is None
    assert not session.can_undo
    expected = fresh.add_click(80, 90)
    assert np.array_equal(first.mask, expected.mask)
    runs = predictor.n_runs
    session.reset(120.0)
    found = session.set_clicks(clicks[:1])
    assert predictor.n_runs == runs, "it was worked out already"
    assert found is not None
    assert np.array_equal(found.mask, expected.mask)
    second = session.peek(clicks)
    assert session.prediction is not None
    assert np.array_equal(session.prediction.mask, expected.mask)
    expected = fresh.add_click(20, 20, False)
    assert second is not None
    assert np.array_equal(second.mask, expected.mask)
    runs = predictor.n_runs
    session.add_click(20, 20, False)
    assert predictor.n_runs == runs
    assert session.peek([Click(1, 1), Click(2, 2)]) is None, "not of this object"


def test_a_peek_of_another_object_is_not_taken_for_this_one(
    session: Session, predictor: ColourPredictor
) -> None:
    mask = np.zeros(session.source.shape, bool)
    mask[60:70, 60:70] = True
    session.peek([Click(80, 90)], session.field_of_view or 300.0)
    session.start_from(mask)
    runs = predictor.n_runs
    seen = session.peek([Click(80, 90)])
    assert predictor.n_runs > runs
    assert seen is not None
    session.start_from(mask)
    runs = predictor.n_runs
    session.add_click(80, 90)
    assert predictor.n_runs > runs
    with pytest.raises(ValueError, match="outside the image"):
        session.peek([Click(-5, 0)], 100.0)
    with pytest.raises(Cancelled):
        session.peek([Click(5, 5)], 100.0, lambda: True)
