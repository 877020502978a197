"""The training loop: views collect clicks from step to step, so no forward pass is wasted.

RITM trains on clicks that the network's own errors provoke and spends extra forward
passes on finding them (``clicks = "iterative"``). By default (``"recycle"``) every pass is
a training pass: after a step, a view goes back to the pool with the click that corrects the
prediction just made and with what the network gives back as its prior, so a batch mixes first
clicks with later ones.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from napari_edgeflow._types import FloatArray
from napari_edgeflow.clicks.encode import SIGNS
from napari_edgeflow.errors import DatasetError, ExportError
from napari_edgeflow.nn.base import NetworkOutput
from napari_edgeflow.training.batch import Batch, answers, total_loss
from napari_edgeflow.training.checkpoint import (
    cannot_write,
    load_state,
    pack_views,
    random_state,
    save_state,
    set_random_state,
    unpack_views,
)
from napari_edgeflow.training.feed import Feed, open_feed
from napari_edgeflow.training.losses import batch_iou
from napari_edgeflow.training.memory import is_out_of_memory, release_memory
from napari_edgeflow.training.next_clicks import Answers, recycled, simulate
from napari_edgeflow.training.pack import Pack, check_pack, write_pack
from napari_edgeflow.training.parallel import agree, average_gradients, join_group
from napari_edgeflow.training.runlog import Row, RunLog
from napari_edgeflow.training.settings import Phase, TrainConfig
from napari_edgeflow.training.stages import (
    build_optimiser,
    check_prefixes,
    copy_parts,
    set_modes,
    set_rates,
)
from napari_edgeflow.training.view import View
from napari_edgeflow.zoo.build import build_network, load_weights, save_weights, to_channels_last

POOL_LIMIT = 256
AVERAGE_EVERY = 5

Scores = tuple[float, float, float]


class Trainer:
    """One run; ``run`` goes on until it is done, checkpoints let it resume.

    Args:
        config: The run's settings.
        resume: Continue from ``config.out/checkpoint.pt`` where there is one.
        start_from: Weights file to start from when there is no checkpoint.
        log: Receives one line every ``config.log_every`` steps.

    Attributes:
        metadata: More texts to keep with the weights.

    Raises:
        ValueError: The settings ask for what the network has not, or the checkpoint is bad.
        WeightsError: ``start_from`` is of another network.
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
        check_prefixes(self.network, config.phases)
        self._check_clicks()
        if start_from is not None:
            load_weights(self.network, start_from)
        torch.manual_seed(config.seed + self.rank)
        to_channels_last(self.network, self.device)
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.optimiser = build_optimiser(config, self.network)
        self.step, self.elapsed_s, self.phase, self.used = 0, 0.0, -1, 0
        self.most_views = 0
        self.pool: list[View] = []
        self.recent: list[Scores] = []
        self.metadata: dict[str, str] = {}
        self._shown: tuple[list[View], FloatArray] = ([], np.zeros((0, 0, 0), np.float32))
        if resume and (self.out / "checkpoint.pt").exists():
            self._load()

    def _check_clicks(self) -> None:
        """Raise ValueError where a phase makes clicks that the network does not take."""
        kinds = self.network.spec.click_kinds
        needs = {"selection": ("positive",), "boundary": ("positive", "boundary")}
        for number, phase in enumerate(self.config.phases, start=1):
            missing = [kind for kind in needs.get(phase.clicks, SIGNS) if kind not in kinds]
            if missing:
                raise ValueError(
                    f"phase {number}: expected clicks that {self.config.network} takes "
                    f"({', '.join(kinds)}), but '{phase.clicks}' makes {', '.join(missing)} ones; "
                    "choose another rule for 'clicks'"
                )

    # -- the run ---------------------------------------------------------------------

    @property
    def progress(self) -> float:
        """Share of the run that is done, in [0, 1]."""
        if self.config.steps:
            return min(self.step / self.config.steps, 1.0)
        return min(self.elapsed_s / (self.config.minutes * 60), 1.0)

    @property
    def left_s(self) -> float:
        """Seconds until the run is done, as far as one can tell."""
        if self.config.steps:
            return (self.config.steps - self.step) * self.elapsed_s / max(self.step, 1)
        return self.config.minutes * 60 - self.elapsed_s

    def run(self) -> None:
        """Trains until ``config.steps`` or ``config.minutes`` have been spent on the run.

        Raises:
            DatasetError: The data sets are bad.
            FloatingPointError: The loss is no number any more.
            ExportError: The last checkpoint could not be written.
            MemoryError: There is not even room for two views.
        """
        pack = self._pack()
        self._log = RunLog(self.out, self.step, tensorboard=self._writes("tensorboard"))
        feed = open_feed(
            pack, self.config, prior=self.network.spec.prior, rank=self.rank, used=self.used
        )
        saved_at = time.monotonic()
        try:
            while (progress := agree(self.progress)) < 1:
                began = time.monotonic()
                self.recent.append(self._one_step(progress, feed))
                self.elapsed_s += min(time.monotonic() - began, 60.0)
                if self.step % self.config.log_every == 0:
                    self._report()
                is_due = time.monotonic() - saved_at > 60 * self.config.save_minutes
                if agree(float(is_due)):
                    self._try_to_save()
                    saved_at = time.monotonic()
        finally:
            feed.close()
            self._log.close()
        self.save()

    def _pack(self) -> Pack:
        """The images, decoded by the first process while the others wait."""
        folder = self.out.parent / "pack"
        if self.rank == 0 and not (folder / "index.json").exists():
            try:
                write_pack(self.config.data, folder, self.log)
            except OSError as error:
                raise DatasetError(f"{cannot_write(folder, error)}") from error
        agree(0.0)
        pack = Pack(folder)
        check_pack(pack, self.config.data, folder)
        return pack

    def _one_step(self, progress: float, feed: Feed) -> Scores:
        phase = self._enter_phase(progress)
        views = simulate(self._views(phase, feed), phase, self._answer, self.rng)
        self.used = feed.used
        views, batch, output, loss = self._gradients(views, phase)
        average_gradients(self.network.parameters())
        if self.config.clip:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        set_rates(self.optimiser, self.config, progress, self.step)
        self.optimiser.step()
        self.step += 1
        self._update_average()
        iou = batch_iou(output.mask_logits.detach(), batch.target, batch.valid)
        said = answers(output, self.network.spec.prior)
        self._shown = views, said[0]
        if phase.clicks == "recycle":
            self.pool += recycled(views, said, self.rng, phase.max_clicks)
            self.pool = self.pool[-POOL_LIMIT:]
        first = [float(i) for i, v in zip(iou, views, strict=True) if len(v.clicks) == 1]
        return float(loss.detach()), float(iou.mean()), float(np.mean(first)) if first else math.nan

    def _enter_phase(self, progress: float) -> Phase:
        """The phase at ``progress``; what it copies is copied when it begins."""
        index = self.config.phase_at(progress)
        for entered in range(self.phase + 1, index + 1):
            copies = self.config.phases[entered].copy
            copy_parts(self.network.state_dict(), copies)
            copy_parts(self.average, copies)
        phase = self.config.phases[index]
        set_modes(self.network, phase)
        self.phase = max(index, self.phase)
        is_kept = phase.clicks == "recycle"
        self.pool = [v for v in self.pool if is_kept and v.truth.shape[0] == phase.side]
        return phase

    def _views(self, phase: Phase, feed: Feed) -> list[View]:
        """A batch: as many from the pool as it can spare, the rest fresh."""
        count = min(phase.batch, self.most_views) if self.most_views else phase.batch
        from_pool = min(len(self.pool), round(count * self.config.again))
        order = self.rng.permutation(len(self.pool))
        chosen = [self.pool[int(i)] for i in order[:from_pool]]
        self.pool = [self.pool[int(i)] for i in order[from_pool:]]
        return chosen + [feed.next(phase) for _ in range(count - len(chosen))]

    @torch.no_grad()
    def _answer(self, views: list[View]) -> Answers:
        """What the network says about the views, in eval mode."""
        self.network.eval()
        output = self._forward(Batch.of(views, self.network.spec, self.device))
        set_modes(self.network, self.config.phases[self.phase])
        return answers(output, self.network.spec.prior)

    def _gradients(
        self, views: list[View], phase: Phase
    ) -> tuple[list[View], Batch, NetworkOutput, Tensor]:
        """Fills the gradients; with too little memory, from half of the views.

        Returns:
            (the views that were used, their batch, the network's output, the loss).
        """
        while True:
            try:
                batch = Batch.of(views, self.network.spec, self.device, focus=phase.focus)
                output = self._forward(batch)
                loss = total_loss(output, batch, self.config.losses)
                self._check_loss(loss)
                self.optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                return views, batch, output, loss
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                views = self._halved(views)
            self.optimiser.zero_grad(set_to_none=True)
            release_memory(self.device)

    def _halved(self, views: list[View]) -> list[View]:
        """Half of the views, from now on."""
        self.most_views = len(views) // 2
        if self.most_views < 2:
            raise MemoryError(
                f"expected memory for two views of {views[0].truth.shape[0]} px, and there is "
                "not; choose a smaller 'side' or a smaller network, or close other programs"
            )
        self.log(
            f"Out of memory at step {self.step} with {len(views)} views of "
            f"{views[0].truth.shape[0]} px; going on with {self.most_views} a step"
        )
        return views[: self.most_views]

    def _check_loss(self, loss: Tensor) -> None:
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.step}; the last checkpoint in "
                f"{self.out} is still good: lower the learning rate and resume"
            )

    def _forward(self, batch: Batch) -> NetworkOutput:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bf16):
            return self.network(batch.image, batch.click_maps, batch.prior, batch.points)  # type: ignore[no-any-return]

    @torch.no_grad()
    def _update_average(self) -> None:
        """Exponential moving average, quick at first, over about 500 steps later on."""
        if self.step % AVERAGE_EVERY:
            return
        slow = self.config.average**AVERAGE_EVERY
        keep = min(slow, (1 + self.step) / (10 * AVERAGE_EVERY + self.step))
        current = self.network.state_dict()
        names = [name for name, value in current.items() if value.dtype.is_floating_point]
        torch._foreach_lerp_(
            [self.average[name] for name in names], [current[name] for name in names], 1 - keep
        )

    # -- what is written ---------------------------------------------------------------

    def _writes(self, setting: str) -> bool:
        """True in the process that writes, when the setting asks for it."""
        return self.rank == 0 and bool(getattr(self.config, setting))

    def _report(self) -> None:
        recent, self.recent = self.recent, []
        if self.rank:
            return
        loss, iou = (float(np.mean([row[i] for row in recent])) for i in (0, 1))
        firsts = [row[2] for row in recent if not math.isnan(row[2])]
        first = float(np.mean(firsts)) if firsts else math.nan
        pace = self.elapsed_s / max(self.step, 1)
        self.log(
            f"step {self.step} ({self.progress:.1%}) loss {loss:.4f} IoU {iou:.3f} "
            f"first click {first:.3f} · {pace:.2f} s/step · {self.left_s / 60:.0f} min left"
        )
        rate = max(float(group["lr"]) for group in self.optimiser.param_groups)
        row = Row(self.step, self.progress, loss, iou, first, self.elapsed_s, rate)
        try:
            self._log.add(row)
        except OSError as error:
            self.log(f"Warning: {cannot_write(self.out / 'log.csv', error)}")

    def _try_to_save(self) -> None:
        """Saves; a disk that is full for the moment does not end the run."""
        try:
            self.save()
        except ExportError as error:
            self.log(f"Warning: {error}. The training goes on; the next try is later")

    def save(self) -> None:
        """Writes the checkpoint, the averaged weights and the pictures, each in one rename.

        Raises:
            ExportError: Something cannot be written; the last checkpoint is unharmed.
        """
        if self.rank:
            save_state(self.out / f"checkpoint.{self.rank}.pt", self._own_state())
            return
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "elapsed_s": self.elapsed_s,
            "phase": self.phase,
            "config": json.dumps(dataclasses.asdict(self.config)),
        }
        save_state(self.out / "checkpoint.pt", self._own_state() | state)
        weights = self.out / "weights.safetensors"
        try:
            save_weights(self.average, weights, self._metadata())
        except OSError as error:
            raise cannot_write(weights, error) from error
        if self.config.pictures and hasattr(self, "_log"):
            self._log.draw_curves()
            self._log.draw_samples(self._shown[0], list(self._shown[1]))

    def _own_state(self) -> dict[str, Any]:
        """What differs from process to process."""
        return {
            "step": self.step,
            "used": self.used,
            "most_views": self.most_views,
            "rng": json.dumps(self.rng.bit_generator.state),
            "torch": random_state(self.device),
            "recent": self.recent,
            "pool": pack_views(self.pool),
        }

    def _metadata(self) -> dict[str, str]:
        return {
            "network": self.config.network,
            "align": self.config.align,
            "input_side": str(self.config.phases[-1].side),
            "step": str(self.step),
            **self.metadata,
        }

    def _load(self) -> None:
        state = load_state(self.out / "checkpoint.pt", self.device)
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.elapsed_s = int(state["step"]), float(state["elapsed_s"])
        self.phase = int(state["phase"])
        own = self.out / f"checkpoint.{self.rank}.pt"
        if self.rank:
            state = load_state(own, self.device) if own.exists() else {}
        if state.get("step") != self.step:  # another process stopped elsewhere: go on anew
            self.used = self.step * max(phase.batch for phase in self.config.phases)
            self.rng = np.random.default_rng([self.config.seed, self.rank, self.step])
            return
        self.used, self.most_views = int(state["used"]), int(state["most_views"])
        self.rng.bit_generator.state = json.loads(state["rng"])
        self.recent = [tuple(row) for row in state["recent"]]
        self.pool = unpack_views(state["pool"])
        set_random_state(state["torch"], self.device)
