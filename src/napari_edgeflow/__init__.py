"""Click on an object, get its mask: interactive segmentation with and without a window.

The names below are imported when they are first used, so that importing the package costs
nothing: no torch, no napari, no Qt.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_edgeflow._types import Click, Prediction, Window
    from napari_edgeflow.inference.predictor import Predictor
    from napari_edgeflow.inference.session import Session
    from napari_edgeflow.raster.open import open_raster

    __version__: str

__all__ = [
    "Click",
    "Prediction",
    "Predictor",
    "Session",
    "Window",
    "__version__",
    "open_raster",
]

_HOMES = {
    "Click": "napari_edgeflow._types",
    "Prediction": "napari_edgeflow._types",
    "Predictor": "napari_edgeflow.inference.predictor",
    "Session": "napari_edgeflow.inference.session",
    "Window": "napari_edgeflow._types",
    "open_raster": "napari_edgeflow.raster.open",
}


def _find_version() -> str:
    """The installed version, or "0+uninstalled" for a bare source folder on the path."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("napari-edgeflow")
    except PackageNotFoundError:
        return "0+uninstalled"


def __getattr__(name: str) -> object:
    """The public name, imported from its home and kept (PEP 562)."""
    if name == "__version__":
        value: object = _find_version()
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Every public name, imported or not."""
    return sorted({*globals(), *__all__})
