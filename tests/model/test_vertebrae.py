"""Disc lines, their names, and the levels they make."""

from __future__ import annotations

import numpy as np
import pytest

from napari_backfat.model.geometry import Geometry
from napari_backfat.model.levels import SpineRange
from napari_backfat.model.vertebrae import (
    LevelSource,
    VertebralLevels,
    chain,
    coverage,
    slice_weights,
    z_of_point,
)

LUMBAR = VertebralLevels((2.5, 11.0, 20.0, 29.5, 39.0, 48.0), "T12")


def test_names_follow_from_the_first_vertebra() -> None:
    assert LUMBAR.vertebrae == ("T12", "L1", "L2", "L3", "L4", "L5", "S1")
    assert LUMBAR.levels == ("L1", "L2", "L3", "L4", "L5")
    assert LUMBAR.disc_names[0] == "T12/L1"
    assert LUMBAR.bounds("L2") == (11.0, 20.0)
    with pytest.raises(KeyError):
        LUMBAR.bounds("S1")
    assert [LUMBAR.level_at(z) for z in (0, 2.5, 10.99, 11, 47.9, 48)] == [
        None, "L1", "L1", "L2", "L5", None,
    ]  # fmt: skip


def test_extra_vertebrae_are_part_of_the_chain() -> None:
    six = LUMBAR.with_extra(l6=True)
    assert six.vertebrae == ("T12", "L1", "L2", "L3", "L4", "L5", "L6")
    assert six.shifted(1).vertebrae[-1] == "S1"
    thirteen = VertebralLevels((1, 2, 3), "T12", t13=True)
    assert thirteen.vertebrae == ("T12", "T13", "L1", "L2")
    assert thirteen.shifted(1).with_extra(t13=False).above == "T12"
    assert "T13" not in chain()
    assert "L6" not in chain()


def test_shifting_keeps_positions_and_states_the_numbering() -> None:
    guess = VertebralLevels(LUMBAR.discs[:4], "T12", numbering_stated=False)
    moved = guess.shifted(1)
    assert moved.discs == guess.discs
    assert moved.vertebrae[:2] == ("L1", "L2")
    assert moved.numbering_stated
    assert moved.shifted(-1) == guess.confirmed()
    with pytest.raises(ValueError, match="that far"):
        guess.shifted(-50)
    with pytest.raises(ValueError, match="beyond"):
        LUMBAR.shifted(2)


@pytest.mark.parametrize(
    ("discs", "above"),
    [((), "L1"), ((1.0, 1.0), "L1"), ((3.0, 1.0), "L1"), ((np.nan,), "L1"), ((1.0,), "C7"),
     ((1.0,), "S2"), ((1.0,), "L6")],
)  # fmt: skip
def test_impossible_lines_are_refused(discs: tuple[float, ...], above: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        VertebralLevels(discs, above)


def test_lines_move_come_and_go() -> None:
    assert LUMBAR.moved(1, 12.25).discs[1] == 12.25
    assert LUMBAR.moved(1, 12.25).edited
    with pytest.raises(ValueError, match="order"):
        LUMBAR.moved(1, 30)
    top = LUMBAR.with_disc(-6)
    assert top.vertebrae == ("T11", *LUMBAR.vertebrae)
    assert top.without_disc(0).vertebrae == LUMBAR.vertebrae
    inner = LUMBAR.without_disc(2)
    assert inner.vertebrae == ("T12", "L1", "L2", "L3", "L4", "L5")
    assert inner.with_disc(20).discs == LUMBAR.discs
    with pytest.raises(ValueError, match="at least one"):
        VertebralLevels((4.0,), "L3").without_disc(0)


def test_range_holds_whole_levels_by_slice_centres() -> None:
    assert LUMBAR.spine_range(60) == SpineRange("L1", "L5", 3, 47)
    assert LUMBAR.spine_range(48) == SpineRange("L1", "L4", 3, 38)
    # The scan ends in the middle of its last slice's far half: the disc at 48 lies beyond 47.5.
    above = VertebralLevels((-3.0, 8.0, 17.0), "L1")
    assert above.spine_range(30) == SpineRange("L3", "L3", 8, 16)
    assert VertebralLevels((-0.5, 9.5), "L1").spine_range(10) == SpineRange("L2", "L2", 0, 9)


def test_range_needs_stated_names_and_a_lumbar_level() -> None:
    guess = VertebralLevels(LUMBAR.discs, "T12", numbering_stated=False)
    assert guess.spine_range(60) is None
    assert VertebralLevels((3, 9), "T10").spine_range(20) is None
    assert VertebralLevels((3.0,), "L1").spine_range(20) is None
    assert VertebralLevels((3.1, 3.4), "L1").spine_range(20) is None  # no slice centre inside


def test_concerns_name_unlikely_heights() -> None:
    geometry = Geometry((60, 4, 4), np.diag([4.0, 1, 1, 1]))
    assert LUMBAR.concerns(geometry) == ()
    (text,) = LUMBAR.without_disc(2).concerns(geometry)
    assert "L2 would be 74 mm" in text
    assert LUMBAR.positions_mm(geometry)[1] == pytest.approx(44.0)
    six = VertebralLevels((1, 10, 20), "L4", l6=True, numbering_stated=False)
    assert len(six.concerns(geometry)) == 2


def test_record_survives_json() -> None:
    levels = VertebralLevels(
        (1.25, 9.5), "T12", t13=True, l6=True, source=LevelSource.PROFILE, edited=True,
        numbering_stated=False,
    )  # fmt: skip
    assert VertebralLevels.from_dict(levels.to_dict()) == levels
    with pytest.raises((KeyError, TypeError, ValueError)):
        VertebralLevels.from_dict({"discs": [1, 2]})


def test_weights_of_slices_sum_to_the_height_inside() -> None:
    np.testing.assert_allclose(slice_weights(0.75, 3.0, 5), [0, 0.75, 1, 0.5, 0])
    np.testing.assert_allclose(slice_weights(1.2, 1.3, 3), [0, 0.1, 0])
    assert slice_weights(-7, 99, 4).sum() == 4
    assert coverage(-2.5, 1.5, 10) == pytest.approx(0.5)
    assert coverage(20, 22, 10) == 0
    assert coverage(3, 4, 10) == 1


def test_a_point_of_another_image_finds_its_slice() -> None:
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, -1.0], [0.3, -1.0, 0], [-3.9, -0.1, 0]])
    affine[:3, 3] = [12, -7, 55]
    geometry = Geometry((30, 20, 20), affine)
    point = affine @ np.array([7.25, 11, 3, 1])
    assert z_of_point(geometry, point[:3]) == pytest.approx(7.25)
