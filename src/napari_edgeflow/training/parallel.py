"""Several processes that train one network together, by torch's own collectives.

On CPUs two processes of one thread each outrun one process of two threads, because they
wait for each other once a step and not once an operation; on GPUs it is one process a GPU.
Started with ``torchrun`` or by the environment variables that it sets.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor


def join_group() -> tuple[int, int]:
    """(rank, number of processes); joins them when there is more than one."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return dist.get_rank(), world


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Replaces the gradients of all processes by their mean, in place.

    Parameters that took no part in the step have no gradient in any process.
    """
    if not dist.is_initialized():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    offset = 0
    for gradient in gradients:
        gradient.copy_(flat[offset : offset + gradient.numel()].view_as(gradient))
        offset += gradient.numel()


def agree(value: float) -> float:
    """The first process's value, in every process."""
    if not dist.is_initialized():
        return value
    shared = torch.tensor([value], dtype=torch.float64)
    if torch.cuda.is_available():
        shared = shared.cuda()
    dist.broadcast(shared, src=0)
    return float(shared.item())
