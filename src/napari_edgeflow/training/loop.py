"""The training loop: views collect clicks from step to step, so no forward pass is wasted.

RITM trains on clicks that the network's own errors provoke and spends extra forward
passes on finding them. Here every pass is a training pass: after a step, a view goes
back to the pool with the click that corrects the prediction just made and with that
prediction's edge as its prior, so a batch mixes first clicks with later ones.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from napari_edgeflow.clicks.encode import disk_maps
from napari_edgeflow.nn.base import NetworkOutput
from napari_edgeflow.training.config import Phase, TrainConfig
from napari_edgeflow.training.losses import (
    balanced_bce,
    batch_iou,
    edge_target,
    masked_bce,
    normalised_focal_loss,
)
from napari_edgeflow.training.pack import Pack, check_pack, write_pack
from napari_edgeflow.training.parallel import agree, average_gradients, join_group
from napari_edgeflow.training.sampling import View, ViewSampler, group_weights, with_next_click
from napari_edgeflow.zoo.build import build_network, load_weights, save_weights, to_channels_last

POOL_LIMIT = 256
AVERAGE_EVERY = 5


class Trainer:
    """One run; ``run`` goes on until its time is up, checkpoints let it resume.

    Args:
        config: The run's settings.
        resume: Continue from ``config.out/checkpoint.pt`` where there is one.
        start_from: Weights file to start from when there is no checkpoint.
        log: Receives one line every ``log_every`` steps.
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        resume: bool = False,
        start_from: Path | None = None,
        log: Callable[[str], None] = print,
    ) -> None:
        self.config = config
        self.out = Path(config.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.log = log
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(config.seed)
        self.rank, self.n_processes = join_group()
        self.rng = np.random.default_rng([config.seed, self.rank])
        self.network = build_network(config.network, align=config.align or None)
        if start_from is not None:
            load_weights(self.network, start_from)
        to_channels_last(self.network, self.device)
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.step, self.elapsed_s = 0, 0.0
        self.pool: list[View] = []
        if resume and (self.out / "checkpoint.pt").exists():
            self._load(self.out / "checkpoint.pt")

    # -- the run ---------------------------------------------------------------------

    def run(self) -> None:
        """Trains until ``config.minutes`` of wall time have been spent on the run."""
        pack = self._pack()
        sizes: dict[str, int] = {}
        for image in pack.images:
            sizes[image.dataset] = sizes.get(image.dataset, 0) + 1
        weights = group_weights(sorted(sizes), self.config.shares, sizes)
        feed = _Feed(ViewSampler(pack, weights), [self.config.seed, self.step, self.rank])
        total_s, saved_at = self.config.minutes * 60, time.monotonic()
        recent: list[tuple[float, float, float]] = []
        self.network.train()
        try:
            while (elapsed_s := agree(self.elapsed_s)) < total_s:
                began = time.monotonic()
                progress = elapsed_s / total_s
                recent.append(self._one_step(progress, feed))
                self.elapsed_s += min(time.monotonic() - began, 60.0)
                if self.step % 50 == 0 and self.rank == 0:
                    self._report(progress, recent)
                if self.step % 50 == 0:
                    recent = []
                if time.monotonic() - saved_at > 240 and self.rank == 0:
                    self.save()
                    saved_at = time.monotonic()
        finally:
            feed.close()
        if self.rank == 0:
            self.save()

    def _pack(self) -> Pack:
        """The images, decoded by the first process while the others wait."""
        folder = self.out.parent / "pack"
        if self.rank == 0 and not (folder / "index.json").exists():
            write_pack([Path(item) for item in self.config.data], folder, self.log)
        agree(0.0)
        pack = Pack(folder)
        check_pack(pack, self.config.data, folder)
        return pack

    def _one_step(self, progress: float, feed: _Feed) -> tuple[float, float, float]:
        phase = next(p for p in self.config.phases if progress < p.until or p.until >= 1)
        self.pool = [view for view in self.pool if view.truth.shape[0] == phase.side]
        views = self._views(phase, feed)
        batch = Batch.of(views, self.network.spec.click_radius_px, self.device)
        self._set_rate(progress)
        self.network.refines = phase.finenet
        use_bf16 = self.config.bf16
        with torch.autocast(self.device.type, torch.bfloat16, enabled=use_bf16):
            output = self.network(batch.image, batch.click_maps, batch.prior)
        loss = total_loss(output, batch)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.step}; the last checkpoint in "
                f"{self.out} is still good: lower the learning rate and resume"
            )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        average_gradients(self.network.parameters())
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        self._update_average()
        iou = batch_iou(output.mask_logits.detach(), batch.target, batch.valid)
        self._recycle(views, output, phase)
        first = [float(i) for i, v in zip(iou, views, strict=True) if len(v.clicks) == 1]
        return float(loss.detach()), float(iou.mean()), float(np.mean(first)) if first else math.nan

    def _views(self, phase: Phase, feed: _Feed) -> list[View]:
        """A batch: as many from the pool as it can spare, the rest fresh."""
        from_pool = min(len(self.pool), round(phase.batch * self.config.again))
        order = self.rng.permutation(len(self.pool))
        chosen = [self.pool[int(i)] for i in order[:from_pool]]
        self.pool = [self.pool[int(i)] for i in order[from_pool:]]
        fresh = [feed.next(phase.side) for _ in range(phase.batch - len(chosen))]
        return chosen + fresh

    def _recycle(self, views: list[View], output: NetworkOutput, phase: Phase) -> None:
        """Puts views back with the click that corrects what was predicted."""
        probs = torch.sigmoid(output.mask_logits.detach()).float().cpu().numpy()[:, 0]
        edges = output.edge_logits if output.edge_logits is not None else output.mask_logits
        priors = torch.sigmoid(edges.detach()).float().cpu().numpy()[:, 0]
        for view, prob, prior in zip(views, probs, priors, strict=True):
            if self.rng.random() > 0.85:
                continue
            again = with_next_click(view, prob > 0.49, prior, self.rng, phase.max_clicks)
            if again is not None:
                self.pool.append(again)
        self.pool = self.pool[-POOL_LIMIT:]

    def _set_rate(self, progress: float) -> None:
        warm_up = min(1.0, (self.step + 1) / 150)
        cosine = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * warm_up * cosine

    @torch.no_grad()
    def _update_average(self) -> None:
        """Exponential moving average, quick at first, over about 500 steps later on."""
        if self.step % AVERAGE_EVERY:
            return
        keep = min(0.998**AVERAGE_EVERY, (1 + self.step) / (10 * AVERAGE_EVERY + self.step))
        current = self.network.state_dict()
        names = [name for name, value in current.items() if value.dtype.is_floating_point]
        torch._foreach_lerp_(
            [self.average[name] for name in names], [current[name] for name in names], 1 - keep
        )

    # -- what is written ---------------------------------------------------------------

    def _report(self, progress: float, recent: list[tuple[float, float, float]]) -> None:
        loss, iou = (float(np.mean([row[i] for row in recent])) for i in (0, 1))
        firsts = [row[2] for row in recent if not math.isnan(row[2])]
        first = float(np.mean(firsts)) if firsts else math.nan
        left = self.config.minutes - self.elapsed_s / 60
        pace = self.elapsed_s / max(self.step, 1)
        self.log(
            f"step {self.step} ({progress:.1%}) loss {loss:.4f} IoU {iou:.3f} "
            f"first click {first:.3f} · {pace:.2f} s/step · {left:.0f} min left"
        )
        path = self.out / "log.csv"
        is_new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(["step", "progress", "loss", "iou", "iou_first_click", "elapsed_s"])
            writer.writerow([self.step, progress, loss, iou, first, self.elapsed_s])

    def save(self) -> None:
        """Writes the checkpoint and the averaged weights, each in one atomic rename."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "rng": json.dumps(self.rng.bit_generator.state),
            "config": json.dumps(dataclasses.asdict(self.config)),
        }
        temporary = self.out / f"checkpoint.{os.getpid()}.tmp"
        torch.save(state, temporary)
        temporary.replace(self.out / "checkpoint.pt")
        metadata = {
            "network": self.config.network,
            "align": self.config.align,
            "input_side": str(self.config.phases[-1].side),
            "step": str(self.step),
        }
        save_weights(self.average, self.out / "weights.safetensors", metadata)

    def _load(self, path: Path) -> None:
        state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.elapsed_s = int(state["step"]), float(state["elapsed_s"])
        if self.rank == 0:
            self.rng.bit_generator.state = json.loads(state["rng"])
        else:
            self.rng = np.random.default_rng([self.config.seed, self.rank, self.step])


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Views as tensors, each ``(B, C, S, S) float32``."""

    image: Tensor
    click_maps: Tensor
    prior: Tensor
    target: Tensor
    valid: Tensor

    @staticmethod
    def of(views: list[View], radius_px: float, device: torch.device) -> Batch:
        """Stacks views and draws their clicks."""
        side = views[0].truth.shape
        image = torch.from_numpy(np.stack([v.image for v in views])).to(device)
        maps = np.stack([disk_maps(v.clicks, (side[0], side[1]), radius_px) for v in views])
        planes = [np.stack([v.prior for v in views]), np.stack([v.truth for v in views])]
        planes.append(~np.stack([v.ignore for v in views]))
        prior, target, valid = (
            torch.from_numpy(plane.astype(np.float32)[:, None]).to(device) for plane in planes
        )
        pixels = (image.permute(0, 3, 1, 2).float() / 255).contiguous(
            memory_format=torch.channels_last
        )
        return Batch(pixels, torch.from_numpy(maps).to(device), prior, target, valid)


