"""Losses against closed forms and loops over pixels."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_edgeflow.clicks.encode import mask_edge
from napari_edgeflow.training.losses import (
    LOSSES,
    balanced_bce,
    batch_iou,
    boundary_aware_loss,
    edge_target,
    focal_loss,
    masked_bce,
    normalised_focal_loss,
    soft_iou_loss,
)
from napari_edgeflow.training.settings import LOSS_NAMES

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
Example = tuple[Tensor, Tensor, Tensor]


@pytest.fixture
def example() -> Example:
    """Random logits, targets and valid pixels, (3, 1, 6, 7); the third image is all valid."""
    draw = torch.Generator().manual_seed(2)
    logits = 2 * torch.randn(3, 1, 6, 7, generator=draw)
    target = (torch.rand(3, 1, 6, 7, generator=draw) < 0.3).float()
    valid = (torch.rand(3, 1, 6, 7, generator=draw) < 0.8).float()
    valid[2] = 1
    return logits, target, valid


def _pixels(example: Example, image: int) -> list[tuple[float, float]]:
    """(probability of the truth, target) of every valid pixel of one image."""
    logits, target, valid = (part[image].flatten().tolist() for part in example)
    found = []
    for z, t, v in zip(logits, target, valid, strict=True):
        if v:
            p = 1 / (1 + math.exp(-z))
            found.append((p if t else 1 - p, t))
    return found


def _focal_by_hand(example: Example, alpha: float, gamma: float) -> float:
    per_image = []
    for image in range(3):
        truths = [p for p, _ in _pixels(example, image)]
        weights = [math.pow(1 - p, gamma) for p in truths]
        scale = len(truths) / sum(weights)
        losses = [alpha * scale * w * -math.log(p) for w, p in zip(weights, truths, strict=True)]
        per_image.append(sum(losses) / len(truths))
    return sum(per_image) / 3


@pytest.mark.parametrize(("alpha", "gamma"), [(0.5, 2.0), (0.25, 1.0), (1.0, 0.0)])
def test_normalised_focal_loss(example: Example, alpha: float, gamma: float) -> None:
    found = normalised_focal_loss(*example, alpha=alpha, gamma=gamma)
    assert float(found) == pytest.approx(_focal_by_hand(example, alpha, gamma), rel=1e-5)


def test_without_focus_it_is_half_the_cross_entropy(example: Example) -> None:
    found = normalised_focal_loss(*example, gamma=0.0)
    assert float(found) == pytest.approx(0.5 * float(masked_bce(*example)), rel=1e-5)


def test_focal_weights_sum_to_the_number_of_valid_pixels() -> None:
    """Where all cross entropies are equal, the loss is alpha times that one value."""
    target = torch.tensor([1.0, 0, 0, 1, 1, 0]).view(1, 1, 2, 3)
    logits = (2 * target - 1) * 1.5
    valid = torch.tensor([1.0, 1, 1, 1, 0, 1]).view(1, 1, 2, 3)
    each = math.log1p(math.exp(-1.5))
    assert float(normalised_focal_loss(logits, target, valid)) == pytest.approx(0.5 * each)


def test_the_normaliser_carries_no_gradient() -> None:
    """With one pixel the weight is 1 whatever its focus: d/dz (0.5·1·CE) plus the focus's own."""
    logits = torch.tensor(0.7, requires_grad=True)
    one = torch.ones(1, 1, 1, 1)
    normalised_focal_loss(logits.view(1, 1, 1, 1), one, one).backward()  # type: ignore[no-untyped-call]
    p = 1 / (1 + math.exp(-0.7))
    # 0.5·s·((1-p)²·CE)' with s = 1/(1-p)² held still, CE = -ln p, p' = p(1-p)
    expected = 0.5 * (-2 * p * -math.log(p) - (1 - p))
    assert logits.grad is not None
    assert float(logits.grad) == pytest.approx(expected, rel=1e-4)


def test_balanced_cross_entropy(example: Example) -> None:
    per_image = []
    for image in range(3):
        pixels = _pixels(example, image)
        share = sum(t for _, t in pixels) / len(pixels)
        weights = [1 - share if t else share for _, t in pixels]
        total = sum(w * -math.log(p) for w, (p, _) in zip(weights, pixels, strict=True))
        per_image.append(total / sum(weights))
    assert float(balanced_bce(*example)) == pytest.approx(sum(per_image) / 3, rel=1e-5)


def test_balanced_means_that_edge_and_background_have_equal_say() -> None:
    target = torch.zeros(1, 1, 10, 10)
    target[..., 0] = 1
    certain = torch.where(target > 0, 2.0, -5.0)
    mean_of_classes = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-5))) / 2
    found = balanced_bce(certain, target, torch.ones_like(target))
    assert float(found) == pytest.approx(mean_of_classes, rel=1e-5)


def test_plain_cross_entropy(example: Example) -> None:
    means = [np.mean([-math.log(p) for p, _ in _pixels(example, image)]) for image in range(3)]
    assert float(masked_bce(*example)) == pytest.approx(float(np.mean(means)), rel=1e-5)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.5, 2.0), (0.25, 3.0)])
def test_focal_loss(example: Example, alpha: float, gamma: float) -> None:
    means = [
        np.mean([alpha * (1 - p) ** gamma * -math.log(p) for p, _ in _pixels(example, image)])
        for image in range(3)
    ]
    found = focal_loss(*example, alpha=alpha, gamma=gamma)
    assert float(found) == pytest.approx(float(np.mean(means)), rel=1e-5)


