"""The settings of a training run; ``config`` reads them from TOML, nothing here loads torch."""

from __future__ import annotations

from dataclasses import dataclass, field

LOSS_NAMES = ("nfl", "focal", "bce", "balanced_bce", "soft_iou", "ba_ce")
SCHEDULES = ("cosine", "poly", "step")
OPTIMISERS = ("adamw", "adam", "sgd")
CLICK_RULES = ("recycle", "random", "iterative", "selection", "boundary")


@dataclass(frozen=True, slots=True)
class Losses:
    """Which loss each output is trained with, and its weight; a weight of 0 leaves it out.

    Attributes:
        mask: Of the mask, and of the coarse mask where there is one: one of ``LOSS_NAMES``.
        mask_weight: Its weight.
        edge: Of the edge.
        edge_weight: Its weight.
        aux: Of the auxiliary mask.
        aux_weight: Its weight.
    """

    mask: str = "nfl"
    mask_weight: float = 1.0
    edge: str = "balanced_bce"
    edge_weight: float = 0.4
    aux: str = "bce"
    aux_weight: float = 0.4


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of a run.

    Attributes:
        until: Share of the run at which the phase ends, in (0, 1].
        side: Side of the square views in pixels.
        batch: Views a step.
        finenet: Run and train the refinement too (EdgeFlow's second stage).
        max_clicks: Most clicks a view collects before it is dropped (``recycle``).
        clicks: How clicks are simulated, one of ``CLICK_RULES``.
        extra_clicks: Most further clicks of ``iterative``, drawn anew for each batch.
        zoom: Smallest and largest side of a view, in sides of the object's box.
        train: Prefixes of the parameters that learn; none: all of them.
        rates: Factor of the learning rate by prefix of the parameters.
        copy: Prefix of parameters to the prefix that they are copied from at the start.
        freeze_norms: Batch norms keep their statistics.
        focus: Weight of the pixels in a 40 × 40 square around the latest click.
    """

    until: float
    side: int
    batch: int
    finenet: bool = False
    max_clicks: int = 6
    clicks: str = "recycle"
    extra_clicks: int = 3
    zoom: tuple[float, float] = (1.15, 6.0)
    train: tuple[str, ...] = ()
    rates: dict[str, float] = field(default_factory=dict)
    copy: dict[str, str] = field(default_factory=dict)
    freeze_norms: bool = False
    focus: float = 1.0


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Settings of a run.

    Attributes:
        network: Registered name of the architecture.
        data: Folders of data sets (``images/`` and ``masks/``).
        out: Folder for checkpoints and log; the pack lies beside it.
        minutes: Length of the run when ``steps`` is 0; the schedules follow the clock.
        steps: Length of the run in steps; the schedules follow them, so runs are repeatable.
        phases: In order; the last one ends at 1.
        optimiser: ``adamw``, ``adam`` or ``sgd`` (Nesterov, momentum 0.9).
        learning_rate: Peak, after the warm-up.
        schedule: ``cosine``, ``poly`` (power 0.9) or ``step`` (a tenth from 50/55 of the run
            on, a hundredth from 53/55 on).
        final_rate: Share of the peak at which ``cosine`` and ``poly`` end.
        restarts: The schedule begins anew with every phase.
        warm_up: Steps until the peak.
        weight_decay: Of AdamW; L2 penalty of the others.
        clip: Largest norm of the gradient; 0 leaves it as it is.
        average: Share of the averaged weights that a step keeps.
        again: Chance that a view comes back with one click more (``recycle``).
        start_masks: Share of views that start from a mask made elsewhere.
        merge: Chance that two objects of an image count as one.
        losses: Of each output.
        shares: Share of each domain, by prefix of the data sets' names.
        align: Overrides the network's align target when not empty.
        bf16: Mixed precision with bfloat16.
        seed: Of all randomness.
        loaders: Threads that draw views.
        log_every: Steps between two lines of the log.
        save_minutes: Time between two checkpoints.
        pictures: Draw ``curves.png`` and ``samples.png`` with every checkpoint.
        tensorboard: Write the log for TensorBoard too.
    """

    network: str = "edgeflow-18s"
    data: tuple[str, ...] = ()
    out: str = "runs/default"
    minutes: float = 60.0
    steps: int = 0
    phases: tuple[Phase, ...] = (Phase(0.6, 160, 12), Phase(1.0, 256, 8, finenet=True))
    optimiser: str = "adamw"
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    final_rate: float = 0.02
    restarts: bool = False
    warm_up: int = 150
    weight_decay: float = 0.01
    clip: float = 5.0
    average: float = 0.998
    again: float = 0.65
    start_masks: float = 0.15
    merge: float = 0.0
    losses: Losses = field(default_factory=Losses)
    shares: dict[str, float] = field(default_factory=dict)
    align: str = ""
    bf16: bool = True
    seed: int = 0
    loaders: int = 1
    log_every: int = 50
    save_minutes: float = 4.0
    pictures: bool = True
    tensorboard: bool = False

    def phase_at(self, progress: float) -> int:
        """Index of the phase at ``progress`` in [0, 1]."""
        ends = [phase.until for phase in self.phases]
        return next((i for i, end in enumerate(ends) if progress < end), len(ends) - 1)
