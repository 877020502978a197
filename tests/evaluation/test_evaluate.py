"""Whole evaluations over folders on disk: figures, files, interruption, several processes."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_edgeflow.errors import DatasetError, EdgeFlowError, ExportError
from napari_edgeflow.evaluation.evaluate import Evaluation, run_evaluation
from napari_edgeflow.evaluation.records import read_records
from napari_edgeflow.evaluation.run import SegmenterSource, open_datasets
from napari_edgeflow.evaluation.sources import ModelSource

from .fakes import FakeSource, write_discs, write_sample


@pytest.fixture
def discs(tmp_path: Path) -> Path:
    """A data set of two images with three discs each."""
    return write_discs(tmp_path / "set_discs")


def evaluation_of(kind: str, *folders: Path, **options: object) -> Evaluation:
    return Evaluation(FakeSource(kind), folders, **options)  # type: ignore[arg-type]


@pytest.mark.usefixtures("no_pictures")
def test_an_oracle_scores_one(discs: Path, tmp_path: Path) -> None:
    report = run_evaluation(evaluation_of("oracle", discs), tmp_path / "out")
    (summary,) = report.datasets
    assert summary.objects == 6
    assert (summary.noc85, summary.noc90, summary.noc95) == (1.0, 1.0, 1.0)
    assert (summary.nof85, summary.nof90) == (0, 0)
    assert summary.miou_at == (1.0,) * 20
    assert summary.drop_rate == 0.0


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("kind", ["empty", "full"])
def test_a_constant_scores_twenty(kind: str, discs: Path, tmp_path: Path) -> None:
    report = run_evaluation(evaluation_of(kind, discs), tmp_path / "out")
    (summary,) = report.datasets
    assert (summary.noc85, summary.noc90, summary.noc95) == (20.0, 20.0, 20.0)
    assert (summary.nof85, summary.nof90) == (6, 6)
    assert summary.drop_rate == 0.0
    areas = [record.area_px for record in read_records(tmp_path / "out/objects.csv")]
    expected = 0.0 if kind == "empty" else sum(areas) / len(areas) / 96**2
    assert summary.miou_at == pytest.approx([expected] * 20)


@pytest.mark.usefixtures("no_pictures")
def test_report_json_has_just_the_promised_keys(discs: Path, tmp_path: Path) -> None:
    other = write_discs(tmp_path / "set_other", images=1)
    run_evaluation(
        evaluation_of("empty", discs, other, view="3x", max_objects=2, seed=4, max_clicks=5),
        tmp_path / "out",
    )
    report = json.loads((tmp_path / "out/report.json").read_text())

    assert list(report) == ["model", "weights_sha256", "settings", "datasets"]
    assert report["model"] == "fake"
    assert report["weights_sha256"] == "ab" * 32
    asked = {"view": "3x", "max_objects": 2, "seed": 4, "max_clicks": 5, "min_area_px": 16}
    assert asked.items() <= report["settings"].items()
    assert [d["dataset"] for d in report["datasets"]] == ["set_discs", "set_other"]
    for entry in report["datasets"]:
        assert list(entry) == [
            "dataset",
            "objects",
            "noc85",
            "noc90",
            "noc95",
            "nof85",
            "nof90",
            "miou_at",
            "drop_rate",
            "seconds_per_click_median",
            "nof95",
            "late85",
            "late90",
            "late95",
            "stability",
            "seconds_per_click_mean",
            "long",
        ]
        assert entry["objects"] == 2
        assert entry["miou_at"] == [0.0] * 5
        assert entry["noc85"] == 5.0


@pytest.mark.usefixtures("no_pictures")
def test_report_md_has_a_row_for_each_set_and_kind(discs: Path, tmp_path: Path) -> None:
    other = write_discs(tmp_path / "another", images=1)
    run_evaluation(evaluation_of("oracle", discs, other), tmp_path / "out")
    lines = (tmp_path / "out/report.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert [row.split("|")[1].strip() for row in rows] == [
        "data set",
        "set_discs",
        "another",
        "kind",
        "set (1)",
        "another (1)",
    ]
    failures = " 0 |" * 6
    assert rows[1].startswith(f"| set_discs | 6 | 1.00 | 1.00 | 1.00 |{failures} 1.000 |")
    assert len({row.count("|") for row in rows}) == 1


def test_pictures_and_masks_are_written(discs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_evaluation(evaluation_of("oracle", discs), out)
    for name in ("curves.png", "worst.png"):
        with Image.open(out / name) as picture:
            assert min(picture.size) > 300
            assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 20
    with Image.open(discs / "masks/image1.png") as ids:
        truth = np.asarray(ids) == 2
    with Image.open(out / "masks/set_discs/image1_2.png") as mask:
        np.testing.assert_array_equal(np.asarray(mask), truth)


@pytest.mark.usefixtures("no_pictures")
def test_what_is_done_survives_ctrl_c_and_is_not_done_again(discs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    stopping = Evaluation(FakeSource("interrupted", stop_after=4), (discs,))
    with pytest.raises(KeyboardInterrupt):
        run_evaluation(stopping, out)
    before = read_records(out / "objects.csv")
    assert len(before) == 4
    assert not (out / "report.json").exists()

    # Two are left, and the one who goes on would stop at a third.
    report = run_evaluation(
        Evaluation(FakeSource("interrupted", stop_after=2), (discs,)), out, resume=True
    )

    assert report.datasets[0].objects == 6
    assert read_records(out / "objects.csv")[:4] == before


@pytest.mark.usefixtures("no_pictures")
def test_going_on_with_a_finished_one_only_reports(discs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run_evaluation(evaluation_of("oracle", discs), out)
    again = run_evaluation(
        Evaluation(FakeSource("interrupted", stop_after=0), (discs,)), out, resume=True
    )
    assert again.datasets == first.datasets


@pytest.mark.usefixtures("no_pictures")
def test_results_of_other_settings_do_not_mix(discs: Path, tmp_path: Path) -> None:
    run_evaluation(evaluation_of("oracle", discs, max_clicks=3), tmp_path / "out")
    with pytest.raises(EdgeFlowError, match="max_clicks was 3, is 4"):
        run_evaluation(evaluation_of("oracle", discs, max_clicks=4), tmp_path / "out", resume=True)


@pytest.mark.parametrize("place", ["", "masks", "new/report"])
def test_a_data_set_is_no_place_for_a_report(discs: Path, place: str) -> None:
    before = sorted(discs.rglob("*"))
    with pytest.raises(ExportError, match="outside the data sets"):
        run_evaluation(evaluation_of("oracle", discs), discs / place)
    assert sorted(discs.rglob("*")) == before


@pytest.mark.usefixtures("no_pictures")
def test_progress_counts_up_to_the_end(discs: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    run_evaluation(
        evaluation_of("oracle", discs), tmp_path / "out", on_progress=lambda *p: seen.append(p)
    )
    assert seen == [("Reading masks", 2, 2), *(("Clicking", n, 6) for n in range(7))]


@pytest.mark.usefixtures("no_pictures")
def test_several_processes_find_the_same(
    discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    source: SegmenterSource = ModelSource("grabcut")
    assert isinstance(source, ModelSource)
    one, two = (
        run_evaluation(
            Evaluation(source, (discs,), max_objects=3, max_clicks=2),
            tmp_path / f"out{workers}",
            workers=workers,
        ).datasets[0]
        for workers in (1, 2)
    )
    assert one.miou_at == two.miou_at
    assert one.objects == two.objects == 3
    rows = [
        [replace(r, seconds=()) for r in read_records(tmp_path / f"out{n}/objects.csv")]
        for n in (1, 2)
    ]
    assert rows[0] == rows[1]  # in the same order too
    for path in (tmp_path / "out1/masks").rglob("*.png"):
        other = tmp_path / "out2" / path.relative_to(tmp_path / "out1")
        assert path.read_bytes() == other.read_bytes()
    assert os.environ.get("OMP_NUM_THREADS") == "2"  # children only


@pytest.mark.usefixtures("no_pictures")
def test_several_processes_go_on_where_one_stopped(discs: Path, tmp_path: Path) -> None:
    source, out = ModelSource("watershed"), tmp_path / "out"
    whole = run_evaluation(Evaluation(source, (discs,), max_clicks=1), tmp_path / "whole")
    run_evaluation(Evaluation(source, (discs,), max_clicks=1), out)
    lines = (out / "objects.csv").read_text().splitlines(keepends=True)
    (out / "objects.csv").write_text("".join(lines[:3]))
    report = run_evaluation(Evaluation(source, (discs,), max_clicks=1), out, workers=2, resume=True)
    assert report.datasets[0].miou_at == whole.datasets[0].miou_at
    assert [r.key for r in read_records(out / "objects.csv")] == [
        r.key for r in read_records(tmp_path / "whole/objects.csv")
    ]


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("kind", ["oracle", "empty"])
def test_a_hundred_clicks(kind: str, discs: Path, tmp_path: Path) -> None:
    report = run_evaluation(evaluation_of(kind, discs, max_clicks=100), tmp_path / "out")
    (summary,) = report.datasets
    assert summary.long is not None
    expected = (1.0, 1.0, 0) if kind == "oracle" else (20.0, 100.0, 6)
    assert (summary.noc90, summary.long.noc90, summary.long.nof90) == expected
    text = (tmp_path / "out/report.md").read_text()
    assert "| data set | NoC100@85 | NoC100@90 | NoC100@95 | NoF100@85 |" in text
    assert json.loads((tmp_path / "out/report.json").read_text())["datasets"][0]["long"][
        "noc85"
    ] == (1.0 if kind == "oracle" else 100.0)


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("kind", ["oracle", "empty"])
def test_a_published_data_set_through_the_whole_harness(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "GrabCut"
    rows, columns = np.mgrid[:64, :64]
    depth = 20 - np.hypot(rows - 30, columns - 34)
    for number in range(2):
        for folder, values in (
            ("data_GT", np.where(depth > 0, 200, 0)),
            ("boundary_GT", np.where(depth > 2, 255, np.where(depth > -2, 128, 0))),
        ):
            (path / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values.astype(np.uint8)).save(path / folder / f"{number}.bmp")
    report = run_evaluation(Evaluation(FakeSource(kind), (f"grabcut:{path}",)), tmp_path / "out")
    (summary,) = report.datasets
    expected = 1.0 if kind == "oracle" else 20.0
    assert (summary.dataset, summary.objects) == ("grabcut", 2)
    assert (summary.noc85, summary.noc90, summary.noc95) == (expected,) * 3


@pytest.mark.usefixtures("no_pictures")
def test_overlapping_objects_are_clicked_whole(tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 50), 60, np.uint8)).save(tmp_path / "a.png")
    boxes = ((0, 0, 50, 40), (10, 10, 30, 30))
    rows = [
        {"id": i, "image_id": 1, "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]]}
        for i, (x0, y0, x1, y1) in enumerate(boxes)
    ]
    image = {"id": 1, "file_name": "a.png", "height": 40, "width": 50}
    (tmp_path / "a.json").write_text(json.dumps({"images": [image], "annotations": rows}))
    run_evaluation(evaluation_of("full", tmp_path / "a.json"), tmp_path / "out")
    found = {r.object_id: r for r in read_records(tmp_path / "out/objects.csv")}
    assert {i: r.area_px for i, r in found.items()} == {1: 2000, 2: 400}
    assert found[1].ious == (1.0,)
    assert found[2].ious[0] == 400 / 2000


@pytest.mark.usefixtures("no_pictures")
def test_smaller_objects_can_be_asked_for_and_every_click_made(tmp_path: Path) -> None:
    ids = np.zeros((30, 30), np.uint8)
    ids[4:6, 4:6] = 1
    write_sample(tmp_path / "d", "a", np.asarray(60 * ids, np.uint8), ids)
    report = run_evaluation(
        evaluation_of("oracle", tmp_path / "d", min_area_px=1, stop_iou=1.1), tmp_path / "out"
    )
    assert report.datasets[0].objects == 1
    # an oracle leaves nothing to click on, so that it stops all the same
    assert report.datasets[0].noc95 == 1.0
    settings = json.loads((tmp_path / "out/settings.json").read_text())
    assert (settings["min_area_px"], settings["stop_iou"]) == (1, 1.1)


def test_everything_wrong_with_all_data_sets_is_said_at_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_discs(tmp_path / name, images=1)
        write_sample(tmp_path / name, "zz", np.zeros((4, 4), np.uint8), np.zeros((5, 4), np.uint8))
    write_sample(tmp_path / "three", "a", np.zeros((9, 9), np.uint8), np.zeros((9, 9), np.uint8))
    folders = [tmp_path / name for name in ("one", "two", "three")]
    with pytest.raises(DatasetError) as caught:
        run_evaluation(evaluation_of("oracle", *folders), tmp_path / "out")
    assert "3 problems" in str(caught.value)
    for part in ("one: zz", "two: zz", "three: expected an object"):
        assert part in str(caught.value)


def test_a_bad_file_stops_it_before_the_first_click(discs: Path, tmp_path: Path) -> None:
    write_sample(discs, "zz", np.zeros((4, 4), np.uint8), np.zeros((5, 4), np.uint8))
    with pytest.raises(DatasetError, match="zz: the image is 4 x 4 but its mask is 5 x 4"):
        run_evaluation(evaluation_of("oracle", discs), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_data_set_without_objects_is_refused(tmp_path: Path) -> None:
    write_sample(tmp_path / "d", "a", np.zeros((9, 9), np.uint8), np.zeros((9, 9), np.uint8))
    with pytest.raises(DatasetError, match=r"d: expected an object of 16 pixels.*no mask has one"):
        run_evaluation(evaluation_of("oracle", tmp_path / "d"), tmp_path / "out")


def test_sets_of_one_name_are_told_apart_by_their_parents(tmp_path: Path) -> None:
    folders = [write_discs(tmp_path / role / "cells", images=1) for role in ("val", "eval")]
    other = write_discs(tmp_path / "val" / "roofs", images=1)
    names = [dataset.name for dataset in open_datasets([*folders, other])]
    assert names == ["val_cells", "eval_cells", "roofs"]


def test_a_set_given_twice_is_refused(discs: Path) -> None:
    with pytest.raises(DatasetError, match="evaluate them apart"):
        open_datasets([discs, discs])
