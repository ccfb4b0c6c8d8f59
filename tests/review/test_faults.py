"""Disk full, no permission, folders that vanish, files damaged behind our back, clocks that jump.

Each time a sentence says what is wrong, and the work is intact: in the case folder, in the recovery
folder, or in the second place for it.
"""

from __future__ import annotations

import datetime as dt
import errno
import os
import shutil
import subprocess
import tempfile
import time
import types
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_backfat.io.session import open_case, save_case
from napari_backfat.model.anatomy import Muscle, TissueCode
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.masks import Author
from napari_backfat.model.patient import Patient
from napari_backfat.review import autosave, journal, restore
from napari_backfat.review.autosave import FOLDER_VARIABLE, LIVE, find_recovery, put_aside
from napari_backfat.review.places import second_root
from napari_backfat.review.preview import preview_job
from napari_backfat.review.recovered import restore_job
from napari_backfat.review.recovery import Keeper
from napari_backfat.review.replay import replay_case
from napari_backfat.review.session import ReviewSession, run_to_end
from tests.faults import faulty_disk
from tests.io.cases import case_files, generation_in, make_scan
from tests.phantom import make_case
from tests.review.backends import write_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari_backfat.model.case import Case

SHAPE = (4, 24, 32)
REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk is full",
    errno.EACCES: "you may not write there",
    errno.EROFS: "you may not write there",
    errno.ESTALE: "Stale file handle",
    errno.EIO: "Input/output error",
}


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "recovery"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    made = make_case(SHAPE, fat_fraction=0.3, pattern="voxels", noise=40.0)
    return write_images(tmp_path / "scan", made)


class Window:
    """What a window does, without one: a session, its keeper, and its end by a crash."""

    def __init__(self, paths: list[Path], folder: Path | None = None) -> None:
        self.session = ReviewSession()
        self.keeper = Keeper(self.session)
        job = self.session.load_job(paths) if folder is None else self.session.open_case_job(folder)
        self.case: Case = self.session.accept_loaded(run_to_end(job))

    def edit(self, z: int = 1) -> None:
        masks = self.case.masks
        masks.muscle[z, 5:15, 5:15] = Muscle.PSOAS_MAJOR_LEFT
        masks.tissue[z, 5:8, 5 + z : 9] = TissueCode.FAT_BY_HAND
        masks.sync(author=Author.BRUSH)
        masks.finish_step("brush")

    @property
    def state(self) -> tuple[bytes, bytes, float, Patient]:
        masks = self.case.masks
        return (masks.muscle.tobytes(), masks.tissue.tobytes(), masks.threshold, self.case.patient)

    def crash(self) -> None:
        """End as a killed process does: nothing is closed, only its locks are gone."""
        keeper = self.keeper
        for hold in (keeper._place, keeper._case_hold, *keeper._left):
            if hold is not None:
                hold.release()
        keeper._place = keeper._case_hold = None
        keeper._left = []
        if keeper._writer is not None:
            keeper._writer.close()
        keeper._writer = None
        keeper.folder = None
        self.session.closing.disconnect(keeper._on_closing)
        self.session.close()


def next_start(paths: list[Path]) -> Window:
    """Start again, and take the work that is offered, as the window does."""
    window = Window.__new__(Window)
    window.session = ReviewSession()
    window.keeper = Keeper(window.session)
    loaded = run_to_end(window.session.load_job(paths))
    found = find_recovery(loaded.scan)
    assert found is not None, "nothing was offered"
    window.keeper.goes_on = found
    window.case = window.session.accept_loaded(run_to_end(restore_job(found, loaded)))
    window.case.saved = False
    return window


# ---------------------------------------------------------------------- each write in turn


