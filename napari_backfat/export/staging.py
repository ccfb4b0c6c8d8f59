"""Write several files of an export together: all of them, or none."""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Self

from napari_backfat.io.atomic import Content as Bytes
from napari_backfat.io.atomic import explain, flush_folder, replace, write_and_flush
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from types import TracebackType


class FilesExist(BackfatError):
    """A file of an export is there already and may not be replaced; nothing was written.

    Parameters
    ----------
    path : Path
        The first such file.

    Attributes
    ----------
    path : Path
        As given.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} exists already; choose another folder, or allow it to be replaced "
            "(--overwrite)."
        )
        self.path = path


class Staging:
    """A folder that receives files all at once, as a context manager.

    Files are written to a hidden folder beside their destination and renamed into place when the
    block ends normally. After an exception, in the block or during the renaming, the folder holds
    what it held before, and no folder that was made for the export is left.

    Parameters
    ----------
    folder : str or Path
        Where the files go; made if absent.
    overwrite : bool, optional
        Whether files of the same name are replaced; if not, they are an error.

    Raises
    ------
    BackfatError
        If the folder cannot be written, or a file is in the way.
    """

    def __init__(self, folder: str | Path, *, overwrite: bool = False) -> None:
        self.folder = Path(folder)
        self._overwrite = overwrite
        self._hidden = self.folder / f".backfat-export-{uuid.uuid4().hex[:8]}"
        self._names: list[PurePosixPath] = []
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        """Make the folder and the hidden one in it."""
        try:
            self._make(self.folder)
            self._hidden.mkdir()
        except OSError as error:
            self._undo_folders()
            raise explain(error, self.folder) from error
        return self

    def write(self, name: str, content: Bytes) -> None:
        """Stage one file.

        Parameters
        ----------
        name : str
            Path below the folder, with forward slashes.
        content : bytes or callable
            The bytes, or a function that writes them to the open binary file it is given.

        Raises
        ------
        FilesExist
            If a file of this name is there and may not be replaced.
        BackfatError
            If the disk is full or cannot be written.
        """
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts or relative in self._names:
            raise ValueError(f"{name} is no new path below the folder")
        target = self.folder / relative
        if target.exists() and not self._overwrite:
            raise FilesExist(target)
        staged = self._hidden / relative
        try:
            staged.parent.mkdir(parents=True, exist_ok=True)
            write_and_flush(staged, content)
        except OSError as error:
            raise explain(error, target) from error
        self._names.append(relative)

    def has(self, name: str) -> bool:
        """Whether a file was staged, or stands in the folder from before."""
        return PurePosixPath(name) in self._names or (self.folder / name).exists()

    def section(self, name: str = "") -> Section:
        """Return a view of a folder below this one; the empty name is this one."""
        return Section(self, name)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where the files go, in the order in which they were staged."""
        return tuple(self.folder / name for name in self._names)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Rename everything into place, or remove everything."""
        done = False
        try:
            if kind is None:
                self._commit()
                done = True
        except OSError as os_error:
            raise explain(os_error, self.folder) from os_error
        finally:
            shutil.rmtree(self._hidden, ignore_errors=True)
            if not done:
                self._undo_folders()

    def _commit(self) -> None:
        former = self._hidden / ".former"
        placed: list[PurePosixPath] = []
        try:
            for name in self._names:
                target = self.folder / name
                self._make(target.parent)
                if target.exists():
                    (former / name).parent.mkdir(parents=True, exist_ok=True)
                    replace(target, former / name)
                placed.append(name)
                replace(self._hidden / name, target)
        except BaseException:
            for name in placed:
                with suppress(OSError):
                    (self.folder / name).unlink(missing_ok=True)
                if (former / name).exists():
                    with suppress(OSError):
                        os.replace(former / name, self.folder / name)
            raise
        for folder in {(self.folder / n).parent for n in self._names}:
            with suppress(OSError):  # the renames have happened
                flush_folder(folder)

    def _make(self, folder: Path) -> None:
        missing = [p for p in (folder, *folder.parents) if not p.exists()]
        for path in reversed(missing):
            path.mkdir()
            self._made.append(path)

    def _undo_folders(self) -> None:
        for path in reversed(self._made):
            with suppress(OSError):  # not empty: somebody else uses it
                path.rmdir()


class Section:
    """A folder below a `Staging`, with the same way of writing.

    Parameters
    ----------
    staging : Staging
        What the files go through.
    name : str
        Path below its folder; empty for the folder itself.
    """

    def __init__(self, staging: Staging, name: str) -> None:
        self._staging = staging
        self._prefix = f"{name}/" if name else ""
        self.folder = staging.folder / name

    def write(self, name: str, content: Bytes) -> None:
        """Stage one file; see `Staging.write`."""
        self._staging.write(self._prefix + name, content)

    def has(self, name: str) -> bool:
        """Whether a file was staged, or stands in the folder from before."""
        return self._staging.has(self._prefix + name)
