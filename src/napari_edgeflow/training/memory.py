"""Running out of memory, on the graphics card or beside it."""

from __future__ import annotations

import gc

import torch

_ON_CPU = ("can't allocate memory", "not enough memory", "bad_alloc")


def is_out_of_memory(error: Exception) -> bool:
    """True for the many ways in which torch says that there is no memory left."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _ON_CPU)


def release_memory(device: torch.device) -> None:
    """Gives back what a step that failed left behind."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
