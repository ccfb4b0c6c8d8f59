from __future__ import annotations

import numpy as np

from napari_backfat.train.card import evaluation_page, stranger_page
from napari_backfat.train.scores import score


def found(shift: int, absent: tuple[int, float]) -> dict[str, float]:
    """A score of a box against the same box elsewhere, and what was outlined in empty slices."""
    truth, guess = np.zeros((2, 20, 20), bool), np.zeros((2, 20, 20), bool)
    truth[:, 5:15, 5:15], guess[:, 5:15, 5 + shift : 15 + shift] = True, True
    fat = np.full(truth.shape, 0.2, np.float32)
    values = score(guess, truth, (5.0, 1.0, 1.0), fat).as_dict()
    return values | {"absent_slices": absent[0], "absent_mm2": absent[1]}


def test_the_page_says_what_was_outlined_where_nothing_is() -> None:
    groups = {
        "water": {"Psoas major L": found(2, (7, 41.3)), "Multifidus L": found(0, (0, 0.0))},
        "t2w": {"Psoas major L": found(5, (7, 9.0)), "Multifidus L": found(1, (0, 0.0))},
    }
    plain = {"water": groups["water"] | {"seconds": 1.25}}
    page = evaluation_page(
        {
            "weights": "made",
            "slices": None,
            "real_dixon": plain,
            "totalseg_mr": groups["water"],
            "held_out": groups,
            "phantoms": groups,
        }
    )
    lines = page.splitlines()
    rows = [line for line in lines if line.startswith("| water | Psoas major L | 0.800 |")]
    assert all(row.endswith("| 2.0 | +0.0 % | +0.0 |") for row in rows)
    assert len(rows) == 3
    head = lines.index("| input | Psoas major L (7 slices) |")  # muscles that no slice lacks: none
    assert lines[head + 2 : head + 4] == ["| water | 41 |", "| t2w | 9 |"]
    assert "water 1.2 s" in page


def test_a_stranger_is_measured_muscle_by_muscle() -> None:
    scores = {"fat": {"Multifidus L": found(2, (0, 0.0)), "seconds": 1.0, "flags": []}}
    page = stranger_page(scores).splitlines()
    assert "never trained on" in page[0]
    assert [line for line in page if line.startswith("| fat |")] == [
        "| fat | Multifidus L | 0.800 | 1.00 | 2.0 | +0.0 % | +0.0 |"
    ]
