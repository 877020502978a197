"""Records and masks survive the disk, a crash and a restart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_edgeflow._types import BoolArray, Click
from napari_edgeflow.errors import DatasetError, EdgeFlowError, ExportError
from napari_edgeflow.evaluation.records import ObjectRecord, header_line, read_records, record_line
from napari_edgeflow.evaluation.results import ResultFolder, write_text

SETTINGS = {"view": "3x", "seed": 0, "folders": ["a"]}


def a_record(sample: str = "one", object_id: int = 3) -> ObjectRecord:
    return ObjectRecord(
        dataset="nuclei",
        sample=sample,
        object_id=object_id,
        area_px=77,
        field_of_view=64.5,
        ious=(0.1, 1 / 3, 0.95),
        seconds=(0.5, 0.25, 0.125),
        clicks=(Click(1, 2), Click(30, 4, False), Click(5, 6)),
        stabilities=(0.25, 1 / 7),
    )


def a_mask() -> BoolArray:
    return np.random.default_rng(0).random((13, 21)) > 0.5


@given(
    sample=st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1),
    ious=st.lists(st.floats(0, 1), min_size=1, max_size=4),
)
def test_a_record_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, sample: str, ious: list[float]
) -> None:
    record = ObjectRecord(
        "d", sample, 1, 20, 1e-3, tuple(ious), (0.5,) * len(ious), (Click(0, 9, False),) * len(ious)
    )
    path = tmp_path_factory.mktemp("records") / "objects.csv"
    path.write_text(header_line() + record_line(record), encoding="utf-8")
    assert read_records(path) == [record]


def test_what_was_added_is_there_after_a_restart(tmp_path: Path) -> None:
    first = ResultFolder(tmp_path / "out", SETTINGS)
    first.add(a_record(), a_mask())  # and never closed: the process was killed

    again = ResultFolder(tmp_path / "out", SETTINGS, resume=True)

    assert list(again.records.values()) == [a_record()]
    np.testing.assert_array_equal(again.mask(a_record().key), a_mask())
    again.add(a_record("two"), a_mask())
    again.close()
    first.close()
    assert read_records(tmp_path / "out/objects.csv") == [a_record(), a_record("two")]


def test_a_line_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path, SETTINGS)
    for sample in ("one", "two"):
        results.add(a_record(sample), a_mask())
    results.close()
    table = tmp_path / "objects.csv"
    table.write_bytes(table.read_bytes()[:-1])

    again = ResultFolder(tmp_path, SETTINGS, resume=True)
    assert list(again.records.values()) == [a_record("one")]
    again.add(a_record("two"), a_mask())
    again.close()
    assert read_records(table) == [a_record("one"), a_record("two")]


def test_results_are_not_overwritten_unasked(tmp_path: Path) -> None:
    ResultFolder(tmp_path, SETTINGS).close()
    with pytest.raises(EdgeFlowError, match=r"already holds results.*--resume"):
        ResultFolder(tmp_path, SETTINGS)


def test_other_settings_do_not_mix(tmp_path: Path) -> None:
    ResultFolder(tmp_path, SETTINGS).close()
    with pytest.raises(EdgeFlowError, match=r"seed was 0, is 1; use the same|seed was 0, is 1\)"):
        ResultFolder(tmp_path, {**SETTINGS, "seed": 1}, resume=True)


def test_settings_that_cannot_be_read(tmp_path: Path) -> None:
    ResultFolder(tmp_path, SETTINGS).close()
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(EdgeFlowError, match=r"settings\.json cannot be read"):
        ResultFolder(tmp_path, SETTINGS, resume=True)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", '{columns}d,s,x,20,64.0,0.5,0.1,"1,2,+"\n'])
def test_a_foreign_table_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "objects.csv"
    path.write_text(text.replace("{columns}", header_line()))
    with pytest.raises(DatasetError, match="remove the file"):
        read_records(path)


def test_a_text_can_be_read_by_whoever_reads_other_files(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_text(tmp_path / "report.json", "{}")
    usual = (tmp_path / "usual").stat().st_mode
    assert (tmp_path / "report.json").stat().st_mode == usual


@pytest.mark.parametrize("out", ["file", "file/out"])
def test_a_folder_that_cannot_be_made(tmp_path: Path, out: str) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(ExportError, match=r"cannot be made or written to.*choose another folder"):
        ResultFolder(tmp_path / out, {})
    assert (tmp_path / "file").read_text() == "kept"


def test_a_text_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_text(path, "before")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "after \ud800")
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_a_table_of_an_earlier_release_is_read(tmp_path: Path) -> None:
    path = tmp_path / "objects.csv"
    path.write_text(
        "dataset,sample,object_id,area_px,field_of_view,ious,seconds,clicks_y_x_sign\n"
        'd,s,1,20,64.0,0.5 0.75,0.1 0.2,"1,2,+ 3,4,-"\n'
    )
    (record,) = read_records(path)
    assert record.ious == (0.5, 0.75)
    assert record.stabilities == ()


def test_a_table_is_sorted(tmp_path: Path) -> None:
    results = ResultFolder(tmp_path, SETTINGS)
    for sample in ("b", "a"):
        results.add(a_record(sample), a_mask())
    results.close()
    results.sort([a_record("a").key, a_record("b").key])
    assert [r.sample for r in read_records(tmp_path / "objects.csv")] == ["a", "b"]
