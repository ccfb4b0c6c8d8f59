"""Label maps, sides, combined classes: what a number means, and what is said about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_backfat.io.labels import MUSCLEMAP_IDS
from napari_backfat.model.anatomy import Muscle, MuscleGroup, Side, muscle_of
from napari_backfat.model.combined import combined_notes, combined_titles, hidden_muscles
from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.external.label_map import (
    Label,
    agrees,
    fits,
    read_label_map,
    ready_made,
)
from napari_backfat.segment.external.orientation import Turn, check_codes
from napari_backfat.segment.external.result import to_muscles
from napari_backfat.segment.external.sides import split_sides
from tests.phantom import make_case

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", sorted(ready_made()))
def test_ready_made_maps_agree_with_their_own_names_and_cite_a_source(name: str) -> None:
    found = read_label_map(name)
    assert fits(found, {n: label.name for n, label in found.labels.items()})
    assert found.source.startswith("https://")
    assert (
        "commit" in ready_made()[name].read_text() or "read 2026" in ready_made()[name].read_text()
    )
    others = [read_label_map(n) for n in ready_made() if n != name]
    names = {n: label.name for n, label in found.labels.items()}
    assert not any(fits(other, names) for other in others)


def test_musclemap_numbers_are_those_the_reader_of_masks_knows() -> None:
    labels = read_label_map("musclemap").labels
    assert {n: label.target for n, label in labels.items()} == MUSCLEMAP_IDS


@pytest.mark.parametrize(
    ("muscle", "side", "name", "same"),
    [
        ("autochthon", "left", "left_autochthonous_muscle", True),
        ("autochthon", "left", "autochthon_left", True),
        ("autochthon", "left", "autochthon_right", False),
        ("autochthon", "left", "autochthon", False),
        ("psoas major", "both", "Psoas", True),
        ("psoas major", "left", "left psoas", True),
        ("psoas major", "left", "iliopsoas_left", False),
        ("iliopsoas", "left", "psoas_left", False),
        ("multifidus", "right", "Multifidus-R", True),
        ("multifidus", "right", "R multifidus", True),
        ("multifidus", "right", "rotatores R", False),
        ("quadratus lumborum", "both", "Quadratus lumborum", True),
        ("erector spinae", "left", "erector spinae, left", True),
        ("erector spinae", "left", "spine", False),
    ],
)
def test_names_are_compared_by_muscle_and_side(
    muscle: str, side: str, name: str, same: bool
) -> None:
    label = Label(muscle=muscle, side=side)  # type: ignore[arg-type]
    assert agrees(label, name) is same


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('name = "x"\n[labels]\n', "at least one muscle"),
        ('name = "x"\n[labels]\n0 = { muscle = "multifidus", side = "left" }', "numbers from 1"),
        ('name = "x"\n[labels]\n1 = { muscle = "multifidus" }', "labels.1.side"),
        ('name = "x"\nspeed = 3\n[labels]\n1 = {muscle="multifidus", side="left"}', "speed"),
        (
            'name = "x"\nchannels = [["ct"]]\n[labels]\n1 = {muscle="multifidus", side="left"}',
            "channels take",
        ),
        (
            'name = "x"\norientation = "RLS"\n[labels]\n1 = {muscle="multifidus", side="left"}',
            "no orientation",
        ),
        ("name =", "not valid TOML"),
    ],
)
def test_a_wrong_label_map_says_where(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text(text)
    with pytest.raises(BackfatError, match=complaint):
        read_label_map(path)


def test_an_unknown_label_map_lists_those_there_are() -> None:
    with pytest.raises(BackfatError, match="Give one of mrsegmentator, musclemap"):
        read_label_map("nothing")


def test_orientations_turn_there_and_back() -> None:
    array = np.arange(24).reshape(2, 3, 4)
    for codes in ("RAS", "LPS", "IPL", "SAR", "PIR"):
        turn = Turn(codes)
        np.testing.assert_array_equal(turn.to_working(turn.to_model(array)), array)
        assert turn.to_model(array).shape[turn.slice_axis] == 2
    np.testing.assert_array_equal(Turn("IPL").to_model(array), array)
    np.testing.assert_array_equal(Turn("RAS").to_model(array), array.T[::-1, ::-1, ::-1])
    with pytest.raises(ValueError, match="no orientation"):
        check_codes("RAR")


# ------------------------------------------------------------------ sides


def test_bilateral_muscles_are_divided_at_the_midline() -> None:
    made = make_case((8, 40, 64), groups=tuple(MuscleGroup))
    groups = [((made.muscles + 1) // 2) == n for n in range(1, 5)]
    left = split_sides(groups, made.scan.images[0].voxels, (4, 2, 2))
    for n, part in enumerate(left):
        wanted = made.muscles == muscle_of(list(MuscleGroup)[n], Side.LEFT)
        np.testing.assert_array_equal(part, wanted)


def test_a_scan_that_is_not_centred_is_divided_at_its_own_midline() -> None:
    made = make_case((6, 40, 64), groups=tuple(MuscleGroup))
    cropped = made.muscles[:, :, 22:]  # the outermost right muscles are cut off
    image = made.scan.images[0].voxels[:, :, 22:]
    groups = [((cropped + 1) // 2) == n for n in range(1, 5)]
    for n, part in enumerate(split_sides(groups, image, (4, 2, 2))):
        wanted = cropped == muscle_of(list(MuscleGroup)[n], Side.LEFT)
        np.testing.assert_array_equal(part, wanted)


def test_parts_that_touch_at_the_midline_are_cut_there() -> None:
    mask = np.zeros((4, 20, 41), bool)
    mask[:, 8:14, 10:31] = True  # one block over both sides
    outer = np.zeros_like(mask)
    outer[:, 4:8, 4:9] = outer[:, 4:8, 32:37] = True  # symmetric about x = 20
    left, _ = split_sides([mask, outer], np.ones(mask.shape, np.float32), (4, 2, 2))
    assert np.flatnonzero(left[0].any(axis=0)).tolist() == list(range(21, 31))


def test_without_any_pair_the_body_gives_the_midline() -> None:
    image = np.zeros((3, 20, 50), np.float32)
    image[:, :, 10:41] = 100  # body centre at 25
    mask = np.zeros(image.shape, bool)
    mask[:, 5:9, 28:33] = True
    (left,) = split_sides([mask], image, (4, 2, 2))
    np.testing.assert_array_equal(left, mask)
    (left,) = split_sides([mask[:, :, ::-1]], image[:, :, ::-1], (4, 2, 2))
    assert not left.any()


def test_paraspinalseg_numbers_become_eight_muscles() -> None:
    made = make_case((6, 40, 64), groups=tuple(MuscleGroup))
    theirs = np.zeros(9, np.uint8)
    theirs[[1, 2]], theirs[[3, 4]], theirs[[5, 6]], theirs[[7, 8]] = 4, 3, 1, 2
    found = to_muscles(theirs[made.muscles], read_label_map("paraspinalseg"), made.scan)
    np.testing.assert_array_equal(found, made.muscles)


# ------------------------------------------------------------------ combined classes


def has(*muscles: Muscle):  # type: ignore[no-untyped-def]
    return lambda m: m in muscles


def test_a_combined_class_hides_the_muscle_inside_it() -> None:
    both = has(Muscle.ERECTOR_SPINAE_LEFT, Muscle.ERECTOR_SPINAE_RIGHT)
    assert hidden_muscles(("autochthon",), both) == {
        Muscle.MULTIFIDUS_LEFT: Muscle.ERECTOR_SPINAE_LEFT,
        Muscle.MULTIFIDUS_RIGHT: Muscle.ERECTOR_SPINAE_RIGHT,
    }
    assert combined_titles(("autochthon",), both)[Muscle.ERECTOR_SPINAE_LEFT].endswith(" L")
    notes = combined_notes(("autochthon",), both)
    assert notes[Muscle.MULTIFIDUS_RIGHT] == "not separated from erector spinae"
    assert "includes the multifidus" in notes[Muscle.ERECTOR_SPINAE_RIGHT]


def test_a_separated_or_absent_side_is_not_combined() -> None:
    separated = has(*list(Muscle)[1:4])  # both multifidi and the left erector spinae
    assert hidden_muscles(("autochthon",), separated) == {}
    assert combined_titles(("autochthon",), separated) == {}
    left_only = has(Muscle.ERECTOR_SPINAE_LEFT)
    assert list(hidden_muscles(("autochthon",), left_only)) == [Muscle.MULTIFIDUS_LEFT]
    assert hidden_muscles(("something newer",), left_only) == {}


def test_iliopsoas_hides_nothing_but_changes_the_name() -> None:
    psoas = has(Muscle.PSOAS_MAJOR_LEFT)
    assert hidden_muscles(("iliopsoas",), psoas) == {}
    assert combined_titles(("iliopsoas",), psoas) == {Muscle.PSOAS_MAJOR_LEFT: "Iliopsoas L"}
    assert "iliacus" in combined_notes(("iliopsoas",), psoas)[Muscle.PSOAS_MAJOR_LEFT]
