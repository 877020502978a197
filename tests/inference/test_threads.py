from __future__ import annotations

import os
import subprocess
import sys

import pytest

SHOW = "import os; print(os.environ.get('GOMP_SPINCOUNT'))"
LOAD = "try:\n    load_predictor({arguments})\nexcept ValueError:\n    pass\n"


def _run(code: str, **settings: str) -> str:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | settings,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


WAIT = "from napari_edgeflow.inference.threads import wait_politely; wait_politely()\n"


def test_threads_spin_briefly_unless_the_user_decided() -> None:
    assert _run(WAIT + SHOW) == "10000"
    assert _run(WAIT + SHOW, GOMP_SPINCOUNT="7") == "7"
    assert _run(WAIT + SHOW, OMP_WAIT_POLICY="ACTIVE") == "None"


def test_nothing_is_promised_once_torch_is_loaded() -> None:
    assert _run("import torch\n" + WAIT + SHOW) == "None"


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("napari_edgeflow.gui.clicks.engine", "'no such model'"),
        ("napari_edgeflow.cli.segment_run", "'no such model', 'cpu'"),
    ],
)
def test_window_and_command_decide_it_before_torch_is_loaded(module: str, arguments: str) -> None:
    code = f"from {module} import load_predictor\n" + LOAD.format(arguments=arguments)
    assert _run(code + "import sys; assert 'torch' in sys.modules\n" + SHOW) == "10000"
