"""Fixtures of the zoo's tests: an empty model folder and small networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_edgeflow.zoo import build
from napari_edgeflow.zoo.store import FOLDER_VARIABLE

from .checkpoints import SMALLER, TINY


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's model folder, which does not exist yet."""
    folder = tmp_path / "data" / "models"
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    return folder


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a small registered network; one other is registered."""
    monkeypatch.setattr(build, "REGISTRY", registry := {"tiny": TINY, "smaller": SMALLER})
    monkeypatch.setattr("napari_edgeflow.zoo.convert.REGISTRY", registry)
    return "tiny"
