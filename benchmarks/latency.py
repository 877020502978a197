"""What a click costs, split into its parts, and how it grows with the image.

    python benchmarks/latency.py [--model default] [--device auto] [--view 512]

Prints medians of one run and the ratio to the budget of 100 ms; nothing is asserted.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from napari_edgeflow import Predictor, Session


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="default")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--view", type=int, default=512)
    parser.add_argument("--clicks", type=int, default=30)
    options = parser.parse_args()
    predictor = Predictor.from_zoo(options.model, options.device)
    predictor.warm_up()  # as the window does when it loads a model
    print(f"{predictor.device_line}; view {options.view} px; medians of {options.clicks} clicks\n")
    print("image      first ms  later ms  read  network  post  of 100 ms  to 512 px")
    reference = None
    for side in (512, 2048, 8192):
        row = _measure(predictor, side, options.view, options.clicks)
        reference = reference or row["later"]
        print(
            f"{side:>5} px²  {row['first']:8.1f}  {row['later']:8.1f}  {row['read']:4.1f}  "
            f"{row['network']:7.1f}  {row['post']:4.1f}  {row['later'] / 100:9.2f}  "
            f"{row['later'] / reference:9.2f}"
        )


def _measure(predictor: Predictor, side: int, view: int, clicks: int) -> dict[str, float]:
    """Median milliseconds of first and later clicks on a synthetic image of disks."""
    rng = np.random.default_rng(0)
    image = rng.integers(60, 90, (side, side), dtype=np.uint8)
    rows, columns = np.ogrid[-40:41, -40:41]
    disk = rows**2 + columns**2 <= 40**2
    centre = min(side // 2, 300)
    image[centre - 40 : centre + 41, centre - 40 : centre + 41][disk] = 180
    session = Session(image, predictor, field_of_view=view)
    parts: dict[str, list[float]] = {k: [] for k in ("first", "later", "read", "network", "post")}
    for _ in range(max(clicks // 5, 2)):
        session.reset()
        for index in range(5):
            y, x = centre + rng.integers(-30, 31), centre + rng.integers(-30, 31)
            began = time.perf_counter()
            session.add_click(float(y), float(x), bool(index % 2 == 0))
            spent = 1e3 * (time.perf_counter() - began)
            parts["first" if index == 0 else "later"].append(spent)
            if index:
                parts["read"].append(1e3 * session.timings.read_s)
                parts["network"].append(1e3 * session.timings.network_s)
                parts["post"].append(1e3 * session.timings.post_s)
    return {name: statistics.median(values) for name, values in parts.items()}


if __name__ == "__main__":
    main()
