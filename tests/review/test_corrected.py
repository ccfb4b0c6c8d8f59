"""The corrected means of the open case: current or said to be not, and in every file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from napari_backfat.io.table_schema import read_table
from napari_backfat.io.tables import read_csv
from napari_backfat.measure.by_level import RegionKind, level_regions
from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.masks import Author
from napari_backfat.model.vertebrae import VertebralLevels
from napari_backfat.review.exchange import accept_exchange, exchange_job
from napari_backfat.review.fat import fat_map_of
from napari_backfat.review.session import Loaded, ReviewSession, run_to_end
from napari_backfat.review.tables import table_job, table_request
from napari_backfat.separate.corrected_scan import corrected_job
from tests.phantom import make_case
from tests.review.backends import write_images

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.model.case import Case
    from napari_backfat.model.results import CorrectedMean
    from napari_backfat.model.volume import Volume
    from tests.phantom import MadeCase

SHAPE = (8, 60, 90)
LEFT = Muscle.ERECTOR_SPINAE_LEFT
KEY = "corrected_fat_fraction"
LEVELS = VertebralLevels((-0.5, 3.5, 7.5), "L1")


def noisy_case(axes: str = "LPS") -> MadeCase:
    """A pair of magnitude images with the noise of one coil."""
    made = make_case(SHAPE, fat_fraction=0.08, pattern="voxels", axes=axes)
    rng = np.random.default_rng(3)
    body = binary_dilation(made.muscles.any(axis=0), iterations=4)

    def seen(image: Volume) -> Volume:
        one, other = rng.normal(0, 25.0, (2, *SHAPE))
        signal = np.where(body, image.voxels, 0) + one
        return replace(image, voxels=np.hypot(signal, other).astype(np.float32))

    images = tuple(seen(v) for v in made.scan.images)
    return replace(made, scan=replace(made.scan, images=images, reference=images[0]))


def session_with() -> tuple[ReviewSession, Case]:
    made = noisy_case()
    session = ReviewSession()
    case = session.accept_loaded(Loaded(made.scan, fat_map_of(made.scan, None)))
    session.accept_muscles(made.muscles)
    return session, case


def cut(case: Case, slices: slice, label: int = 0) -> None:
    """Take rows of one muscle away as a brush would."""
    part = case.masks.muscle[slices]
    rows = np.flatnonzero((part == LEFT).any(axis=(0, 2)))[:4]
    part[:, rows][part[:, rows] == LEFT] = label
    where = part[:, rows]
    part[:, rows] = np.where(where == LEFT, label, where)
    assert case.masks.sync(author=Author.BRUSH) is not None
    assert case.masks.finish_step("brush")


def fresh(case: Case) -> dict[Muscle, CorrectedMean]:
    job = corrected_job(case.scan, case.masks.fat_map, case.masks.muscle)
    return dict(run_to_end(job)[1].muscles)


def test_a_stroke_makes_the_numbers_old_and_a_pass_makes_them_new() -> None:
    session, case = session_with()
    assert case.corrected is None
    session.include_corrected()
    first = case.corrected
    assert first is not None
    assert first.current
    assert first.muscles[LEFT].value is not None
    heard = []
    case.events.corrected.connect(heard.append)
    cut(case, slice(2, 4))
    assert case.corrected is not None
    assert not case.corrected.current
    assert case.corrected.muscles == first.muscles  # the old ones, said to be old
    cut(case, slice(4, 6))
    assert len(heard) == 1  # one event, however many strokes
    session.include_corrected()
    assert case.corrected.current
    assert case.corrected.muscles[LEFT] != first.muscles[LEFT]
    assert case.corrected.muscles == fresh(case)
    while case.masks.undo():
        pass
    assert not case.masks.muscle.any()
    session.include_corrected()
    assert case.corrected.muscles[LEFT].value is None


def test_random_work_ends_with_what_a_fresh_pass_finds() -> None:
    session, case = session_with()
    rng = np.random.default_rng(5)
    for _ in range(5):
        z = int(rng.integers(0, SHAPE[0]))
        box = (z, slice(10, 50), slice(*sorted(rng.integers(5, 85, 2).tolist())))
        case.masks.muscle[box] = rng.choice([0, int(LEFT), int(Muscle.MULTIFIDUS_RIGHT)])
        case.masks.sync(author=Author.BRUSH)
        case.masks.finish_step("brush")
        if rng.random() < 0.5:
            case.masks.undo()
        session.include_corrected()
        assert case.corrected is not None
        assert case.corrected.muscles == fresh(case)


def test_threshold_and_tissue_paint_do_not_touch_it() -> None:
    session, case = session_with()
    session.include_corrected()
    known = case.corrected
    session.set_threshold(0.2)
    session.finish_threshold()
    where = np.flatnonzero(case.masks.muscle == LEFT)[:30]
    case.masks.tissue.ravel()[where] = 4
    case.masks.sync((slice(0, 1), slice(None), slice(None)), author=Author.BRUSH)
    assert case.corrected is known or case.corrected is not None
    assert case.corrected.muscles == fresh(case)


def test_a_pass_that_a_stroke_overtook_is_not_taken() -> None:
    session, case = session_with()
    keeper = session.corrected
    assert keeper is not None
    found = run_to_end(keeper.job())
    cut(case, slice(1, 3))
    assert not keeper.take(found)
    assert keeper.wanted
    assert case.corrected is None or not case.corrected.current


def test_an_exchange_of_water_and_fat_is_followed() -> None:
    session, case = session_with()
    session.include_corrected()
    assert case.corrected is not None
    before = case.corrected.muscles[LEFT].value
    assert before is not None
    accept_exchange(case, run_to_end(exchange_job(case, np.ones(SHAPE, bool))))
    assert not case.corrected.current
    session.include_corrected()
    assert case.corrected.muscles[LEFT].value == pytest.approx(1 - before, abs=1e-6)
    assert case.masks.undo()
    session.include_corrected()
    assert case.corrected.muscles[LEFT].value == pytest.approx(before)


def test_a_save_holds_the_numbers_of_the_masks_it_saves(tmp_path: Path) -> None:
    made = noisy_case("SAR")
    paths = write_images(tmp_path / "scan", made)
    session = ReviewSession()
    case = session.accept_loaded(run_to_end(session.load_job(paths)))
    session.accept_muscles(made.muscles)
    session.include_corrected()
    cut(case, slice(2, 4))  # so that nothing current is known
    session.set_vertebrae(LEVELS)
    session.save(tmp_path / "case")
    wanted = fresh(case)[LEFT]
    assert wanted.value is not None
    rows = read_csv(tmp_path / "case" / "measurements.csv")
    (row,) = (
        r for r in rows if (r["muscle"], r["side"], r["measure"]) == ("erector spinae", "left", KEY)
    )
    assert row["value"] == pytest.approx(100 * wanted.value)
    assert row["low"] == pytest.approx(100 * (wanted.low or 0))
    assert row["high"] == pytest.approx(100 * (wanted.high or 0))
    document = read_table(tmp_path / "case" / "tables.json")
    assert "Rice" in document.method.correction
    assert "background air" in document.method.correction
    by_level = {
        r.level: r for r in document.rows if (r.muscle, r.side, r.measure) == (
            "erector spinae", "left", KEY,
        )
    }  # fmt: skip
    assert set(by_level) == {"L2", "L3"}
    for found in by_level.values():
        assert found.value is not None
        assert found.low is not None
        assert found.high is not None
        assert found.low <= found.value <= found.high
    # Opened again, the same numbers come.
    again = ReviewSession()
    other = again.accept_loaded(run_to_end(again.open_case_job(tmp_path / "case")))
    again.include_corrected()
    assert other.corrected is not None
    assert other.corrected.muscles[LEFT] == wanted


def test_levels_are_those_of_their_slices_alone() -> None:
    session, case = session_with()
    session.set_vertebrae(LEVELS)
    keeper = session.corrected
    assert keeper is not None
    regions = level_regions(LEVELS, SHAPE[0])
    assert keeper.take(run_to_end(keeper.job(regions)))
    first = case.corrected_regions[regions[0]][LEFT]
    muscle = case.masks.muscle.copy()
    muscle[4:] = 0
    expected = run_to_end(corrected_job(case.scan, case.masks.fat_map, muscle))[1].muscles[LEFT]
    assert first.voxels == expected.voxels
    assert first.value == pytest.approx(expected.value, abs=1e-3)  # the noise is read elsewhere
    request = table_request(case, RegionKind.LEVEL, means=keeper.means)
    rows = run_to_end(table_job(request)).rows
    (row,) = (
        r
        for r in rows
        if (r.muscle, r.side, r.level, r.measure) == ("erector spinae", "left", "L2", KEY)
    )
    assert first.value is not None
    assert row.value == pytest.approx(100 * first.value)


def test_without_a_fat_image_there_is_a_reason_at_once() -> None:
    made = noisy_case()
    scan = replace(made.scan, images=made.scan.images[:1])
    session = ReviewSession()
    case = session.accept_loaded(Loaded(scan, fat_map_of(scan, None)))
    assert case.corrected is not None
    assert case.corrected.current
    assert {case.corrected.muscles[m].why for m in MUSCLES} == {case.corrected.total.why}
    assert "water and a fat image" in case.corrected.total.why
    assert session.corrected is not None
    assert not session.corrected.wanted
