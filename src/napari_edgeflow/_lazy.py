"""Optional imports whose absence names the fix."""

from __future__ import annotations

import importlib
from types import ModuleType


def import_optional(module: str, *, extra: str, needed_for: str) -> ModuleType:
    """The module, imported when it is first needed.

    Args:
        module: Dotted name of the module, as in an import statement.
        extra: The extra of napari-edgeflow that installs it.
        needed_for: What the caller is doing, to end "is needed to …".

    Raises:
        ModuleNotFoundError: The module's package is not installed; the message says how to
            install it. An import that fails inside an installed package is passed on as it is.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise ModuleNotFoundError(
            f"{package} is needed to {needed_for} and is not installed. "
            f'Install it with: pip install "napari-edgeflow[{extra}]"',
            name=error.name,
        ) from error
