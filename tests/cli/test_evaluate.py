"""The command: arguments, files, messages and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from napari_edgeflow.cli import app
from napari_edgeflow.evaluation import evaluate as evaluation_module
from napari_edgeflow.evaluation.evaluate import Evaluation


@pytest.fixture
def discs(tmp_path: Path) -> Path:
    """A data set of one image with two bright discs."""
    rows, columns = np.mgrid[:80, :80]
    ids = np.zeros((80, 80), np.uint8)
    for number, (row, column) in enumerate(((25, 25), (55, 50)), start=1):
        ids[(rows - row) ** 2 + (columns - column) ** 2 <= 100] = number
    noise = np.random.default_rng(0).integers(0, 20, ids.shape)
    for folder, pixels in (("images", np.where(ids > 0, 180, 40) + noise), ("masks", ids)):
        (tmp_path / "discs" / folder).mkdir(parents=True)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "discs" / folder / "a.png")
    return tmp_path / "discs"


def run(*arguments: object) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of ``napari-edgeflow evaluate``."""
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_a_baseline_from_folder_to_report(discs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, stdout, stderr = run(
        discs, "--model", "random_walker", "--view", "3x", "--max-objects", 1, "--seed", 3,
        "--max-clicks", 4, "--out", out,
    )  # fmt: skip

    assert code == 0, stderr
    report = json.loads((out / "report.json").read_text())
    assert report["model"] == "random_walker"
    assert report["weights_sha256"] is None
    assert report["settings"]["view"] == "3x"
    assert report["settings"]["seed"] == 3
    (figures,) = report["datasets"]
    assert figures["dataset"] == "discs"
    assert figures["objects"] == 1
    assert len(figures["miou_at"]) == 4
    assert figures["miou_at"][0] > 0.5
    assert "| discs | 1 |" in stdout
    assert {p.name for p in out.iterdir()} >= {"report.md", "curves.png", "worst.png"}
    assert "Clicking" in stderr


def test_a_folder_that_is_no_data_set(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    code, _, stderr = run(empty, "--model", "grabcut", "--out", tmp_path / "out")
    assert code == 2
    assert "is not a folder; a data set is a folder with images/ and masks/" in stderr
    assert "Traceback" not in stderr


def test_results_are_not_overwritten(discs: Path, tmp_path: Path) -> None:
    arguments = (discs, "--model", "grabcut", "--max-clicks", 1, "--out", tmp_path / "out")
    assert run(*arguments)[0] == 0
    code, _, stderr = run(*arguments)
    assert code == 2
    assert "--resume" in stderr
    assert run(*arguments, "--resume")[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--max-clicks", 0),
        ("--max-objects", 0),
        ("--view", "2x"),
        ("--workers", 0),
        ("--device", "tpu"),
    ],
)
def test_bad_arguments(discs: Path, tmp_path: Path, arguments: tuple[object, ...]) -> None:
    code, _, stderr = run(discs, "--model", "grabcut", "--out", tmp_path / "out", *arguments)
    assert code == 2
    assert str(arguments[0]) in stderr


def test_a_weights_file_that_is_not_there(discs: Path, tmp_path: Path) -> None:
    code, _, stderr = run(discs, "--model", "no/such.safetensors", "--out", tmp_path / "out")
    assert code == 2
    assert "no/such.safetensors" in stderr
    assert not (tmp_path / "out").exists()


def test_models_are_compared(discs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, stdout, stderr = run(
        discs, "--compare", "watershed,grabcut", "--compare", "random-walker", "--max-clicks", 2,
        "--out", out, "--jobs", 1,
    )  # fmt: skip
    assert code == 0, stderr
    assert "# grabcut, random_walker against watershed" in stdout
    assert "compare.png" in stdout

    code, stdout, stderr = run(
        "--compare-reports", out / "watershed", "--compare-reports", out / "grabcut",
        "--out", tmp_path / "again",
    )  # fmt: skip
    assert code == 0, stderr
    assert "# grabcut against watershed" in stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "at least one data set"),
        (("DATA", "--model", "grabcut", "--compare", "grabcut,watershed"), "got both"),
        (("DATA", "--compare", "grabcut"), "at least two models"),
        (("DATA", "--compare-reports", "x"), "--compare-reports alone"),
        (("--compare-reports", "x"), "at least two reports"),
        (("grabcut:nowhere", "--model", "grabcut"), "Get it from https://"),
        (("DATA", "--model", "grabcut", "--stop-iou", "0.5"), "--stop-iou"),
        (("DATA", "--model", "grabcut", "--zoom", "twice"), "--zoom"),
    ],
)
def test_what_cannot_be_meant(
    discs: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    given = [str(discs) if word == "DATA" else word for word in arguments]
    code, _, stderr = run(*given, "--out", tmp_path / "out")
    assert code == 2
    assert message in " ".join(stderr.split())
    assert not (tmp_path / "out").exists()


def test_every_option_reaches_the_evaluation(
    discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    def remember(evaluation: Evaluation, out: Path, **options: object) -> None:
        asked.update(evaluation.settings(), **options)
        out.mkdir()
        (out / "report.md").write_text("# done")

    monkeypatch.setattr(evaluation_module, "run_evaluation", remember)
    code, stdout, stderr = run(
        discs, "--out", tmp_path / "out", "--zoom", "ritm", "--zoom-side", 64, "--flip",
        "--jobs", 3, "--max-clicks", 100, "--min-area", 5, "--stop-iou", 1.1,
        "--device", "cpu", "--resume",
    )  # fmt: skip
    assert code == 0, stderr
    assert "# done" in stdout
    del asked["on_progress"]
    expected = {
        "zoom": "ritm", "zoom_side": 64, "flip": True, "min_area_px": 5, "stop_iou": 1.1,
        "max_clicks": 100, "workers": 3, "resume": True, "device": "cpu", "folders": [str(discs)],
    }  # fmt: skip
    assert expected.items() <= asked.items()


def test_ctrl_c_says_how_to_go_on(
    discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation_module, "click_on_all", interrupted)
    code, _, stderr = run(discs, "--model", "grabcut", "--out", tmp_path / "out")
    assert code == 130
    assert "--resume" in stderr


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from napari_edgeflow.cli import app\n"
        "app(['evaluate', '--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'napari', 'qtpy', 'matplotlib', 'skimage', 'cv2'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--max-objects" in done.stdout
