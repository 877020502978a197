"""Set-up shared by the tests of whole evaluations."""

from __future__ import annotations

import pytest

from napari_edgeflow.evaluation import evaluate


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluations draw no pictures, which cost more than a few clicks do."""
    for name in ("draw_curves", "draw_worst"):
        monkeypatch.setattr(evaluate, name, lambda *_, **__: None)