@pytest.mark.parametrize(
    ("number", "lasts", "stride"),
    [
        (errno.ENOSPC, False, 1), (errno.ENOSPC, True, 2), (errno.EROFS, True, 3),
        (errno.EACCES, False, 3), (errno.EIO, True, 5), (errno.ESTALE, False, 5),
    ],
)  # fmt: skip
def test_every_write_of_a_save_fails_in_turn(
    tmp_path: Path, number: int, lasts: bool, stride: int
) -> None:
    scan, folder = make_scan(tmp_path / "images"), tmp_path / "case"
    save_case(folder, case_files(scan, 1), scan)
    current, told = 1, []
    for at in range(1, 2000, stride):
        with faulty_disk(folder, at=at, number=number, lasts=lasts) as disk:
            try:
                save_case(folder, case_files(scan, at + 1), scan)
            except BackfatError as error:
                told.append(str(error))
            else:
                current = at + 1
        assert generation_in(folder, scan) == current  # all of it, old or new
        if disk.count < at:
            break
    else:
        pytest.fail("the save never ran to its end")
    assert len(told) > 60 // stride
    assert [text for text in told if REASONS[number] not in text] == []
    assert current == at + 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_every_write_of_the_safety_copy_fails_in_turn(
    tmp_path: Path, paths: list[Path], number: int
) -> None:
    """From its n-th write on the recovery folder takes nothing: the work is in the second place."""
    moved = 0
    for at in range(1, 200, 1 if number == errno.ENOSPC else 4):
        with faulty_disk(tmp_path / "recovery", at=at, number=number, lasts=True) as disk:
            window = Window(paths)
            for z in range(3):
                window.edit(z)
                assert window.keeper.flush()
            assert window.keeper.healthy
            window.keeper.tick()
            expected, notice = window.state, window.keeper.notice
            elsewhere = window.keeper.folder is not None and (
                window.keeper.folder.parent == second_root()
            )
            window.crash()
        if elsewhere:
            moved += 1
            assert notice is not None
            assert REASONS[number] in notice
            assert str(second_root()) in notice
        again = next_start(paths)
        assert again.state == expected
        again.edit(3)  # and it goes on in the same place
        assert again.keeper.flush()
        latest = again.state
        again.crash()
        third = next_start(paths)
        assert third.state == latest
        third.keeper.drop()
        third.crash()
        shutil.rmtree(tmp_path / "recovery", ignore_errors=True)
        shutil.rmtree(second_root(), ignore_errors=True)
        if disk.count < at:
            break
    else:
        pytest.fail("the fault was never beyond the last write")
    assert moved >= (5 if number == errno.ENOSPC else 2)


def test_no_place_at_all_is_said_and_the_first_that_returns_is_used(
    tmp_path: Path, paths: list[Path]
) -> None:
    everywhere = tmp_path / "recovery", second_root(), tmp_path / "case"
    with faulty_disk(*everywhere, at=1, lasts=True):
        window = Window(paths)
        window.edit(1)
        with pytest.raises(BackfatError, match="the disk is full"):
            window.session.save(tmp_path / "case")
        sentence = window.keeper.secure()
        assert "could not be kept in another place either" in sentence
        assert "the disk is full" in sentence
        assert "another folder or drive" in sentence
        assert not window.keeper.healthy
        assert not window.case.saved
    window.keeper.tick()
    assert "Your work is kept in" in window.keeper.secure()
    expected = window.state
    window.crash()
    assert next_start(paths).state == expected


def test_a_failed_save_says_where_the_work_is_and_it_comes_back(
    tmp_path: Path, paths: list[Path]
) -> None:
    window = Window(paths)
    window.edit(1)
    window.session.save(tmp_path / "case")
    window.keeper.drop()
    saved = open_case(tmp_path / "case").files.muscles
    window.edit(2)
    with faulty_disk(tmp_path / "case", at=1, number=errno.EROFS, lasts=True):
        with pytest.raises(BackfatError, match="What was saved before is unchanged"):
            window.session.save(tmp_path / "case")
        sentence = window.keeper.secure()
    assert str(tmp_path / "recovery") in sentence
    assert "offered the next time" in sentence
    assert np.array_equal(open_case(tmp_path / "case").files.muscles, saved)
    expected = window.state
    window.crash()
    loaded = run_to_end(ReviewSession.open_case_job(tmp_path / "case"))
    found = find_recovery(loaded.scan)
    assert found is not None
    preview = run_to_end(preview_job(found, loaded))
    (row,) = preview.rows
    assert row.muscle is Muscle.PSOAS_MAJOR_LEFT
    assert (row.voxels, preview.slice_index, preview.other) == (100, 2, ())
    assert row.after_ml - row.before_ml == pytest.approx(100 * loaded.scan.geometry.voxel_ml)
    assert preview.picture.shape == (*SHAPE[1:], 3)
    again = next_start(paths)
    assert again.state == expected
    again.session.save(tmp_path / "case")
    assert replay_case(tmp_path / "case").same
    again.keeper.drop()
    assert find_recovery(again.case.scan) is None


