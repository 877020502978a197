from __future__ import annotations

import heapq

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_edgeflow._types import Click
from napari_edgeflow.clicks.encode import disk_maps
from napari_edgeflow.nn import cues
from napari_edgeflow.nn.cues import CUE_CHANNELS, colour_cues

SIDE = 64
SIMILAR, UNLIKE, REACHED, REACHED_NEGATIVE, BORDER = range(CUE_CHANNELS)


def _two_disks() -> Tensor:
    """Two bright disks on dark ground, touching nothing."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    image = np.zeros((SIDE, SIDE), np.float32)
    for column in (16, 48):
        image[(rows - 32) ** 2 + (columns - column) ** 2 <= 100] = 1.0
    return torch.from_numpy(np.stack([image] * 3))[None]


def _maps(*clicks: Click) -> Tensor:
    return torch.from_numpy(disk_maps(clicks, (SIDE, SIDE), 5.0))[None]


def _brute_nearest(pixels: np.ndarray, cells: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    out = np.full(pixels.shape[1:], 1e4)
    for row, column in np.argwhere(seeds >= 0.2):
        difference = pixels - cells[:, row, column][:, None, None]
        out = np.minimum(out, (difference**2).sum(axis=0))
    return out


def _best_paths(seeds: np.ndarray, passage: np.ndarray) -> np.ndarray:
    """Dijkstra over the eight neighbours: the largest product of passages from a seed."""
    best = (seeds >= 0.2).astype(float)
    queue = [(-1.0, int(y), int(x)) for y, x in np.argwhere(best)]
    while queue:
        value, y, x = heapq.heappop(queue)
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                v, u = y + dy, x + dx
                if not (0 <= v < best.shape[0] and 0 <= u < best.shape[1]):
                    continue
                if -value * passage[v, u] > best[v, u] + 1e-12:
                    best[v, u] = -value * passage[v, u]
                    heapq.heappush(queue, (-best[v, u], v, u))
    return best


def test_distance_in_colour_is_that_to_the_nearest_seed() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(2, 4, 9, 11)).astype(np.float32)
    cells = rng.normal(size=(2, 4, 5, 6)).astype(np.float32)
    seeds = np.zeros((2, 5, 6), np.float32)
    seeds[0, 1, 2], seeds[0, 4, 5], seeds[0, 0, 0] = 0.9, 0.3, 0.1
    seeds[1, 3, 3] = 1.0
    found = cues._nearest(*(torch.from_numpy(a) for a in (pixels, cells, seeds)))
    for index in range(2):
        expected = _brute_nearest(pixels[index], cells[index], seeds[index])
        np.testing.assert_allclose(found[index, 0].numpy(), expected, atol=1e-3)


def test_spreading_finds_the_best_path() -> None:
    rng = np.random.default_rng(1)
    seeds = np.zeros((9, 12), np.float32)
    seeds[0, 0], seeds[8, 3] = 1.0, 0.5
    passage = rng.uniform(0.3, 1.0, (9, 12)).astype(np.float32)
    found = cues._spread(torch.from_numpy(seeds)[None, None], torch.from_numpy(passage)[None, None])
    np.testing.assert_allclose(found[0, 0].numpy(), _best_paths(seeds, passage), atol=1e-5)


def test_two_alike_objects_are_similar_but_only_the_clicked_one_is_reached() -> None:
    found = colour_cues(_two_disks(), _maps(Click(32, 16)))[0]
    assert found[SIMILAR, 32, 16] > 0.9
    assert found[SIMILAR, 32, 48] > 0.9
    assert found[SIMILAR, 4, 4] < 0.1
    assert found[REACHED, 32, 16] > 0.9
    assert found[REACHED, 32, 48] < 0.3
    assert found[BORDER, 4, 4] > 0.9
    assert found[BORDER, 32, 16] < 0.1


def test_without_clicks_only_the_border_speaks() -> None:
    found = colour_cues(_two_disks(), torch.zeros(1, 2, SIDE, SIDE))[0]
    assert not found[[SIMILAR, UNLIKE, REACHED, REACHED_NEGATIVE]].any()
    assert found[BORDER].max() > 0.9


def test_positive_and_negative_clicks_have_their_own_channels() -> None:
    image = _two_disks()
    plus = colour_cues(image, _maps(Click(32, 16)))[0]
    minus = colour_cues(image, _maps(Click(32, 16, is_positive=False)))[0]
    torch.testing.assert_close(plus[[SIMILAR, REACHED]], minus[[UNLIKE, REACHED_NEGATIVE]])
    assert not minus[[SIMILAR, REACHED]].any()


@pytest.mark.parametrize(("gain", "offset"), [(0.2, 0.1), (3.0, -1.0)])
def test_contrast_and_brightness_do_not_matter(gain: float, offset: float) -> None:
    rng = np.random.default_rng(2)
    image = _two_disks() + torch.from_numpy(rng.normal(0, 0.3, (1, 3, SIDE, SIDE))).float()
    maps = _maps(Click(32, 16), Click(10, 50, is_positive=False))
    torch.testing.assert_close(
        colour_cues(image * gain + offset, maps), colour_cues(image, maps), atol=0.02, rtol=0
    )


def test_more_clicks_than_fit_are_still_answered() -> None:
    clicks = [Click(float(y), float(x)) for y in range(2, SIDE, 6) for x in range(2, SIDE, 6)]
    found = colour_cues(_two_disks(), _maps(*clicks))
    assert torch.isfinite(found).all()
    assert 0 <= found.min() <= found.max() <= 1 + 1e-6


@pytest.mark.parametrize("shape", [(33, 47), (16, 90), (64, 64), (17, 17)])
def test_any_size_and_constant_images(shape: tuple[int, int]) -> None:
    maps = torch.from_numpy(disk_maps([Click(5, 5)], shape, 5.0))[None]
    found = colour_cues(torch.full((1, 3, *shape), 0.5), maps)
    assert found.shape == (1, CUE_CHANNELS, *shape)
    assert torch.isfinite(found).all()
