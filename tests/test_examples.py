from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("script", EXAMPLES, ids=[script.stem for script in EXAMPLES])
def test_example_runs_and_writes_a_mask(script: Path, tmp_path: Path) -> None:
    out = tmp_path / "mask.png"
    done = subprocess.run(
        [sys.executable, str(script), str(out)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    labels = imread(out)
    assert labels.shape == (520, 696)
    assert 0 < np.count_nonzero(labels) < labels.size / 4


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 2
