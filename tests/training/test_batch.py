"""Batches show clicks as each network asks for them; losses are put together as set."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_edgeflow._types import Click
from napari_edgeflow.clicks.encode import click_maps
from napari_edgeflow.nn.base import NetworkOutput, NetworkSpec, PriorKind
from napari_edgeflow.training.batch import Batch, answers, total_loss
from napari_edgeflow.training.losses import (
    balanced_bce,
    boundary_aware_loss,
    edge_target,
    masked_bce,
    normalised_focal_loss,
    soft_iou_loss,
)
from napari_edgeflow.training.settings import Losses
from napari_edgeflow.training.view import View

CPU = torch.device("cpu")
TWO_IN_ONE = NetworkSpec(
    prior="none", click_radius_px=10, encoding="gaussian", click_kinds=("positive", "boundary")
)


def _views(*click_lists: list[Click]) -> list[View]:
    rng, views = np.random.default_rng(0), []
    for clicks in click_lists:
        ignore = np.zeros((64, 64), bool)
        ignore[:, :4] = True
        truth = (rng.random((64, 64)) < 0.4) & ~ignore
        image = rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)
        views.append(View(image, truth, ignore, clicks, np.zeros((64, 64), np.float32)))
    return views


def test_clicks_are_shown_as_the_network_asks() -> None:
    views = _views([Click(20, 30), Click(50, 10, is_boundary=True)], [Click(5, 6)])
    batch = Batch.of(views, TWO_IN_ONE, CPU)
    for index, view in enumerate(views):
        expected = click_maps(view.clicks, (64, 64), TWO_IN_ONE)
        np.testing.assert_array_equal(batch.click_maps[index].numpy(), expected)
    assert batch.points.tolist() == [
        [[20, 30, 0], [50, 10, 1]],
        [[5, 6, 0], [-1, -1, -1]],
    ]


def test_the_focus_is_a_square_around_the_latest_click() -> None:
    batch = Batch.of(_views([Click(5, 6), Click(40, 30)], [Click(0, 63)]), TWO_IN_ONE, CPU, focus=2)
    expected = np.ones((2, 64, 64), np.float32)
    expected[0, 20:60, 10:50] = 2
    expected[1, 0:20, 43:64] = 2
    expected[:, :, :4] = 0
    np.testing.assert_array_equal(batch.weight[:, 0].numpy(), expected)
    np.testing.assert_array_equal(batch.valid[:, 0].numpy(), expected > 0)


def _output(refined: bool) -> NetworkOutput:
    draw = torch.Generator().manual_seed(1)
    mask, coarse, edge, aux = torch.randn(4, 2, 1, 64, 64, generator=draw)
    return NetworkOutput(mask if refined else coarse, coarse, edge, aux)


def test_the_default_is_edgeflow_s_loss() -> None:
    batch = Batch.of(_views([Click(5, 6)], [Click(9, 9)]), NetworkSpec(), CPU)
    for refined in (False, True):
        out = _output(refined)
        parts = out.mask_logits, out.coarse_logits
        fine, coarse = (normalised_focal_loss(p, batch.target, batch.valid) for p in parts)
        assert out.edge_logits is not None
        assert out.aux_logits is not None
        edge = balanced_bce(out.edge_logits, edge_target(batch.target), batch.valid)
        aux = masked_bce(out.aux_logits, batch.target, batch.valid)
        mask = 0.65 * (fine + coarse) if refined else coarse
        expected = float(mask + 0.4 * edge + 0.4 * aux)
        if not refined:
            out = out._replace(mask_logits=out.coarse_logits)
        assert float(total_loss(out, batch)) == pytest.approx(expected, rel=1e-6)


def test_losses_and_weights_can_be_chosen() -> None:
    batch = Batch.of(_views([Click(5, 6)], [Click(9, 9)]), NetworkSpec(), CPU, focus=3)
    out = _output(False)
    chosen = Losses("ba_ce", 2.0, "soft_iou", 0.5, "bce", 0.0)
    assert out.edge_logits is not None
    expected = 2 * boundary_aware_loss(out.coarse_logits, batch.target, batch.weight)
    expected += 0.5 * soft_iou_loss(out.edge_logits, edge_target(batch.target), batch.weight)
    assert float(total_loss(out, batch, chosen)) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("prior", ["edge", "mask", "none"])
def test_what_the_network_gets_back(prior: PriorKind) -> None:
    out = _output(True)
    probs, priors = answers(out, prior)
    sources = {"edge": out.edge_logits, "mask": out.mask_logits}
    np.testing.assert_allclose(probs, torch.sigmoid(out.mask_logits)[:, 0], atol=1e-6)
    source = sources.get(prior)
    expected = torch.zeros(2, 64, 64) if source is None else torch.sigmoid(source)[:, 0]
    np.testing.assert_allclose(priors, expected, atol=1e-3)
    np.testing.assert_array_equal(priors, priors.astype(np.float16).astype(np.float32))
