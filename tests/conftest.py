"""Set-up shared by all tests: no user settings, no plots on screen, GPU tests only on a GPU."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

# Before napari is imported: the settings of whoever runs the tests must not matter, nor change.
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp(prefix="napari-config-")) / "settings.yaml")
os.environ["MPLBACKEND"] = "Agg"
# The models of whoever runs the tests must not be listed, nor new ones written beside them.
os.environ["NAPARI_EDGEFLOW_MODELS"] = tempfile.mkdtemp(prefix="napari-edgeflow-models-")

# Steps of images without a file must not be saved among those of whoever runs the tests.
os.environ["NAPARI_EDGEFLOW_PROJECTS"] = tempfile.mkdtemp(prefix="napari-edgeflow-projects-")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the tests marked ``gpu`` where there is no CUDA device."""
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if on_gpu and not _has_cuda():
        config.hook.pytest_deselected(items=on_gpu)
        items[:] = [item for item in items if item not in on_gpu]


def _has_cuda() -> bool:
    """True when torch finds a CUDA device."""
    import torch

    return torch.cuda.is_available()