def total_loss(output: NetworkOutput, batch: Batch) -> Tensor:
    """NFL on the mask(s) + 0.4 balanced BCE on the edge + 0.4 BCE on the auxiliary mask."""
    target, valid = batch.target, batch.valid
    loss = normalised_focal_loss(output.mask_logits, target, valid)
    if output.coarse_logits is not output.mask_logits:
        loss = 0.5 * (loss + normalised_focal_loss(output.coarse_logits, target, valid)) * 1.3
    if output.edge_logits is not None:
        loss = loss + 0.4 * balanced_bce(output.edge_logits, edge_target(target), valid)
    if output.aux_logits is not None:
        loss = loss + 0.4 * masked_bce(output.aux_logits, target, valid)
    return loss


class _Feed:
    """Fresh views, drawn by a thread while the network computes."""

    def __init__(self, sampler: ViewSampler, seed: list[int]) -> None:
        self._sampler, self._rng = sampler, np.random.default_rng([*seed, 1])
        self._queue: queue.Queue[View | BaseException] = queue.Queue(maxsize=32)
        self._side, self._stop = 0, threading.Event()
        self._thread: threading.Thread | None = None

    def next(self, side: int) -> View:
        """A fresh view of ``side`` pixels."""
        self._side = side
        if self._thread is None:
            cv2.setNumThreads(1)
            self._thread = threading.Thread(target=self._fill, daemon=True)
            self._thread.start()
        while True:
            view = self._queue.get()
            if isinstance(view, BaseException):
                raise view
            if view.truth.shape[0] == side:
                return view

    def _fill(self) -> None:
        while not self._stop.is_set():
            try:
                item: View | BaseException = self._sampler.draw(self._side, self._rng)
            except Exception as error:
                item = error
            while not self._stop.is_set():
                try:
                    self._queue.put(item, timeout=0.5)
                    break
                except queue.Full:
                    continue

    def close(self) -> None:
        """Ends the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
