"""All files of an export, or none: also when something breaks in the middle."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest

from napari_backfat.export import staging as module
from napari_backfat.export.staging import Staging
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from pathlib import Path


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_files_appear_together(tmp_path: Path) -> None:
    with Staging(tmp_path / "new" / "out") as staging:
        staging.write("a.txt", b"a")
        staging.section("deep").write("b.txt", lambda stream: stream.write(b"b") and None)
        assert not (tmp_path / "new" / "out" / "a.txt").exists()
    assert everything(tmp_path) == {"new/out/a.txt": b"a", "new/out/deep/b.txt": b"b"}


def write_all(folder: Path, names: tuple[str, ...], *, overwrite: bool = False) -> None:
    with Staging(folder, overwrite=overwrite) as staging:
        for name in names:
            staging.write(name, b"new")


def stop_halfway(folder: Path) -> None:
    with Staging(folder) as staging:
        staging.write("a.txt", b"a")
        raise RuntimeError("stop")


def test_an_error_in_the_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        stop_halfway(tmp_path / "new" / "out")
    assert list(tmp_path.iterdir()) == []


def test_existing_files_are_in_the_way_unless_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"old")
    with pytest.raises(BackfatError, match="--overwrite"):
        write_all(tmp_path, ("b.txt", "a.txt"))
    assert everything(tmp_path) == {"a.txt": b"old"}
    with Staging(tmp_path, overwrite=True) as staging:
        staging.write("a.txt", b"new")
    assert everything(tmp_path) == {"a.txt": b"new"}


@pytest.mark.parametrize("failing", range(1, 6))
def test_a_failed_rename_puts_everything_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    for name in ("a", "c"):
        (tmp_path / name).write_bytes(b"old")
    calls = 0
    real = module.replace

    def replace(source: Any, target: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError(errno.ENOSPC, "full")
        real(source, target)

    monkeypatch.setattr(module, "replace", replace)
    with pytest.raises(BackfatError, match="disk is full"):
        write_all(tmp_path, ("a", "b/x", "c"), overwrite=True)
    assert everything(tmp_path) == {"a": b"old", "c": b"old"}
    assert not (tmp_path / "b").exists()


def test_paths_cannot_leave_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="below"):
        write_all(tmp_path / "out", ("../escape",))
    assert list(tmp_path.iterdir()) == []
