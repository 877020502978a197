"""How torch's threads wait for each other, decided before torch is loaded."""

from __future__ import annotations

import os
import sys

SPIN_COUNT = "10000"


def wait_politely() -> None:
    """Lets torch's threads sleep soon instead of spinning while they wait for each other.

    By default they spin for long, which on a machine with other work to do makes a click
    many times slower: measured on two cores with two other busy processes, 0.6 to 1.3 s
    against 0.25 s, and no difference on an idle machine. Without effect once torch is
    loaded, or where the user has set ``GOMP_SPINCOUNT`` or ``OMP_WAIT_POLICY``.
    """
    if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
