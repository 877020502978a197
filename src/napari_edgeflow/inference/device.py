"""Which device and number format the network runs in, and how to say so."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from napari_edgeflow.errors import DeviceError


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """The device that ``name`` asks for.

    Args:
        name: ``auto`` (CUDA when there is one), ``cpu``, ``cuda`` or ``cuda:N``, or such a
            ``torch.device``.

    Raises:
        DeviceError: That device is not on this machine.
        ValueError: No such name.
    """
    name = str(name)
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    if name == "cuda" or name.startswith("cuda:"):
        return _cuda(name)
    raise ValueError(f"device must be auto, cpu, cuda or cuda:N, got {name!r}")


def _cuda(name: str) -> torch.device:
    if not torch.cuda.is_available():
        raise DeviceError(
            f"device {name!r} was asked for, but PyTorch {torch.__version__} sees no CUDA GPU "
            "here; use device 'cpu' or 'auto', or install a CUDA build of PyTorch and a driver"
        )
    number = name.partition(":")[2] or "0"
    count = torch.cuda.device_count()
    if not number.isdigit() or int(number) >= count:
        raise DeviceError(
            f"device {name!r} was asked for, but there are {count} CUDA GPUs (0…{count - 1})"
        )
    return torch.device("cuda", int(number))


Precision = Literal["auto", "float32", "bfloat16"]


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """The number format for convolutions: ``torch.float32`` or ``torch.bfloat16``.

    ``auto`` is bfloat16 where the processor computes it natively (CUDA; x86 with AVX-512
    BF16 or AMX, 1.3 to 1.6 times as fast as float32) and float32 elsewhere. Masks differ
    between the two in single pixels along the border: ask for ``float32`` where they must
    be the same on different machines.

    Raises:
        ValueError: No such name.
    """
    if name not in get_args(Precision):
        known = ", ".join(get_args(Precision))
        raise ValueError(f"precision must be one of {known}, got {name!r}")
    if name == "auto":
        name = "bfloat16" if device.type == "cuda" or _cpu_has_bfloat16() else "float32"
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def prefers_bfloat16(device: torch.device) -> bool:
    """Whether ``resolve_precision`` chooses bfloat16 for the device when left to choose."""
    return resolve_precision("auto", device) is torch.bfloat16


def _cpu_has_bfloat16() -> bool:
    """Whether PyTorch can tell that the processor has it; older versions cannot."""
    ask = getattr(torch.cpu, "get_capabilities", None)
    features = ask() if ask is not None else {}
    return any(features.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def describe_device(device: torch.device, precision: str) -> str:
    """One line for people: ``CPU, 2 threads, float32`` or ``NVIDIA H200, bfloat16``."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {precision}"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads != 1 else ''}, {precision}"