def _small_disk(place: Path, kib: int) -> bool:
    place.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k,mode=0777", "backfat-test", str(place)]
    return shutil.which("mount") is not None and (
        subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


@pytest.fixture
def small_disks() -> Iterator[Callable[[Path, int], bool]]:
    mounted: list[Path] = []

    def mount(place: Path, kib: int) -> bool:
        done = _small_disk(place, kib)
        mounted.extend([place] if done else [])
        return done

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)


def test_a_disk_that_is_really_full(
    tmp_path: Path, paths: list[Path], small_disks: Callable[[Path, int], bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Case and recovery folder on real file systems of 4 to 100 KiB: ENOSPC wherever it comes."""
    refused: list[str] = []
    saved = moved = 0
    for kib in (*range(4, 36, 4), 800):
        disk = tmp_path / f"disk{kib}"
        if not small_disks(disk, kib):
            pytest.skip("this user may not mount a small disk")
        monkeypatch.setenv(FOLDER_VARIABLE, str(disk / "recovery"))
        window = Window(paths)
        for number in range(20):
            noise = np.random.default_rng(number).integers(0, 9, SHAPE[1:])
            window.case.masks.muscle[number % 4] = noise
            window.case.masks.sync()
            window.case.masks.finish_step("noise")
        expected = window.state
        try:
            window.session.save(disk / "case")
        except BackfatError as error:
            refused.append(str(error))
            assert not (disk / "case" / "case.json").exists()
            assert "Your work is kept in" in window.keeper.secure()
            assert window.keeper.folder is not None
            moved += window.keeper.folder.parent == second_root()
            window.crash()
            assert next_start(paths).state == expected
        else:
            saved += 1
            files = open_case(disk / "case").files
            assert (files.muscles.tobytes(), files.tissue.tobytes()) == expected[:2]
            window.crash()
        shutil.rmtree(second_root(), ignore_errors=True)
    assert len(refused) > 2
    assert all("the disk is full" in text for text in refused)
    assert moved >= 2
    assert saved


# ---------------------------------------------------------------------- behind our back


def test_the_case_folder_vanishes_while_the_case_is_open(tmp_path: Path, paths: list[Path]) -> None:
    window = Window(paths)
    window.edit(1)
    window.session.save(tmp_path / "drive" / "case")
    window.edit(2)
    (tmp_path / "drive").rename(tmp_path / "unplugged")
    with pytest.raises(BackfatError, match="not there any more"):
        window.session.save(tmp_path / "drive" / "case")
    assert not (tmp_path / "drive").exists()  # no second case under the mount point
    assert "Your work is kept in" in window.keeper.secure()
    (tmp_path / "unplugged").rename(tmp_path / "drive")
    window.session.save(tmp_path / "drive" / "case")
    files = open_case(tmp_path / "drive" / "case").files
    assert files.muscles.tobytes() == window.state[0]
    window.edit(3)
    (tmp_path / "drive").rename(tmp_path / "unplugged")
    window.session.save(tmp_path / "elsewhere")
    assert open_case(tmp_path / "elsewhere").files.muscles.tobytes() == window.state[0]
    window.crash()


@pytest.mark.parametrize("how", ["removed", "renamed", "cut", "replaced", "swept"])
def test_the_safety_copy_is_taken_away_while_it_is_written(
    tmp_path: Path, paths: list[Path], how: str
) -> None:
    window = Window(paths)
    window.edit(1)
    assert window.keeper.flush()
    folder = window.keeper.folder
    assert folder is not None
    live = folder / LIVE
    if how == "removed":
        live.unlink()
    elif how == "renamed":
        folder.rename(tmp_path / "away")
    elif how == "cut":
        os.truncate(live, 60)
    elif how == "replaced":
        live.unlink()
        live.write_bytes(b"something else")
    else:
        shutil.rmtree(tmp_path / "recovery")
    if how == "swept":  # noticed without any further edit
        end = time.monotonic() + 20
        while window.keeper.problem is None:
            assert time.monotonic() < end
            time.sleep(0.02)
    else:
        window.edit(2)
    assert window.keeper.flush()
    assert window.keeper.folder == folder
    expected = window.state
    window.crash()
    assert next_start(paths).state == expected


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size))


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(bytes(content))


def _away(path: Path) -> None:
    path.unlink()


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [_empty, _half, _noise, _flipped, _away, _folder])
def test_any_file_of_a_case_damaged_behind_our_back(
    tmp_path: Path, paths: list[Path], damage: Callable[[Path], None]
) -> None:
    """Opened, it is told; open already, the next save makes it whole again, or says why not."""
    window = Window(paths)
    window.edit(1)
    window.session.set_patient(Patient(age_years=61, sex="female"))
    window.session.save(tmp_path / "case")
    window.keeper.drop()
    names = sorted(p.name for p in (tmp_path / "case").iterdir() if p.is_file())
    assert {"muscles.nii.gz", "journal.bin", "case.json", "provenance.json"} <= set(names)
    told, sentences = 0, []
    for number, name in enumerate(names):
        damage(tmp_path / "case" / name)
        try:
            notes = open_case(tmp_path / "case").notes
        except BackfatError as error:
            told += 1
            sentences.append(str(error))
        else:
            if name != "case.json" and not name.endswith((".nii.json", "ed.json", "es.json")):
                told += any(name in note for note in notes)
        window.case.masks.muscle[1, 20, number] = Muscle.PSOAS_MAJOR_RIGHT
        window.edit(1)
        expected = window.state
        try:
            window.session.save(tmp_path / "case")
        except BackfatError as error:
            sentences.append(str(error))
            assert "Your work is kept in" in window.keeper.secure()
            other = tmp_path / f"other {number}"
            window.session.save(other)
            shutil.rmtree(tmp_path / "case")
            shutil.copytree(other, tmp_path / "case")
            window.session.save(tmp_path / "case")
        opened = open_case(tmp_path / "case")
        assert opened.notes == ()
        files = opened.files
        assert (files.muscles.tobytes(), files.tissue.tobytes()) == expected[:2]
        assert replay_case(tmp_path / "case").same
    assert told >= 8
    assert not any("\n" in sentence for sentence in sentences)
    window.crash()


@pytest.mark.parametrize("damage", [_empty, _half, _noise, _flipped, _away, _folder])
def test_the_image_is_damaged_while_the_case_is_open(
    tmp_path: Path, paths: list[Path], damage: Callable[[Path], None]
) -> None:
    window = Window(paths)
    window.edit(1)
    whole = paths[0].read_bytes()
    damage(paths[0])
    window.edit(2)
    window.session.save(tmp_path / "case")  # needs the image in memory only
    expected = window.state
    window.crash()
    with pytest.raises(BackfatError, match=r"changed since|not found|cannot be") as told:
        open_case(tmp_path / "case")
    assert "\n" not in str(told.value)
    if paths[0].is_dir():
        paths[0].rmdir()
    paths[0].write_bytes(whole)
    files = open_case(tmp_path / "case").files
    assert (files.muscles.tobytes(), files.tissue.tobytes()) == expected[:2]


def test_a_folder_that_may_not_be_entered_is_said(
    tmp_path: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests may run as root, whom no mode stops: the system's answer is given in its place."""
    window = Window(paths)
    window.edit(1)
    window.session.save(tmp_path / "case")
    window.crash()
    real = os.stat

    def no_entry(path: object, *args: object, **kwargs: object) -> object:
        if not isinstance(path, int) and str(path).startswith(str(tmp_path / "case") + os.sep):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", no_entry)
    with pytest.raises(BackfatError, match="Permission denied"):
        open_case(tmp_path / "case")
    monkeypatch.undo()


def test_declined_work_that_cannot_be_renamed_stays(tmp_path: Path, paths: list[Path]) -> None:
    window = Window(paths)
    window.edit(1)
    assert window.keeper.flush()
    scan = window.case.scan
    window.crash()
    found = find_recovery(scan)
    assert found is not None
    with (
        faulty_disk(tmp_path / "recovery", at=1, number=errno.EACCES, lasts=True),
        pytest.raises(BackfatError, match="will be offered again"),
    ):
        put_aside(found)
    assert find_recovery(scan) is not None


# ---------------------------------------------------------------------- clocks


class Clock:
    """Moves the wall clock, as this program and its files see it; not the steady one."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.shift = dt.timedelta(0)
        clock, real_time = self, time.time

        class Shifted(dt.datetime):
            @classmethod
            def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
                return dt.datetime.now(tz) + clock.shift

        shifted = types.SimpleNamespace(
            datetime=Shifted, UTC=dt.UTC, timedelta=dt.timedelta, date=dt.date
        )
        for module in (journal, restore):
            patch.setattr(module, "dt", shifted)
        patch.setattr(time, "time", lambda: real_time() + clock.shift.total_seconds())

    def touch(self, root: Path) -> None:
        """Give files that were written just now the times of this clock."""
        now = time.time()
        for path in root.rglob("*"):
            if path.stat().st_mtime > now - self.shift.total_seconds() - 5:
                os.utime(path, (now, now))


@pytest.mark.parametrize(
    "jump",
    [dt.timedelta(hours=-3), dt.timedelta(days=-20_000), dt.timedelta(hours=5),
     dt.timedelta(days=25_000)],
)  # fmt: skip
def test_the_clock_jumps_in_the_middle_of_the_work(
    tmp_path: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch, jump: dt.timedelta
) -> None:
    clock = Clock(monkeypatch)
    window = Window(paths)
    window.edit(0)
    assert window.keeper.flush()
    assert window.keeper.folder is not None
    # The rare whole copy is written, then the clock jumps, then the work goes on.
    run_to_end(window.session.save_job(window.keeper.folder, window.session.snapshot()))
    clock.touch(window.keeper.folder)
    clock.shift = jump
    window.edit(1)
    window.session.set_patient(Patient(age_years=44, sex="male"))
    assert window.keeper.flush()
    live = window.keeper.folder / LIVE
    os.utime(live, (time.time(),) * 2)
    # The journal moves to the second place and the clock jumps again.
    with faulty_disk(tmp_path / "recovery", at=1, lasts=True):
        window.edit(2)
        assert window.keeper.flush()
    clock.shift = jump * 0.5
    window.edit(3)
    assert window.keeper.flush()
    assert window.keeper.folder.parent == second_root()
    os.utime(window.keeper.folder / LIVE, (time.time(),) * 2)
    expected = window.state
    window.crash()
    again = next_start(paths)
    assert again.state == expected
    again.session.save(tmp_path / "case")
    again.keeper.drop()
    assert find_recovery(again.case.scan) is None  # older states of the same work are gone too
    again.crash()
    assert replay_case(tmp_path / "case").same
    clock.shift = -jump
    reopened = Window(paths, tmp_path / "case")
    assert reopened.state == expected
    reopened.edit(0)
    reopened.session.save(tmp_path / "case")
    assert replay_case(tmp_path / "case").same
    reopened.crash()


@pytest.mark.parametrize("stamp", [0, -3_000_000_000, 4_000_000_000, 10**12])
def test_absurd_times_of_files_are_no_obstacle(
    tmp_path: Path, paths: list[Path], stamp: int
) -> None:
    window = Window(paths)
    window.edit(1)
    assert window.keeper.flush()
    assert window.keeper.folder is not None
    live, expected = window.keeper.folder / LIVE, window.state
    window.crash()
    try:
        os.utime(live, (stamp, stamp))
    except (OSError, OverflowError):
        pytest.skip("this file system has no such time")
    assert autosave._written(live).year >= 1900
    assert next_start(paths).state == expected


def test_two_works_of_a_crash_are_both_kept(paths: list[Path]) -> None:
    """Both windows crash: the newer work is offered, and going on with it keeps the older."""
    first, second = Window(paths), Window(paths)
    first.edit(1)
    second.edit(2)
    assert first.keeper.flush()
    assert second.keeper.flush()
    states = {first.state, second.state}
    first.crash()
    second.crash()
    window = next_start(paths)
    states.remove(window.state)
    window.edit(3)
    assert window.keeper.flush()
    window.session.save(paths[0].parent.parent / "case")
    window.keeper.drop()
    window.crash()
    assert next_start(paths).state in states
