"""Whatever fails and whenever the process dies, a folder holds one whole save."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import pytest

from napari_backfat.io import atomic_folder
from napari_backfat.io.atomic import write_atomic
from napari_backfat.io.atomic_folder import AtomicFolder
from napari_backfat.io.session import open_case, save_case
from napari_backfat.model.errors import BackfatError
from tests.io.cases import case_files, generation_in, make_scan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_backfat.model.volume import Scan

STEPS = ("replace", "fsync", "link", "unlink", "rmdir", "mkdir")
posix_only = pytest.mark.skipif(os.name == "nt", reason="signals and limits of POSIX")


class Faults:
    """Counts the steps that change the disk, and fails at one of them or from it on."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int, *, lasting: bool) -> None:
        self.count = 0
        self._at, self._lasting = at, lasting
        for name in STEPS:
            patch.setattr(os, name, self._wrap(getattr(os, name)))

    def _wrap(self, real: Any) -> Any:
        def step(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count == self._at or (self._lasting and self.count > self._at):
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(*args, **kwargs)

        return step


@contextmanager
def faults(at: int, *, lasting: bool) -> Iterator[Faults]:
    with pytest.MonkeyPatch.context() as patch:
        yield Faults(patch, at, lasting=lasting)


def content_of(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    return make_scan(tmp_path / "images")


def test_one_file_is_old_or_new_after_any_failure(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_bytes(b"old")
    sentences = []
    for at in range(1, 20):
        with faults(at, lasting=False) as tried:
            try:
                write_atomic(target, b"new")
            except BackfatError as error:
                sentences.append(str(error))
        assert target.read_bytes() in (b"old", b"new")
        assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
        if tried.count < at:
            break
    assert target.read_bytes() == b"new"
    assert len(sentences) >= 2
    assert all("disk is full" in sentence for sentence in sentences)


def test_interrupted_writer_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    target.write_bytes(b"old")

    def stop(stream: Any) -> None:
        stream.write(b"ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomic(target, stop)
    assert content_of(tmp_path) == {"a.json": b"old"}


@posix_only
def test_links_are_followed_and_rights_are_ordinary(tmp_path: Path) -> None:
    target = tmp_path / "real.json"
    target.write_bytes(b"old")
    link = tmp_path / "link.json"
    link.symlink_to(target)
    write_atomic(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    plain = tmp_path / "plain"
    plain.touch()
    assert target.stat().st_mode == plain.stat().st_mode


def test_missing_folder_is_explained(tmp_path: Path) -> None:
    with pytest.raises(BackfatError, match="folder does not exist"):
        write_atomic(tmp_path / "absent" / "a.json", b"x")


@pytest.mark.parametrize("lasting", [False, True])
def test_failure_at_any_step_leaves_the_older_save(
    tmp_path: Path, scan: Scan, lasting: bool
) -> None:
    """`lasting`: the disk stays broken, so that even putting things back fails for now."""
    folder = tmp_path / "case"
    save_case(folder, case_files(scan, 1), scan)
    current, sentences = 1, []
    for at in range(1, 400):
        before = content_of(folder)
        with faults(at, lasting=lasting) as tried:
            try:
                save_case(folder, case_files(scan, at + 1), scan)
            except BackfatError as error:
                sentences.append(str(error))
            else:
                current = at + 1
        if current != at + 1 and not lasting:
            assert content_of(folder) == before
        assert generation_in(folder, scan) == current
        assert {p.name for p in (folder / ".backfat").iterdir()} <= {"lock"}
        if tried.count < at:
            break
    else:
        pytest.fail("the save never ran to its end")
    assert len(sentences) > 20
    assert all("unchanged" in sentence for sentence in sentences)
    assert current == at + 1


def test_failure_of_the_first_save_leaves_nothing(tmp_path: Path, scan: Scan) -> None:
    for at in range(1, 400, 2):
        folder = tmp_path / f"case{at}"
        with faults(at, lasting=True) as tried:
            try:
                save_case(folder, case_files(scan, 1), scan)
            except BackfatError:
                saved = False
            else:
                saved = True
        if not saved:
            with pytest.raises(BackfatError, match=r"not a saved case|no folder"):
                open_case(folder)
            if folder.exists():
                assert content_of(folder) == {}
            save_case(folder, case_files(scan, 1), scan)  # and the folder can be used
        assert generation_in(folder, scan) == 1
        if tried.count < at:
            return
    pytest.fail("the save never ran to its end")


@posix_only
@pytest.mark.parametrize("limit", [0, 60, 120, 300, 500])
def test_a_write_that_does_not_fit_leaves_the_older_save(
    tmp_path: Path, scan: Scan, limit: int
) -> None:
    """The system itself refuses to write beyond `limit` bytes per file."""
    import resource

    folder = tmp_path / "case"
    save_case(folder, case_files(scan, 1), scan)
    before = content_of(folder)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
    try:
        with pytest.raises(BackfatError, match="unchanged"):
            save_case(folder, case_files(scan, 2), scan)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert content_of(folder) == before
    assert generation_in(folder, scan) == 1


def test_no_permission_is_explained(
    tmp_path: Path, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "mkdir", deny)  # root in a container may write everywhere
    with pytest.raises(BackfatError, match="may not write there"):
        save_case(tmp_path / "case", case_files(scan, 1), scan)


def test_folder_name_taken_by_a_file(tmp_path: Path, scan: Scan) -> None:
    (tmp_path / "case").write_text("a file")
    with pytest.raises(BackfatError, match="could not be saved"):
        save_case(tmp_path / "case", case_files(scan, 1), scan)
    assert (tmp_path / "case").read_text() == "a file"


def test_interruption_by_the_user_leaves_the_older_save(tmp_path: Path, scan: Scan) -> None:
    folder = tmp_path / "case"
    save_case(folder, case_files(scan, 1), scan)
    before = content_of(folder)

    def interrupted(stream: Any) -> None:
        stream.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), AtomicFolder(folder) as save:
        save.write("muscles.nii.gz", interrupted)
    assert content_of(folder) == before


def test_without_hard_links_copies_do(
    tmp_path: Path, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "not on this file system")

    monkeypatch.setattr(os, "link", no_links)
    folder = tmp_path / "case"
    save_case(folder, case_files(scan, 1), scan)
    current = 1
    for at in range(1, 400, 3):
        with faults(at, lasting=False) as tried, pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "link", no_links)
            try:
                save_case(folder, case_files(scan, at + 1), scan)
            except BackfatError:
                failed = True
            else:
                failed, current = False, at + 1
        assert generation_in(folder, scan) == current
        if tried.count < at:
            assert not failed
            return
    pytest.fail("the save never ran to its end")


def test_read_only_folder_with_an_interrupted_save_opens_as_the_older(
    tmp_path: Path, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "case"
    save_case(folder, case_files(scan, 1), scan)

    real, placed = os.replace, []

    def stop_in_the_middle(source: Any, target: Any) -> None:
        placed.append(target)
        if len(placed) > 4:
            raise OSError(errno.EIO, "gone")
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stop_in_the_middle)
        with pytest.raises(BackfatError):
            save_case(folder, case_files(scan, 3), scan)
    assert (folder / ".backfat" / "journal.json").exists()

    def read_only(*_: object, **__: object) -> None:
        raise PermissionError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(filelock.FileLock, "acquire", read_only)
    assert generation_in(folder, scan) == 1
    assert (folder / ".backfat" / "journal.json").exists()


def test_two_savers_take_turns(tmp_path: Path, scan: Scan) -> None:
    folder = tmp_path / "case"
    problems: list[BaseException] = []

    def save(first: int) -> None:
        try:
            for generation in range(first, first + 5):
                save_case(folder, case_files(scan, generation), scan)
        except BaseException as error:  # noqa: BLE001 - handed to the main thread
            problems.append(error)

    threads = [threading.Thread(target=save, args=(first,)) for first in (10, 50, 90)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert generation_in(folder, scan) in {14, 54, 94}


def test_a_folder_in_use_is_said(
    tmp_path: Path, scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "case"
    save_case(folder, case_files(scan, 1), scan)
    monkeypatch.setattr(atomic_folder, "_LOCK_TIMEOUT_S", 0.1)
    with filelock.FileLock(folder / ".backfat" / "lock"):
        with pytest.raises(BackfatError, match="saving into"):
            save_case(folder, case_files(scan, 2), scan)
        with pytest.raises(BackfatError, match="saving into"):
            open_case(folder)
    assert generation_in(folder, scan) == 1


@pytest.mark.parametrize("name", ["../victim", "..", "sub/../../victim", "C:victim"])
def test_a_strange_journal_touches_nothing_outside(tmp_path: Path, scan: Scan, name: str) -> None:
    """A case folder may come from anybody."""
    folder = tmp_path / "case"
    save_case(folder, case_files(scan, 1), scan)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    manifest = json.loads((folder / "case.json").read_bytes())
    journal = {"generation": manifest["generation"], "placed": {}, "replaced": [name]}
    (folder / ".backfat" / "journal.json").write_text(json.dumps(journal))
    with pytest.raises(BackfatError, match="damaged"):
        save_case(folder, case_files(scan, 2), scan)
    assert victim.read_text() == "precious"


KILLER = """
import json, os, random, signal, sys, time
from pathlib import Path
from napari_backfat.io.session import save_case
from tests.io.cases import case_files, generation_in, make_scan

STEPS = ("replace", "fsync", "link", "unlink", "rmdir", "mkdir")
base = Path(sys.argv[1])
scan = make_scan(base / "images")
folder = base / "case"
save_case(folder, case_files(scan, 1), scan)

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def in_child(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid

def killed(pid):
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)

def dying_save(generation, at):
    count = 0
    def wrap(real):
        def step(*args, **kwargs):
            nonlocal count
            count += 1
            if count == at:
                die()
            return real(*args, **kwargs)
        return step
    for name in STEPS:
        setattr(os, name, wrap(getattr(os, name)))
    save_case(folder, case_files(scan, generation), scan)

# Death at every single step that changes the disk.
current, at, older, newer = 1, 0, 0, 0
while True:
    at += 1
    dead = killed(in_child(lambda: dying_save(at + 1, at)))
    found = generation_in(folder, scan)
    assert found in (current, at + 1), (at, found, current)
    older, newer = older + (found == current), newer + (found == at + 1)
    current = found
    if not dead:
        assert found == at + 1
        break

# Death at random moments of an endless series of saves.
seed = random.Random(0)
log = base / "log"
def save_for_ever(start):
    generation = start
    while True:
        generation += 1
        save_case(folder, case_files(scan, generation), scan)
        with log.open("a") as stream:
            stream.write(f"{generation}\\n")

kills = 0
for _ in range(30):
    log.write_text(f"{current}\\n")
    pid = in_child(lambda: save_for_ever(current))
    time.sleep(seed.uniform(0.0, 0.15))
    os.kill(pid, signal.SIGKILL)
    kills += killed(pid)
    confirmed = int(log.read_text().split()[-1])
    found = generation_in(folder, scan)
    assert found in (confirmed, confirmed + 1), (confirmed, found)
    current = found
print(json.dumps({"steps": at, "older": older, "newer": newer, "kills": kills, "saves": current}))
"""


@posix_only
@pytest.mark.slow
def test_death_of_the_process_at_any_moment_leaves_a_whole_save(tmp_path: Path) -> None:
    """A process is killed at each step that changes the disk, and 30 times at random."""
    result = subprocess.run(
        [sys.executable, "-c", KILLER, str(tmp_path)],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["steps"] > 40
    assert told["older"] > 20
    assert told["newer"] > 3
    assert told["kills"] == 30