def test_soft_iou(example: Example) -> None:
    losses = []
    for image in range(3):
        pixels = [(p if t else 1 - p, t) for p, t in _pixels(example, image)]
        overlap, union = sum(p * t for p, t in pixels), sum(max(p, t) for p, t in pixels)
        losses.append(1 - overlap / union)
    assert float(soft_iou_loss(*example)) == pytest.approx(float(np.mean(losses)), rel=1e-5)


@pytest.mark.parametrize(("tau", "k"), [(40.0, 255.0), (1.5, 2.0)])
def test_boundary_aware_cross_entropy(example: Example, tau: float, k: float) -> None:
    logits, target, valid = (part[:, 0].numpy() for part in example)
    judged = valid > 0
    share = target[judged].mean()
    total = 0.0
    for i, y, x in zip(*np.nonzero(judged), strict=True):
        t, z = target[i, y, x], float(logits[i, y, x])
        inside = np.argwhere((target[i] > 0) & judged[i])
        d = min(math.hypot(y - row, x - column) for row, column in inside)
        near = d / k if t == 0 and d <= tau else 0.0
        cross_entropy = math.log1p(math.exp(-z if t else z))
        total += (1 - share if t else share) * (1 + near) * cross_entropy
    found = boundary_aware_loss(*example, tau=tau, k=k)
    assert float(found) == pytest.approx(total / judged.sum(), rel=1e-5)


def test_far_background_costs_no_more_than_the_object() -> None:
    """Beyond tau the weight falls back to 1: two far wrong pixels cost the same."""
    target = torch.zeros(1, 1, 1, 100)
    target[..., 0] = 1
    costs = []
    for place in (5, 40, 41, 90):
        logits = torch.where(target > 0, 50.0, -50.0)
        logits[..., place] = 3.0
        costs.append(float(boundary_aware_loss(logits, target, torch.ones_like(target))))
    base = costs[3]
    assert costs[2] == pytest.approx(base, rel=1e-6)
    assert costs[0] == pytest.approx(base * (1 + 5 / 255), rel=1e-5)
    assert costs[1] == pytest.approx(base * (1 + 40 / 255), rel=1e-5)


def test_every_name_has_its_loss() -> None:
    assert tuple(LOSSES) == LOSS_NAMES


@pytest.mark.parametrize("name", LOSSES)
def test_a_weight_of_two_counts_a_pixel_twice(name: str) -> None:
    """A pixel of weight 2 is the same as that pixel twice."""
    draw = torch.Generator().manual_seed(3)
    logits, target = torch.randn(1, 1, 1, 6, generator=draw), torch.tensor([[1.0, 0, 0, 1, 1, 0]])
    target = target.view(1, 1, 1, 6)
    weight = torch.tensor([2.0, 1, 1, 1, 1, 1]).view(1, 1, 1, 6)
    twice = [torch.cat([part[..., :1], part], dim=-1) for part in (logits, target)]
    found = LOSSES[name](logits, target, weight)
    assert float(found) == pytest.approx(
        float(LOSSES[name](twice[0], twice[1], torch.ones_like(twice[0]))), rel=1e-5
    )


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_ignored_pixels_have_no_say(example: Example, loss: Loss) -> None:
    logits, target, valid = example
    gradients, values = [], []
    for ignored in (-30.0, 50.0):
        changed = torch.where(valid > 0, logits, ignored).requires_grad_()
        other = torch.where(valid > 0, target, float(ignored > 0))
        value = loss(changed, other, valid)
        value.backward()  # type: ignore[no-untyped-call]
        assert changed.grad is not None
        values.append(value.item())
        gradients.append(changed.grad)
    assert values[0] == values[1]
    assert torch.equal(gradients[0], gradients[1])
    assert not gradients[0][valid == 0].any()
    assert gradients[0][valid > 0].all()


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("logit", [-200.0, 0.0, 200.0])
def test_extreme_cases_stay_finite(loss: Loss, logit: float) -> None:
    """Perfect and hopeless masks, nothing valid, no object: a number, and a gradient."""
    for target in (0.0, 1.0):
        for valid in (0.0, 1.0):
            logits = torch.full((1, 1, 4, 4), logit, requires_grad=True)
            masks = torch.full((1, 1, 4, 4), target), torch.full((1, 1, 4, 4), valid)
            value = loss(logits, *masks)
            value.backward()  # type: ignore[no-untyped-call]
            assert logits.grad is not None
            assert torch.isfinite(value)
            assert torch.isfinite(logits.grad).all()
            if not valid:
                assert value.item() == 0


def test_edge_targets_are_the_edges_that_users_get() -> None:
    masks = np.random.default_rng(0).random((4, 15, 19)) < np.array([0.03, 0.4, 0.9, 1]).reshape(
        4, 1, 1
    )
    found = edge_target(torch.from_numpy(masks[:, None].astype(np.float32)))
    np.testing.assert_array_equal(found[:, 0].numpy(), np.stack([mask_edge(m) for m in masks]))


def test_iou_over_valid_pixels() -> None:
    target = torch.tensor([[1.0, 1, 1, 0, 0, 0]]).view(1, 1, 1, 6)
    logits = torch.tensor([[1.0, 0.1, -1, 2, -1, 3]]).view(1, 1, 1, 6)
    valid = torch.tensor([[1.0, 1, 1, 1, 1, 0]]).view(1, 1, 1, 6)
    assert batch_iou(logits, target, valid).tolist() == [2 / 4]
    assert batch_iou(logits, target, torch.zeros_like(valid)).tolist() == [0.0]
