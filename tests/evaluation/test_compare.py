"""Paired differences: figures, intervals, reports."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_edgeflow._types import Click
from napari_edgeflow.errors import EdgeFlowError
from napari_edgeflow.evaluation.compare import METRICS, bootstrap_interval, compare
from napari_edgeflow.evaluation.compare_report import write_comparison
from napari_edgeflow.evaluation.compare_run import compare_reports, run_comparison
from napari_edgeflow.evaluation.evaluate import Evaluation, run_evaluation
from napari_edgeflow.evaluation.records import ObjectRecord
from napari_edgeflow.evaluation.results import Key
from napari_edgeflow.evaluation.sources import ModelSource

from .fakes import FakeSource, write_discs


def records(dataset: str, *curves: tuple[float, ...]) -> dict[Key, ObjectRecord]:
    rows = [
        ObjectRecord(dataset, f"s{i}", 1, 20, 64.0, ious, (0.1,) * len(ious), (Click(0, 0),))
        for i, ious in enumerate(curves)
    ]
    return {row.key: row for row in rows}


def test_figures_of_one_object() -> None:
    (record,) = records("d", (0.5, 0.86, 0.91)).values()
    found = {name: metric(record, 5) for name, metric in METRICS.items()}
    assert found == {
        "noc85": 2, "noc90": 3, "noc95": 5, "miou1": 0.5, "miou3": 0.91, "miou5": 0.91
    }  # fmt: skip
    assert METRICS["miou5"](record, 3) == 0.91
    (late,) = records("d", (0.1,) * 30 + (0.99,)).values()
    assert METRICS["noc90"](late, 100) == 20


def test_the_interval_equals_that_of_all_possible_resamplings() -> None:
    values = [0.0, 1.0, 4.0, 2.0]
    means = [np.mean(drawn) for drawn in itertools.product(values, repeat=4)]
    low, high = np.percentile(means, [2.5, 97.5])
    found = bootstrap_interval(values, np.random.default_rng(0), 200_000)
    assert found == pytest.approx((low, high), abs=0.03)


def test_the_interval_of_many_values_is_that_of_a_normal_mean() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(2.0, 3.0, 4000)
    low, high = bootstrap_interval(values.tolist(), np.random.default_rng(0))
    half = 1.96 * values.std() / np.sqrt(4000)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.015)


def test_pairs_tell_what_unpaired_means_could_not() -> None:
    # objects differ by far more than the models do, but one is always a click better
    before = records("d", *[(0.0,) * (n % 15 + 1) + (0.92,) for n in range(40)])
    after = records("d", *[(0.0,) * (n % 15) + (0.92,) for n in range(40)])
    found = {d.metric: d for d in compare({"old": before, "new": after}, 20)}
    noc = found["noc90"]
    assert (noc.difference, noc.low, noc.high) == (-1.0, -1.0, -1.0)
    assert noc.is_clear
    assert noc.mean - noc.reference == pytest.approx(-1.0)
    assert noc.objects == 40
    assert not found["noc95"].is_clear


def test_the_same_seed_gives_the_same_interval_whatever_else_is_compared() -> None:
    rng = np.random.default_rng(0)
    curves = [[tuple(rng.random(6)) for _ in range(30)] for _ in range(3)]
    a, b, c = (records("d", *one) for one in curves)
    assert {d.metric for d in compare({"a": a, "b": b}, 6)} == set(METRICS)
    two = compare({"a": a, "b": b}, 6, seed=4)
    three = compare({"a": a, "c": c, "b": b}, 6, seed=4)
    assert two == [d for d in three if d.model == "b"]
    assert two != compare({"a": a, "b": b}, 6, seed=5)


def test_all_objects_come_after_the_data_sets() -> None:
    a = {**records("d", (0.9,), (0.8,)), **records("e", (0.7,))}
    b = {**records("d", (0.8,), (0.8,)), **records("e", (0.9,))}
    found = [d for d in compare({"a": a, "b": b}, 20) if d.metric == "miou1"]
    assert [(d.dataset, d.objects) for d in found] == [("d", 2), ("e", 1), ("all objects", 3)]
    assert found[2].difference == pytest.approx((-0.1 + 0.0 + 0.2) / 3)


@pytest.mark.parametrize("others", [{}, {"b": records("d", (0.1,))}])
def test_one_model_or_other_objects_cannot_be_compared(
    others: dict[str, dict[Key, ObjectRecord]],
) -> None:
    with pytest.raises(ValueError, match=r"at least two|same objects"):
        compare({"a": records("d", (0.1,), (0.2,)), **others}, 20)


@pytest.mark.usefixtures("no_pictures")
def test_a_comparison_of_models_on_the_same_objects(tmp_path: Path) -> None:
    discs = write_discs(tmp_path / "set_discs")
    evaluation = Evaluation(FakeSource("oracle"), (discs,), max_clicks=3)
    names = [ModelSource("watershed"), ModelSource("random-walker")]
    out = tmp_path / "out"
    seen: list[str] = []
    comparison = run_comparison(
        evaluation, names, out, on_progress=lambda what, *_: seen.append(what)
    )

    assert comparison.models == ("watershed", "random_walker")
    assert {p.name for p in out.iterdir()} == {
        "watershed", "random_walker", "report.json", "report.md", "compare.png"
    }  # fmt: skip
    assert "random_walker: Clicking" in seen
    report = json.loads((out / "report.json").read_text())
    assert report["resamples"] == 2000
    assert report["interval"] == 0.95
    assert report["settings"]["max_clicks"] == 3
    assert {d["model"] for d in report["differences"]} == {"random_walker"}
    for difference in report["differences"]:
        single = json.loads((out / difference["model"] / "report.json").read_text())
        if difference["metric"].startswith("noc"):
            mean = single["datasets"][0][difference["metric"]]
            assert difference["mean"] == pytest.approx(mean)
        assert difference["objects"] == 6
        assert difference["low"] <= difference["difference"] <= difference["high"]
    text = (out / "report.md").read_text()
    assert "## random_walker − watershed" in text
    # the user gave up after three clicks: there is no fifth
    assert "| data set | objects | NoC@85 | NoC@90 | mIoU@1 |\n" in text
    with Image.open(out / "compare.png") as picture:
        assert min(picture.size) > 300


@pytest.mark.usefixtures("no_pictures")
def test_a_comparison_that_stopped_goes_on(tmp_path: Path) -> None:
    discs = write_discs(tmp_path / "set_discs")
    evaluation = Evaluation(FakeSource("oracle"), (discs,), max_clicks=2)
    names = [ModelSource("watershed"), ModelSource("grabcut")]
    run_evaluation(Evaluation(names[0], (discs,), max_clicks=2), tmp_path / "out/watershed")
    with pytest.raises(EdgeFlowError, match="already holds results"):
        run_comparison(evaluation, names, tmp_path / "out")
    assert run_comparison(evaluation, names, tmp_path / "out", resume=True).differences


@pytest.mark.usefixtures("no_pictures")
def test_the_same_model_twice_is_refused_before_the_first_click(tmp_path: Path) -> None:
    evaluation = Evaluation(FakeSource("oracle"), (write_discs(tmp_path / "discs"),))
    twice = [ModelSource("random-walker"), ModelSource("random_walker")]
    with pytest.raises(ValueError, match="twice"):
        run_comparison(evaluation, twice, tmp_path / "out")
    with pytest.raises(ValueError, match="at least two models"):
        run_comparison(evaluation, twice[:1], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def report_of(kind: str, discs: Path, out: Path, **options: int) -> Path:
    run_evaluation(Evaluation(FakeSource(kind), (discs,), **options), out)  # type: ignore[arg-type]
    return out


@pytest.mark.usefixtures("no_pictures")
def test_reports_that_are_there_are_compared(tmp_path: Path) -> None:
    discs = write_discs(tmp_path / "set_discs")
    one = report_of("empty", discs, tmp_path / "one")
    two = report_of("oracle", discs, tmp_path / "two")
    comparison = compare_reports([one, two], tmp_path / "out")
    assert comparison.models == (str(one), str(two))  # both models are called fake
    assert comparison.weights_sha256 == ("ab" * 32,) * 2
    found = {d.metric: d.difference for d in comparison.differences}
    assert found["noc90"] == -19.0
    assert found["miou1"] == 1.0
    assert (tmp_path / "out/compare.png").is_file()


def test_objects_that_only_one_report_has_are_left_out_and_counted(tmp_path: Path) -> None:
    a, b = records("d", (0.9,), (0.8,), (0.7,)), records("d", (0.8,), (0.8,))
    comparison = write_comparison(
        {"a": None, "b": None}, {"a": a, "b": b}, {}, tmp_path, max_clicks=20, seed=0
    )
    assert comparison.objects_left_out == 1
    assert comparison.differences[0].objects == 2
    assert "1 objects that not all models" in (tmp_path / "report.md").read_text()
    with pytest.raises(ValueError, match="there is none"):
        write_comparison(
            {"a": None, "b": None}, {"a": a, "b": {}}, {}, tmp_path, max_clicks=20, seed=0
        )


@pytest.mark.usefixtures("no_pictures")
def test_reports_of_other_settings_do_not_compare(tmp_path: Path) -> None:
    discs = write_discs(tmp_path / "set_discs")
    one = report_of("empty", discs, tmp_path / "one", max_clicks=3)
    two = report_of("empty", discs, tmp_path / "two", max_clicks=4)
    with pytest.raises(EdgeFlowError, match="max_clicks: 3, 4"):
        compare_reports([one, two], tmp_path / "out")


@pytest.mark.usefixtures("no_pictures")
def test_folders_that_hold_no_report(tmp_path: Path) -> None:
    discs = write_discs(tmp_path / "set_discs")
    one = report_of("empty", discs, tmp_path / "one")
    with pytest.raises(EdgeFlowError, match="expected the folder of an evaluation"):
        compare_reports([one, tmp_path], tmp_path / "out")
    (one / "report.json").unlink()
    with pytest.raises(EdgeFlowError, match="finish it with evaluate --resume"):
        compare_reports([one, one], tmp_path / "out")
    with pytest.raises(ValueError, match="at least two reports"):
        compare_reports([one], tmp_path / "out")
