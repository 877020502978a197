"""A run's TOML file: what it sets, and everything that is wrong with it at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from napari_edgeflow.training.config import Losses, Phase, TrainConfig, read_config
from napari_edgeflow.training.stages import check_prefixes
from napari_edgeflow.zoo.build import build_network

WHOLE = """\
network = "edgeflow-18"
data = ["cells/train", "roofs/train"]
out = "runs/one"
minutes = 90
learning_rate = 5e-4
weight_decay = 0
again = 0.5
align = "image"
bf16 = false
seed = 4

[shares]
cells = 0.75
roofs = 0.25

[[phases]]
until = 0.5
side = 96
batch = 4

[[phases]]
until = 1
side = 128
batch = 2
finenet = true
max_clicks = 9
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.toml"


def test_every_setting(file: Path) -> None:
    file.write_text(WHOLE)
    assert read_config(file) == TrainConfig(
        network="edgeflow-18",
        data=("cells/train", "roofs/train"),
        out="runs/one",
        minutes=90,
        phases=(Phase(0.5, 96, 4, False, 6), Phase(1, 128, 2, True, 9)),
        learning_rate=5e-4,
        weight_decay=0,
        again=0.5,
        shares={"cells": 0.75, "roofs": 0.25},
        align="image",
        bf16=False,
        seed=4,
    )


EVERYTHING_ELSE = """
steps = 4000
optimiser = "sgd"
schedule = "poly"
final_rate = 0.01
restarts = true
warm_up = 0
clip = 0
average = 0.99
start_masks = 0.3
merge = 0.15
loaders = 2
log_every = 10
save_minutes = 1.5
pictures = false
tensorboard = true

[losses]
mask = "ba_ce"
mask_weight = 2
edge = "focal"
edge_weight = 0.1
aux = "soft_iou"
aux_weight = 0

[[phases]]
until = 1
side = 64
batch = 2
clicks = "iterative"
extra_clicks = 2
zoom = [2, 2.5]
train = ["finenet", "feature_extractor.cls_head"]
rates = { feature_extractor = 0.1 }
copy = { fine = "coarse" }
freeze_norms = true
focus = 2
"""


def test_every_other_setting(file: Path) -> None:
    file.write_text(EVERYTHING_ELSE)
    assert read_config(file) == TrainConfig(
        steps=4000,
        optimiser="sgd",
        schedule="poly",
        final_rate=0.01,
        restarts=True,
        warm_up=0,
        clip=0,
        average=0.99,
        start_masks=0.3,
        merge=0.15,
        loaders=2,
        log_every=10,
        save_minutes=1.5,
        pictures=False,
        tensorboard=True,
        losses=Losses("ba_ce", 2, "focal", 0.1, "soft_iou", 0),
        phases=(
            Phase(
                1,
                64,
                2,
                clicks="iterative",
                extra_clicks=2,
                zoom=(2, 2.5),
                train=("finenet", "feature_extractor.cls_head"),
                rates={"feature_extractor": 0.1},
                copy={"fine": "coarse"},
                freeze_norms=True,
                focus=2,
            ),
        ),
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"ba_ce"', '"dice"', "losses.mask must be one of nfl, focal, bce"),
        ('"sgd"', '"lion"', "optimiser must be one of adamw, adam, sgd, got 'lion'"),
        ('"poly"', '"flat"', "schedule must be one of cosine, poly, step"),
        ('"iterative"', '"none"', "phase 1: clicks must be one of recycle, random, iterative"),
        ("[2, 2.5]", "[2.5, 2]", "phase 1: zoom must rise from 1 or more, got [2.5, 2]"),
        ("[2, 2.5]", "[2]", "phase 1: zoom must be two numbers"),
        ('["finenet", "feature_extractor.cls_head"]', '"all"', "phase 1: train must be a list"),
        ("{ feature_extractor = 0.1 }", "{ a = -1 }", "phase 1: rates.a must not be negative"),
        ('{ fine = "coarse" }', "3", "phase 1: copy must be a table of prefixes"),
        ("focus = 2", "focus = 0.5", "phase 1: focus must be at least 1"),
        ("edge_weight = 0.1", "edge_weight = -1", "losses.edge_weight must not be negative"),
        ("merge = 0.15", "merge = 1.5", "merge must lie in [0, 1], got 1.5"),
        ("average = 0.99", "average = 1.0", "average must lie in [0, 1), got 1"),
        ("steps = 4000", "steps = 4e3", "steps must be a whole number, got 4000.0"),
        ("loaders = 2", "loaders = 0", "loaders must be at least 1, got 0"),
        ('edge = "focal"', 'edges = "focal"', "line 21: unknown setting losses.edges"),
    ],
)
def test_impossible_values_of_the_others(file: Path, old: str, new: str, message: str) -> None:
    assert EVERYTHING_ELSE.count(old) == 1
    file.write_text(EVERYTHING_ELSE.replace(old, new))
    with pytest.raises(ValueError, match="cannot be used") as caught:
        read_config(file)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


