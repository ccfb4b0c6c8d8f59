"""What was not saved comes back after a crash, and two windows never write over each other."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_backfat.io.hold import Hold
from napari_backfat.io.session import open_case
from napari_backfat.model.anatomy import Muscle, TissueCode
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.levels import SpineRange
from napari_backfat.model.masks import Author
from napari_backfat.model.patient import Patient
from napari_backfat.review.autosave import (
    FOLDER_VARIABLE,
    LIVE,
    find_recovery,
    is_aside,
    put_aside,
    put_back,
)
from napari_backfat.review.exchange import accept_exchange, exchange_job
from napari_backfat.review.places import places
from napari_backfat.review.recovered import restore_job
from napari_backfat.review.recovery import Keeper
from napari_backfat.review.session import ReviewSession, run_to_end
from napari_backfat.segment import backend as backends
from tests.phantom import make_case
from tests.review.backends import LeanBox, write_images

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.model.case import Case
    from napari_backfat.model.volume import Contrast

SHAPE = (6, 40, 64)


@pytest.fixture(autouse=True)
def recovery_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "recovery"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setitem(backends.BACKENDS, "bundled", LeanBox)


def scan_files(tmp_path: Path, contrast: Contrast | None = None) -> list[Path]:
    made = make_case(SHAPE, fat_fraction=0.3, pattern="voxels", noise=40.0, contrast=contrast)
    return write_images(tmp_path / "scan", made)


def start(paths: list[Path]) -> tuple[ReviewSession, Keeper, Case]:
    session = ReviewSession()
    keeper = Keeper(session)
    return session, keeper, session.accept_loaded(run_to_end(session.load_job(paths)))


def edit(case: Case, z: int, muscle: Muscle = Muscle.PSOAS_MAJOR_LEFT) -> None:
    case.masks.muscle[z, 5:15, 5:15] = muscle
    case.masks.tissue[z, 5:8, 5:8] = TissueCode.FAT_BY_HAND
    case.masks.sync(author=Author.BRUSH)
    case.masks.finish_step("brush")


def crash(session: ReviewSession, keeper: Keeper) -> None:
    """Leave everything as a killed process does: nothing is closed, only its locks are gone."""
    assert session.case is not None
    assert keeper.flush()
    for hold in (keeper._place, keeper._case_hold):
        if hold is not None:
            hold.release()
    keeper._place = keeper._case_hold = None
    session.close()


def restart(paths: list[Path]) -> tuple[ReviewSession, Case]:
    session = ReviewSession()
    loaded = run_to_end(session.load_job(paths))
    found = find_recovery(loaded.scan)
    assert found is not None
    return session, session.accept_loaded(run_to_end(restore_job(found, loaded)))


def test_all_of_an_unsaved_case_comes_back(tmp_path: Path) -> None:
    paths = scan_files(tmp_path)
    session, keeper, case = start(paths)
    session.accept_segmentation(run_to_end(session.segment_job(device="cpu")))
    edit(case, 2)
    session.set_threshold(0.35)
    session.finish_threshold()
    session.set_patient(Patient(age_years=61, sex="female"))
    session.set_levels(SpineRange("L1", "L4", 1, 4))
    case.masks.undo()
    before = case.masks.muscle.copy(), case.masks.tissue.copy(), case.masks.threshold
    ai, patient, levels = case.ai, case.patient, case.levels
    measurement = case.measurement
    crash(session, keeper)
    again_session, again = restart(paths)
    assert np.array_equal(again.masks.muscle, before[0])
    assert np.array_equal(again.masks.tissue, before[1])
    assert again.masks.threshold == before[2]
    assert again.patient == patient
    assert again.levels == levels
    assert again.measurement == measurement
    assert ai is not None
    assert again.ai is not None
    assert np.array_equal(again.ai.muscle, ai.muscle)
    assert np.array_equal(again.ai.tissue, ai.tissue)
    assert again.ai.provenance == ai.provenance
    # The journal goes on, and the case that is saved at last replays.
    edit(again, 3, Muscle.MULTIFIDUS_RIGHT)
    again_session.save(tmp_path / "case")
    from napari_backfat.review.replay import replay_case

    result = replay_case(tmp_path / "case")
    assert result.same
    assert [e.tool for _, e in result.entries] == [
        "AI segmentation", "brush", "fat threshold", "fat threshold", "brush",
    ]  # fmt: skip


def test_a_run_of_the_ai_that_was_undone_does_not_come_back(tmp_path: Path) -> None:
    paths = scan_files(tmp_path)
    session, keeper, case = start(paths)
    session.accept_segmentation(run_to_end(session.segment_job(device="cpu")))
    keeper.tick()  # the run is on the disk
    case.masks.undo()
    edit(case, 2)
    crash(session, keeper)
    _, again = restart(paths)
    assert again.ai is None
    assert np.array_equal(again.masks.muscle, case.masks.muscle)


def test_a_save_after_an_undone_run_has_no_ai(tmp_path: Path) -> None:
    paths = scan_files(tmp_path)
    session, keeper, case = start(paths)
    session.accept_segmentation(run_to_end(session.segment_job(device="cpu")))
    edit(case, 2)
    session.save(tmp_path / "case")
    case.masks.undo()
    case.masks.undo()
    session.save(tmp_path / "case")
    keeper.stop()
    loaded = run_to_end(ReviewSession.open_case_job(tmp_path / "case"))
    assert loaded.files is not None
    assert loaded.files.ai_muscles is None
    from napari_backfat.review.replay import replay_case

    assert replay_case(tmp_path / "case").same


def test_a_fat_method_that_depends_on_muscles_comes_back(tmp_path: Path) -> None:
    from napari_backfat.model.volume import Contrast

    paths = scan_files(tmp_path, Contrast.T1W)
    session, keeper, case = start(paths)
    session.accept_segmentation(run_to_end(session.segment_job(device="cpu")))
    edit(case, 2)
    codes, tissue = case.masks.fat_map.codes.copy(), case.masks.tissue.copy()
    crash(session, keeper)
    _, again = restart(paths)
    assert np.array_equal(again.masks.fat_map.codes, codes)
    assert np.array_equal(again.masks.tissue, tissue)


def test_exchanged_water_and_fat_come_back(tmp_path: Path) -> None:
    paths = scan_files(tmp_path)
    session, keeper, case = start(paths)
    session.accept_segmentation(run_to_end(session.segment_job(device="cpu")))
    region = np.zeros(SHAPE, bool)
    region[2:4] = True
    accept_exchange(case, run_to_end(exchange_job(case, region)))
    edit(case, 2)
    codes, tissue = case.masks.fat_map.codes.copy(), case.masks.tissue.copy()
    crash(session, keeper)
    _, again = restart(paths)
    assert again.scan.exchanged is not None
    assert np.array_equal(again.scan.exchanged, region)
    assert np.array_equal(again.masks.fat_map.codes, codes)
    assert np.array_equal(again.masks.tissue, tissue)


def test_the_offer_says_how_much_it_is(tmp_path: Path) -> None:
    paths = scan_files(tmp_path)
    session, keeper, case = start(paths)
    assert find_recovery(case.scan) is None
    edit(case, 1)
    edit(case, 2)
    assert keeper.flush()
    assert find_recovery(case.scan) is None  # its window is open: nothing is lost
    scan = case.scan
    crash(session, keeper)
    found = find_recovery(scan)
    assert found is not None
    assert found.summary == "It holds 2 edits of 3.2 ml in all, the last one: brush."
    assert abs((dt.datetime.now() - found.saved).total_seconds()) < 60
    aside = put_aside(found)
    assert (aside / LIVE).is_file()
    assert find_recovery(scan) is None
    assert is_aside(aside)
    assert not is_aside(found.folder)
    # Meanwhile another window works on these images: the work goes beside it.
    session, keeper, other = start(paths)
    edit(other, 3)
    assert keeper.flush()
    put_back(aside)
    assert not aside.exists()
    again = find_recovery(scan)
    assert again is not None
    assert again.summary == found.summary
    assert again.folder != found.folder
    crash(session, keeper)


def test_what_was_kept_aside_stays_where_too_much_waits(tmp_path: Path) -> None:
    session, keeper, case = start(scan_files(tmp_path))
    scan = case.scan
    edit(case, 1)
    assert keeper.flush()
    crash(session, keeper)
    found = find_recovery(scan)
    assert found is not None
    aside = put_aside(found)
    for place in places(scan):
        place.mkdir()
        (place / LIVE).write_bytes(b"other work")
    with pytest.raises(BackfatError, match="stays aside"):
        put_back(aside)
    assert (aside / LIVE).is_file()
    (places(scan)[4] / LIVE).unlink()  # an empty folder is a free place
    put_back(aside)
    assert (places(scan)[4] / LIVE).stat().st_size > len(b"other work")


def test_opening_alone_leaves_nothing_behind(tmp_path: Path) -> None:
    session, keeper, case = start(scan_files(tmp_path))
    scan = case.scan
    keeper.tick()
    crash(session, keeper)
    assert find_recovery(scan) is None


def test_only_the_patient_was_entered(tmp_path: Path) -> None:
    paths = scan_files(tmp_path)
    session, keeper, _ = start(paths)
    session.set_patient(Patient(age_years=44))
    crash(session, keeper)
    _, again = restart(paths)
    assert again.patient == Patient(age_years=44)


def test_a_stroke_that_goes_on_is_kept_by_the_tick(tmp_path: Path) -> None:
    paths = scan_files(tmp_path)
    session, keeper, case = start(paths)
    case.masks.muscle[2, 5:9, 5:9] = Muscle.PSOAS_MAJOR_LEFT
    case.masks.sync(author=Author.BRUSH)
    keeper.tick()
    painted = case.masks.muscle.copy()
    case.masks.muscle[2, 5:9, 5:9] = 0  # taken back within the same stroke
    case.masks.sync(author=Author.BRUSH)
    case.masks.finish_step("brush")
    keeper.tick()
    empty = case.masks.muscle.copy()
    crash(session, keeper)
    _, again = restart(paths)
    assert painted.any()
    assert np.array_equal(again.masks.muscle, empty)


@pytest.mark.parametrize("cut", [1, 7, 40, 300])
def test_a_torn_tail_costs_only_itself(tmp_path: Path, cut: int) -> None:
    paths = scan_files(tmp_path)
    session, keeper, case = start(paths)
    edit(case, 1)
    first = case.masks.muscle.copy()
    assert keeper.flush()
    assert keeper.folder is not None
    live = keeper.folder / LIVE
    size = live.stat().st_size
    edit(case, 2)
    scan = case.scan
    crash(session, keeper)
    data = live.read_bytes()
    live.write_bytes(data[: max(size, len(data) - cut)])
    loaded = run_to_end(session.load_job(paths))
    found = find_recovery(scan)
    assert found is not None
    restored = run_to_end(restore_job(found, loaded))
    assert any("torn" in note for note in restored.notes) == (len(data) - cut > size)
    assert restored.files is not None
    assert np.array_equal(restored.files.muscles, first)


def test_an_old_recovery_copy_still_opens(tmp_path: Path) -> None:
    """Before there were journals the copy was a case folder without one."""
    from napari_backfat.io.session import save_case
    from napari_backfat.review.autosave import recovery_folder

    paths = scan_files(tmp_path)
    session, keeper, case = start(paths)
    edit(case, 1)
    files, scan, _ = session.snapshot()
    keeper.drop()
    muscle = case.masks.muscle.copy()
    crash(session, keeper)
    save_case(recovery_folder(scan), replace(files, journal=b""), scan)
    _, again = restart(paths)
    assert np.array_equal(again.masks.muscle, muscle)


def test_a_newer_whole_copy_is_preferred_and_a_damaged_journal_gives_way(tmp_path: Path) -> None:
    paths = scan_files(tmp_path)
    session, keeper, case = start(paths)
    edit(case, 1)
    assert keeper.flush()
    assert keeper.folder is not None
    live = keeper.folder / LIVE
    older = live.read_bytes()
    edit(case, 2)
    run_to_end(session.save_job(keeper.folder, session.snapshot()))
    scan = case.scan
    crash(session, keeper)
    live.write_bytes(older)
    os.utime(live, (4e9, 4e9))  # the clock says otherwise, and may have been moved
    found = find_recovery(scan)
    assert found is not None
    assert found.journal is None
    live.write_bytes(b"nonsense")
    found = find_recovery(scan)
    assert found is not None
    assert found.journal is None
    _, again = restart(paths)
    assert again.masks.muscle.any()


def test_a_write_that_fails_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = scan_files(tmp_path)
    (tmp_path / "taken").write_text("a file where the folder should be")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "taken" / "recovery"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "taken"))
    session, keeper, case = start(paths)
    edit(case, 1)
    assert not keeper.flush()
    assert keeper.problem is not None
    assert "could not be saved" in keeper.problem
    assert not keeper.healthy
    assert np.count_nonzero(case.masks.muscle) == 100
    (tmp_path / "taken").unlink()
    edit(case, 2)
    assert keeper.flush()
    assert keeper.healthy
    crash(session, keeper)
    _, again = restart(paths)
    assert np.count_nonzero(again.masks.muscle) == 200


# ---------------------------------------------------------------------- two windows


def test_two_windows_on_one_scan_keep_their_work_apart(tmp_path: Path) -> None:
    paths = scan_files(tmp_path)
    session, keeper, case = start(paths)
    other_session, other_keeper, other = start(paths)
    edit(case, 1)
    edit(other, 4)
    assert keeper.flush()
    assert other_keeper.flush()
    assert keeper.folder != other_keeper.folder
    muscle = case.masks.muscle.copy()
    other_keeper.drop()
    other_session.close()
    crash(session, keeper)
    _, again = restart(paths)
    assert np.array_equal(again.masks.muscle, muscle)


def test_the_second_window_cannot_overwrite_the_case_of_the_first(tmp_path: Path) -> None:
    paths = scan_files(tmp_path)
    session, keeper, case = start(paths)
    edit(case, 1)
    session.save(tmp_path / "case")
    second = ReviewSession()
    second_keeper = Keeper(second)
    opened = second.accept_loaded(run_to_end(second.open_case_job(tmp_path / "case")))
    assert any("open in another window" in note for note in second_keeper.notes)
    assert f"process {os.getpid()}" in second_keeper.notes[0]
    edit(opened, 3)
    with pytest.raises(BackfatError, match="open in another window"):
        second.save(tmp_path / "case")
    second.save(tmp_path / "own copy")
    edit(case, 2)
    session.save(tmp_path / "case")
    assert np.array_equal(open_case(tmp_path / "case").files.muscles, case.masks.muscle)
    session.close()
    second.save(tmp_path / "case")  # nobody holds it any more
    keeper.stop()
    second_keeper.stop()


HOLDER = """
import sys, time
from pathlib import Path
from napari_backfat.io.hold import Hold
hold = Hold.of_case(Path(sys.argv[1]))
assert hold.acquire() is None
print("held", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(os.name == "nt", reason="kill is another thing there")
def test_a_process_holds_a_case_and_its_lock_dies_with_it(tmp_path: Path) -> None:
    paths = scan_files(tmp_path)
    session, keeper, case = start(paths)
    edit(case, 1)
    (tmp_path / "case").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), str(tmp_path / "case")],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(BackfatError, match=f"process {process.pid}, since"):
            session.save(tmp_path / "case")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert (tmp_path / "case" / ".backfat" / "open.json").exists()  # left by the crash
    session.save(tmp_path / "case")
    assert keeper.folder is not None
    keeper.stop()
    assert Hold.of_case(tmp_path / "case").acquire() is None
