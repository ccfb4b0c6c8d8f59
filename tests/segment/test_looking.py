"""How often a scan is looked at, and on which grid, when the back seems to lie turned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_backfat.model.geometry import Geometry
from napari_backfat.segment.looking import Eyes, View
from napari_backfat.segment.reformat import upright_turn_deg
from napari_backfat.segment.weights import BUNDLED, find_weights, load_networks

if TYPE_CHECKING:
    from collections.abc import Iterator

SHAPE = (2, 60, 80)


@pytest.fixture(scope="module")
def eyes() -> Eyes:
    weights = find_weights(BUNDLED)
    return Eyes(load_networks(weights)[0], weights.coarse, "cpu")


def geometry(roll_deg: float = 0.0) -> Geometry:
    turn = Rotation.from_euler("z", roll_deg, degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.array([[0, 0, -1.5], [0, -1.5, 0], [-6.0, 0, 0]])
    return Geometry(SHAPE, affine)


def looked(
    eyes: Eyes, own: Geometry, leans: Iterator[float | None], monkeypatch: pytest.MonkeyPatch
) -> tuple[Geometry | None, View]:
    """Look at a scan in which the network sees these leans, one after the other."""
    monkeypatch.setattr(Eyes, "_lean", lambda _self, _view: next(leans))
    channels = [np.ones(SHAPE, np.float32), np.zeros(SHAPE, np.float32)]
    steps = eyes.look_level(channels, own)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: tuple[Geometry | None, View] = stop.value
            return result


def turn_of(frame: Geometry) -> float:
    """Angle of a frame's columns to the patient's left, with the sign of a lean."""
    left = frame.affine[:3, 2] / np.linalg.norm(frame.affine[:3, 2])
    return float(np.degrees(np.arctan2(-left[1], -left[0])))


@pytest.mark.parametrize(
    ("leans", "turn"),
    [
        ((3.0,), None),
        ((None,), None),
        ((30.0, 2.0), 30.0),
        ((-50.0, 14.0, 1.0), -36.0),  # said better from nearer
        ((32.0, -38.0), None),  # not the back that lay turned
        ((20.0, None), None),
        ((40.0, 15.0, 14.0), None),
    ],
)
def test_a_scan_is_turned_by_what_is_seen_until_it_is_level(
    leans: tuple[float | None, ...], turn: float | None, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = iter(leans)
    frame, view = looked(eyes, geometry(), seen, monkeypatch)
    assert next(seen, "no more") == "no more"
    assert view.slabs.shape[2:] == (frame or geometry()).shape[1:]
    if turn is None:
        assert frame is None
    else:
        assert frame is not None
        assert turn_of(frame) == pytest.approx(turn, abs=0.1)


def test_the_header_holds_where_the_back_is_not_seen(
    eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = geometry(15.0)
    roll = upright_turn_deg(own)
    for leans in ((None, None), (roll + 2, 3.0), (roll + 40, 60.0)):
        frame, _ = looked(eyes, own, iter(leans), monkeypatch)
        assert frame is not None
        assert frame.obliquity_deg < 1e-4
    assert looked(eyes, own, iter((1.0,)), monkeypatch)[0] is None
