"""Checkpoints: all that a run needs to go on as if it had never stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from napari_edgeflow._types import BoolArray, Click
from napari_edgeflow.errors import ExportError
from napari_edgeflow.training.view import View


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a file whole or not at all.

    Args:
        path: The file.
        write: Writes its content.

    Raises:
        ExportError: It could not be written; what was there before is unharmed.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch wraps what the disk says
        temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def cannot_write(path: Path, error: Exception) -> ExportError:
    """What to say when a file of the run cannot be written."""
    reason = getattr(error, "strerror", None) or str(error)
    kept = "the one from before is unharmed" if path.exists() else "there is none yet"
    return ExportError(
        f"{path} could not be written ({reason}); {kept}: free some space or mend the "
        "permissions, then go on with --resume"
    )


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Writes tensors, numbers and texts.

    Raises:
        ExportError: The disk is full, or the folder cannot be written to.
    """
    write_whole(path, lambda file: torch.save(state, file))


def load_state(path: Path, device: torch.device) -> dict[str, Any]:
    """What ``save_state`` wrote.

    Raises:
        ValueError: The file is damaged, or of an older version.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises many kinds
        raise ValueError(
            f"expected a checkpoint that can be read, but {path} is damaged ({error}); start "
            "anew from weights.safetensors with --start-from"
        ) from error
    if "pool" not in state:
        raise ValueError(
            f"{path} was written by an older version and cannot be resumed; start anew from "
            "weights.safetensors beside it with --start-from and another 'out'"
        )
    return state


def pack_views(views: Sequence[View]) -> list[dict[str, Any]]:
    """Views as tensors and texts; masks as bits, priors as float16, both without loss."""
    return [
        {
            "image": torch.from_numpy(np.ascontiguousarray(view.image)),
            "prior": torch.from_numpy(view.prior.astype(np.float16)),
            "truth": _bits(view.truth),
            "ignore": _bits(view.ignore),
            "others": None if view.others is None else _bits(view.others),
            "clicks": json.dumps([(c.y, c.x, c.kind) for c in view.clicks]),
        }
        for view in views
    ]


def unpack_views(packed: Sequence[dict[str, Any]]) -> list[View]:
    """The views that were packed."""
    views = []
    for item in packed:
        prior = item["prior"].cpu().numpy().astype(np.float32)
        truth, ignore = (_from_bits(item[name], prior.shape) for name in ("truth", "ignore"))
        others = None if item["others"] is None else _from_bits(item["others"], prior.shape)
        clicks = [Click.of_kind(y, x, kind) for y, x, kind in json.loads(item["clicks"])]
        views.append(View(item["image"].cpu().numpy(), truth, ignore, clicks, prior, others))
    return views


def _bits(mask: BoolArray) -> torch.Tensor:
    return torch.from_numpy(np.packbits(mask))


def _from_bits(bits: torch.Tensor, shape: tuple[int, ...]) -> BoolArray:
    count = int(np.prod(shape))
    mask: BoolArray = np.unpackbits(bits.cpu().numpy(), count=count).reshape(shape).astype(bool)
    return mask


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """The state of torch's own generators."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: dict[str, torch.Tensor], device: torch.device) -> None:
    """Puts torch's generators back into ``state``."""
    torch.set_rng_state(state["cpu"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)
