"""The order of views depends on the seed alone: not on threads, phases or restarts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_edgeflow.training.feed import Feed
from napari_edgeflow.training.pack import write_pack
from napari_edgeflow.training.sampling import ViewSampler
from napari_edgeflow.training.settings import Phase
from napari_edgeflow.training.view import View

MakeDataset = Callable[..., Path]

SMALL, LARGE = Phase(0.5, 32, 2), Phase(1.0, 48, 2)
OTHER = Phase(1.0, 32, 2, clicks="random", zoom=(2, 2))


@pytest.fixture
def sampler(make_dataset: MakeDataset, tmp_path: Path) -> ViewSampler:
    return ViewSampler(write_pack([make_dataset("cells", [(60, 60)] * 4)], tmp_path / "pack"))


def _take(feed: Feed, phases: list[Phase]) -> list[View]:
    views = [feed.next(phase) for phase in phases]
    feed.close()
    return views


def _same(first: list[View], second: list[View]) -> bool:
    return all(
        np.array_equal(a.image, b.image) and a.clicks == b.clicks
        for a, b in zip(first, second, strict=True)
    )


def test_threads_and_restarts_change_nothing(sampler: ViewSampler) -> None:
    phases = [SMALL] * 5 + [LARGE] * 5 + [OTHER] * 3
    alone = _take(Feed(sampler, [7, 0]), phases)
    assert [view.truth.shape[0] for view in alone] == [32] * 5 + [48] * 5 + [32] * 3
    assert _same(alone, _take(Feed(sampler, [7, 0], threads=3), phases))
    assert _same(alone[4:], _take(Feed(sampler, [7, 0], used=4), phases[4:]))
    assert not _same(alone, _take(Feed(sampler, [8, 0]), phases))
    assert not _same(alone[:12], alone[1:])


def test_what_goes_wrong_is_raised_where_the_view_is_asked_for(
    sampler: ViewSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> View:
        raise RuntimeError("no such pixels")

    monkeypatch.setattr(sampler, "draw", broken)
    feed = Feed(sampler, [0])
    before = threading.active_count()
    with pytest.raises(RuntimeError, match="no such pixels"):
        feed.next(SMALL)
    feed.close()
    assert threading.active_count() <= before