def test_the_bundled_run_still_means_the_same() -> None:
    """Every setting of the run behind the bundled weights, as it was when it was made."""
    config = read_config(Path(__file__).parents[2] / "benchmarks" / "train_bundled_1.toml")
    assert (config.minutes, config.again, config.learning_rate) == (91, 0.5, 1e-3)
    assert (config.steps, config.schedule, config.final_rate) == (0, "cosine", 0.02)
    assert (config.optimiser, config.warm_up, config.clip) == ("adamw", 150, 5.0)
    assert config.losses == Losses("nfl", 1.0, "balanced_bce", 0.4, "bce", 0.4)
    assert config.start_masks == 0.1
    assert config.phases == (
        Phase(0.55, 128, 8, False, 6),
        Phase(0.68, 160, 7, False, 8),
        Phase(1.0, 160, 7, True, 8),
    )
    assert all(p.clicks == "recycle" and not p.train and not p.rates for p in config.phases)


def test_an_empty_file_is_the_default_run(file: Path) -> None:
    file.write_text("")
    assert read_config(file) == TrainConfig()


EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("train_*.toml"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_valid(example: Path) -> None:
    config = read_config(example)
    assert config.data
    check_prefixes(build_network(config.network), config.phases)


def test_the_runs_of_the_manual_are_valid(file: Path) -> None:
    """The TOML blocks of docs/training.md, and its table of settings."""
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    blocks = [part.split("```")[0] for part in text.split("```toml\n")[1:]]
    assert blocks
    for block in blocks:
        file.write_text(block)
        config = read_config(file)
        check_prefixes(build_network(config.network), config.phases)
    for owner in (TrainConfig, Phase, Losses):
        for item in dataclasses.fields(owner):
            name = item.name
            shown = f"[{name}]" if name in ("phases", "losses") else f"`{name}`"
            assert shown in text, f"docs/training.md says nothing of {name}"


def test_unknown_settings_are_all_named_with_their_lines(file: Path) -> None:
    file.write_text(
        WHOLE.replace("minutes =", "minuts =")
        .replace("max_clicks =", "most_clicks =")
        .replace("[shares]", "[share]")
    )
    with pytest.raises(ValueError, match="cannot be used") as caught:
        read_config(file)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{file} cannot be used:"
    assert [line.split(";")[0].strip() for line in lines[1:]] == [
        "line 4: unknown setting minuts",
        "line 12: unknown setting share",
        "line 26: unknown setting phases.most_clicks",
    ]
    assert "minutes" in lines[1]
    assert "max_clicks" in lines[3]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("minutes = 90", 'minutes = "90"', "minutes must be a number, got '90'"),
        ("minutes = 90", "minutes = true", "minutes must be a number, got True"),
        ("minutes = 90", "minutes = inf", "minutes must be a number, got inf"),
        ("minutes = 90", "minutes = 0", "minutes must be more than 0, got 0"),
        ("seed = 4", "seed = 4.5", "seed must be a whole number, got 4.5"),
        ("seed = 4", "seed = -1", "seed must not be negative"),
        ("bf16 = false", "bf16 = 0", "bf16 must be true or false, got 0"),
        ("5e-4", "-5e-4", "learning_rate must be more than 0"),
        ("weight_decay = 0", "weight_decay = -1", "weight_decay must not be negative"),
        ("again = 0.5", "again = 1.0", r"again must lie in [0, 1), got 1"),
        ('"runs/one"', "7", "out must be a text, got 7"),
        ('["cells/train", "roofs/train"]', '"cells"', "data must be a list of folders"),
        ("cells = 0.75", 'cells = "all"', "shares must be a table of numbers"),
        ("cells = 0.75", "cells = 0", "shares.cells must be more than 0"),
        ("until = 1\n", "until = 0.9\n", "end at 1, got [0.5, 0.9]"),
        ("until = 0.5", "until = 1.0", "rise from phase to phase"),
        ("until = 0.5", "until = 0", "rise from phase to phase"),
        ("side = 96", "side = 8", "phase 1: side must be at least 32, got 8"),
        ("side = 96\n", "", "phase 1: needs side"),
        ("batch = 2", "batch = 1", "phase 2: batch must be at least 2"),
        ("batch = 2", "batch = 2.0", "phase 2: batch must be a whole number, got 2.0"),
        ("max_clicks = 9", "max_clicks = 0", "phase 2: max_clicks must be at least 1"),
    ],
)
def test_impossible_values(file: Path, old: str, new: str, message: str) -> None:
    assert WHOLE.count(old) == 1
    file.write_text(WHOLE.replace(old, new))
    with pytest.raises(ValueError, match="cannot be used") as caught:
        read_config(file)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


def test_phases_that_are_no_tables(file: Path) -> None:
    file.write_text("phases = [1, 2]")
    with pytest.raises(ValueError, match=r"each under its own \[\[phases\]\]"):
        read_config(file)


def test_several_mistakes_are_named_together(file: Path) -> None:
    file.write_text("minutes = -1\nlearning_rate = 0\nseed = -3\n")
    with pytest.raises(ValueError, match="cannot be used") as caught:
        read_config(file)
    assert len(str(caught.value).splitlines()) == 4


@pytest.mark.parametrize("content", [b"minutes = ", b"\xff\xfe", None], ids=["toml", "utf", "none"])
def test_files_that_are_no_settings(file: Path, content: bytes | None) -> None:
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match="expected a TOML file") as caught:
        read_config(file)
    assert str(file) in str(caught.value)
