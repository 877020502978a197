"""Sessions with boundary clicks, for the models that take them and those that do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.inference.fakes import ColourPredictor

from napari_edgeflow._types import AnyArray, Click, ClickKind, Window
from napari_edgeflow.inference.predictor import Predictor
from napari_edgeflow.inference.session import Session
from napari_edgeflow.nn.hrnet import HRNetConfig
from napari_edgeflow.nn.two_in_one import TwoInOne, TwoInOneConfig
from napari_edgeflow.raster.stretch import Stretch

FULL = Stretch((0.0,) * 3, (255.0,) * 3)
KINDS: tuple[ClickKind, ...] = ("positive", "boundary")
TINY = TwoInOneConfig(HRNetConfig(4, 1, 1, 1, 1), channels=8, refine_channels=(8, 6, 4), roi_side=6)


def _picture() -> AnyArray:
    image = np.full((200, 240, 3), 90, np.uint8)
    image[60:140, 70:150] = (220, 0, 0)
    return image


@pytest.fixture
def predictor() -> ColourPredictor:
    return ColourPredictor(click_kinds=KINDS)


@pytest.fixture
def session(predictor: ColourPredictor) -> Session:
    return Session(_picture(), predictor, stretch=FULL)


def test_boundary_clicks_go_to_the_model_as_they_are(
    session: Session, predictor: ColourPredictor
) -> None:
    assert session.click_kinds == KINDS
    session.add_click(100, 100)
    prediction = session.add_click(60, 80, is_boundary=True)
    assert session.clicks == (Click(100, 100), Click(60, 80, is_boundary=True))
    assert [click.kind for click in predictor.clicks[-1]] == ["positive", "boundary"]
    assert prediction.window.contains(Click(60, 80))
    mask = prediction.full_mask((200, 240))
    assert mask[100, 100]
    around = mask[59:62, 79:82]
    assert around.any()
    assert not around.all()


def test_a_boundary_click_is_no_negative_click(session: Session) -> None:
    """A click just inside of the object leaves it as it is."""
    before = session.add_click(100, 100)
    after = session.add_click(61, 80, is_boundary=True)
    assert after.full_mask((200, 240)).sum() == pytest.approx(before.mask.sum(), rel=0.03)


def test_undo_and_redo_restore_boundary_clicks_exactly(
    session: Session, predictor: ColourPredictor
) -> None:
    first = session.add_click(100, 100)
    second = session.add_click(60, 80, is_boundary=True)
    runs = predictor.n_runs
    back = session.undo()
    assert back is not None
    assert np.array_equal(back.mask, first.mask)
    assert np.array_equal(back.probs, first.probs)
    again = session.redo()
    assert again is not None
    assert np.array_equal(again.mask, second.mask)
    assert session.clicks[1].is_boundary
    assert predictor.n_runs == runs


def test_a_model_without_boundary_clicks_refuses_them() -> None:
    predictor = ColourPredictor()
    session = Session(_picture(), predictor, stretch=FULL)
    before = session.add_click(100, 100)
    runs = predictor.n_runs
    with pytest.raises(ValueError, match=r"positive or negative clicks, got a boundary click"):
        session.add_click(60, 80, is_boundary=True)
    assert session.prediction is before
    assert session.clicks == (Click(100, 100),)
    assert predictor.n_runs == runs


def test_a_model_without_negative_clicks_refuses_them(session: Session) -> None:
    session.add_click(100, 100)
    with pytest.raises(ValueError, match=r"positive or boundary clicks, got a negative click"):
        session.add_click(10, 10, is_positive=False)


def test_the_first_click_is_on_the_object(session: Session) -> None:
    with pytest.raises(ValueError, match="click on the object first"):
        session.add_click(60, 80, is_boundary=True)
    assert session.clicks == ()
    assert not session.can_undo
    session.add_click(100, 100)
    with pytest.raises(ValueError, match="click on the object first"):
        session.set_clicks([Click(60, 80, is_boundary=True), Click(100, 100)])


def test_a_mask_to_start_from_can_be_corrected_on_its_boundary(
    session: Session, predictor: ColourPredictor
) -> None:
    session.start_from(np.ones((60, 60), bool), Window(70, 80, 130, 140))
    prediction = session.add_click(60, 100, is_boundary=True)
    assert [click.kind for click in predictor.clicks[-1]] == ["boundary"]
    assert prediction.window.contains(Click(60, 100))


@pytest.mark.parametrize("n_clicks", [1, 2])
def test_a_model_without_prior_gets_the_masks_innermost_pixel(
    session: Session, predictor: ColourPredictor, n_clicks: int
) -> None:
    predictor.takes_prior = False
    session.start_from(np.ones((61, 61), bool), Window(70, 80, 131, 141))
    for column in (100, 120)[:n_clicks]:
        session.add_click(60, column, is_boundary=True)
    asked = predictor.clicks[-1]
    assert [click.kind for click in asked] == ["positive", *["boundary"] * n_clicks]
    assert session.prediction is not None
    window = session.prediction.window
    height, width = predictor.images[-1].shape[:2]
    assert asked[0].y == pytest.approx((100.5 - window.y0) * height / window.height - 0.5)
    assert asked[0].x == pytest.approx((110.5 - window.x0) * width / window.width - 0.5)
    assert all(click.is_boundary for click in session.clicks)


@pytest.fixture(scope="module")
def two_in_one() -> Predictor:
    torch.manual_seed(0)
    network = TwoInOne(TINY)
    torch.nn.init.normal_(network.selection.head.weight, std=0.5)
    torch.nn.init.normal_(network.refinement.head.weight, std=0.5)
    return Predictor(network, name="tiny", device="cpu", input_side=48)


def test_two_in_one_in_a_session(two_in_one: Predictor) -> None:
    assert two_in_one.click_kinds == KINDS
    assert not two_in_one.takes_prior
    assert two_in_one.stages == (two_in_one,)
    session = Session(_picture(), two_in_one, stretch=FULL)
    selected = session.add_click(100, 100)
    refined = session.add_click(60, 80, is_boundary=True)
    assert refined.full_mask((200, 240))[100, 100]
    back = session.undo()
    assert back is not None
    assert np.array_equal(back.probs, selected.probs)
    again = session.redo()
    assert again is not None
    assert np.array_equal(again.probs, refined.probs)


@settings(deadline=None, max_examples=8)
@given(st.lists(st.tuples(st.integers(0, 199), st.integers(0, 239), st.booleans()), max_size=4))
def test_the_mask_depends_on_the_clicks_alone(
    two_in_one: Predictor, spots: list[tuple[int, int, bool]]
) -> None:
    clicks = [Click(100, 100), *(Click(y, x, is_boundary=b) for y, x, b in spots)]
    at_once, one_by_one = (Session(_picture(), two_in_one, stretch=FULL) for _ in range(2))
    at_once.set_clicks(clicks)
    for click in clicks:
        one_by_one.add_click(click.y, click.x, click.is_positive, is_boundary=click.is_boundary)
    one_by_one.undo()
    one_by_one.redo()
    assert at_once.prediction is not None
    assert one_by_one.prediction is not None
    assert np.array_equal(at_once.prediction.probs, one_by_one.prediction.probs)
    mask = at_once.prediction.full_mask((200, 240))
    assert np.array_equal(mask, one_by_one.prediction.full_mask((200, 240)))
    assert all(mask[click.pixel] for click in clicks if click.is_positive)
