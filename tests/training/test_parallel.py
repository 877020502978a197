"""Two processes that average their gradients take the step of one process with both batches."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import napari_edgeflow
from napari_edgeflow.training.parallel import agree, average_gradients, join_group

WORKER = """
import sys, torch
from napari_edgeflow.training.parallel import agree, average_gradients, join_group
torch.set_num_threads(1)
rank, world = join_group()
case = torch.load(sys.argv[1], weights_only=True)
weight, bias, unused = (case[name].requires_grad_() for name in ("weight", "bias", "unused"))
part = slice(4 * rank, 4 * rank + 4)
output = torch.nn.functional.linear(case["inputs"][part], weight, bias)
torch.nn.functional.mse_loss(output, case["targets"][part]).backward()
average_gradients([weight, unused, bias])
assert unused.grad is None
first = agree(10.0 + rank)
torch.save({"weight": weight.grad, "bias": bias.grad, "agreed": torch.tensor(first),
            "place": torch.tensor([rank, world])}, f"{sys.argv[1]}.{rank}")
torch.distributed.destroy_process_group()
"""


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _run_two(case: Path) -> list[dict[str, Tensor]]:
    shared = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": str(Path(napari_edgeflow.__file__).parents[1]),
    }
    command = [sys.executable, "-c", WORKER, str(case)]
    processes = [
        subprocess.Popen(command, env={**os.environ, **shared, "RANK": str(rank)})
        for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [torch.load(f"{case}.{rank}", weights_only=True) for rank in range(2)]


def test_gradients_of_two_processes(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(0)
    shapes = {"weight": (3, 5), "bias": (3,), "unused": (2,), "inputs": (8, 5), "targets": (8, 3)}
    case = {name: torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    torch.save(case, tmp_path / "case")
    found = _run_two(tmp_path / "case")
    layer = nn.Linear(5, 3)
    layer.weight.data, layer.bias.data = case["weight"], case["bias"]
    F.mse_loss(layer(case["inputs"]), case["targets"]).backward()  # type: ignore[no-untyped-call]
    for rank in range(2):
        assert found[rank]["place"].tolist() == [rank, 2]
        assert found[rank]["agreed"].item() == 10.0
        torch.testing.assert_close(found[rank]["weight"], layer.weight.grad)
        torch.testing.assert_close(found[rank]["bias"], layer.bias.grad)


def test_one_process_keeps_its_own() -> None:
    assert join_group() == (0, 1)
    parameter = torch.ones(3, requires_grad=True)
    (parameter * torch.arange(3.0)).sum().backward()  # type: ignore[no-untyped-call]
    average_gradients([parameter])
    assert parameter.grad is not None
    assert parameter.grad.tolist() == [0, 1, 2]
    assert agree(7.5) == 7.5
