"""What the pictures show."""

from __future__ import annotations

import numpy as np

from napari_edgeflow._types import Click, Window
from napari_edgeflow.evaluation.figures import window_to_show, worst_records
from napari_edgeflow.evaluation.records import ObjectRecord


def a_record(dataset: str, object_id: int, *ious: float) -> ObjectRecord:
    clicks = (Click(0, 0),) * len(ious)
    return ObjectRecord(dataset, "s", object_id, 20, 64.0, ious, (0.1,) * len(ious), clicks)


def test_the_worst_come_first_and_at_most_three_of_a_set() -> None:
    records = {
        "a": [a_record("a", i, 0.1 * i) for i in range(5)],
        "b": [a_record("b", 1, 0.9, 0.05), a_record("b", 2, 0.95)],
    }
    # Means over four clicks, the last value carried forward: b1 is (0.9 + 3 · 0.05) / 4.
    worst = worst_records(records, 5, max_clicks=4)
    assert [(r.dataset, r.object_id) for r in worst] == [
        ("a", 0),
        ("a", 1),
        ("a", 2),
        ("b", 1),
        ("b", 2),
    ]
    assert worst_records(records, 2, max_clicks=4) == worst[:2]


def test_the_window_holds_the_object_and_its_clicks() -> None:
    truth = np.zeros((100, 120), dtype=bool)
    truth[40:60, 50:70] = True
    window = window_to_show(truth, (Click(50, 60), Click(30, 69, False)))
    # Rows 30…59, columns 50…69: a margin of 4 + ceil(29 / 4) = 12 on each side.
    assert window == Window(18, 38, 72, 82)


def test_the_window_stays_in_the_image() -> None:
    truth = np.zeros((20, 30), dtype=bool)
    truth[2:18, 1:29] = True
    assert window_to_show(truth, ()) == Window(0, 0, 20, 30)
