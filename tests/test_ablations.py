"""The ablations' configurations are good ones, and their table says what the curves say."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from torch import nn

from napari_edgeflow.training.config import read_config
from napari_edgeflow.zoo import build

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "ablations.py"


@pytest.fixture(scope="module")
def ablations() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ablations", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_every_variant_is_a_configuration_the_trainer_takes(
    ablations: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "FAMILIES", dict.fromkeys(build.FAMILIES, _settings_alone))
    budget = ablations.Budget(steps=20, batch=2, side=64, objects=1)
    folders = [tmp_path / "micro_a", tmp_path / "rs_b"]
    read = {}
    for name, variant in ablations.VARIANTS.items():
        path = tmp_path / "config.toml"
        text = ablations.config_toml(variant, folders, tmp_path / "out", budget)
        path.write_text(text, encoding="utf-8")
        config = read_config(path)
        build.build_network(config.network)
        assert (config.steps, [p.side for p in config.phases]) == (20, [64, 64]), name
        assert config.shares == {"micro_": 0.33, "rs_": 0.2}  # no domain that is not there
        read[name] = text.replace("seed = 2", "seed = 1") if name == "another seed" else text
    assert len(set(read.values())) == len(read) - 1  # each differs, but for the seed


def test_table_compares_the_same_objects(ablations: ModuleType) -> None:
    first = ablations.Outcome({"a": (0.2, 0.4, 0.6), "b": (0.4, 0.6, 0.8)}, 1.5)
    second = ablations.Outcome({"a": (0.3, 0.5, 0.7), "b": (0.5, 0.7, 0.9), "c": (0, 0, 0)}, 2.0)
    lines = ablations.table({"first": first, "second": second})
    assert lines[2] == "| first | 0.300 · 0.500 · 0.700 |  | 1.5 |"
    assert "+0.100 (+0.100 to +0.100)" in lines[3]


def test_curves_of_objects_are_read_after_one_three_and_five_clicks(
    ablations: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "objects.csv").write_text(
        "dataset,sample,object_id,ious\nd,s,1,0.1 0.2 0.3 0.4 0.5\nd,s,2,0.9 0.96\n",
        encoding="utf-8",
    )
    assert ablations._read_ious(tmp_path) == {"d/s/1": (0.1, 0.3, 0.5), "d/s/2": (0.9, 0.96, 0.96)}


def _settings_alone(_config: object) -> nn.Module:
    """Instead of a network, whose weights take long to draw."""
    return nn.Identity()
