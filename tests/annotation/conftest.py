"""Fixtures of the annotation tests."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing waits for the disk, for tests that write hundreds of journals."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
