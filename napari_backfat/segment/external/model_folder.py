"""What a folder of weights holds, under which terms, and its hash."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.segment.external.manifest import Licence

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from napari_backfat.segment.external.label_map import LabelMap

_LICENCE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "License.txt")
_LONGEST_LICENCE = 200_000
_BLOCK = 4 << 20
NO_LICENCE = Licence(
    name="unknown",
    text="This folder does not say under which licence its weights may be used. Ask those who "
    "made them before you use or publish results.",
)


@dataclass(frozen=True)
class ModelFolder:
    """What a folder holds; made by `inspect_folder`, which runs nothing of it.

    Attributes
    ----------
    path : Path
        The folder.
    kind : str
        "nnunet", "torchscript", "onnx" or "musclemap".
    name, version : str
        For people; the version may be empty.
    licence : Licence
        With its whole text.
    files : tuple of str
        Names of the files that decide the result, relative to the folder; these are hashed.
    promised : str or None
        Hash that a manifest promises.
    label_map : LabelMap
        Meaning of the model's numbers.
    label_map_from : str
        Where it was found, for people.
    details : dict
        What the kind needs to run: `manifest`, or `folds` and `checkpoint` and so on.
    """

    path: Path
    kind: str
    name: str
    version: str
    licence: Licence
    files: tuple[str, ...]
    promised: str | None
    label_map: LabelMap
    label_map_from: str
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}".strip()


def fingerprint(model: ModelFolder) -> Generator[Progress, None, str]:
    """Hash the weights; yields `Progress` between blocks, returns sha256 as 64 digits.

    One file: its own sha256. Several: the sha256 of one line "<sha256>  <name>" for each, sorted by
    name, which is what ``sha256sum`` prints for them.

    Raises
    ------
    BackfatError
        If a file cannot be read, or a manifest promises another hash.
    """
    total = sum((model.path / name).stat().st_size for name in model.files) or 1
    done, lines = 0, []
    for name in sorted(model.files):
        digest = hashlib.sha256()
        try:
            with (model.path / name).open("rb") as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
                    done += len(block)
                    yield Progress(min(1.0, done / total), "Checking the weights")
        except OSError as error:
            raise BackfatError(f"{model.path / name} could not be read: {error}.") from error
        lines.append(f"{digest.hexdigest()}  {name}\n")
    if len(lines) == 1:
        found = lines[0][:64]
    else:
        found = hashlib.sha256("".join(lines).encode()).hexdigest()
    if model.promised is not None and found != model.promised:
        raise BackfatError(
            f"The weights {model.files[0]} of {model.name} are damaged or were replaced: their "
            f"hash is {found[:12]}, the manifest promises {model.promised[:12]}."
        )
    return found


def licence_of(path: Path, quoted: str) -> Licence:
    """Find a licence file at or above a folder of weights, or say what a label map quotes.

    Parameters
    ----------
    path : Path
        Folder of the weights.
    quoted : str
        Licence as a label map names it; may be empty.
    """
    for folder in (path, path.parent, path.parent.parent):
        for name in _LICENCE_FILES:
            if (folder / name).is_file():
                text = read_licence(folder / name)
                first = next((line.strip() for line in text.splitlines() if line.strip()), name)
                return Licence(name=first[:60], text=text)
    if quoted:
        text = f"No licence file lies beside these weights. The label map quotes: {quoted}."
        return Licence(name=quoted.split(" (")[0], text=text)
    return NO_LICENCE


def read_licence(path: Path) -> str:
    """Read a licence text, cut at 200 000 characters; raises BackfatError if that fails."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:_LONGEST_LICENCE]
    except OSError as error:
        raise BackfatError(f"The licence {path} could not be read: {error.strerror}.") from error
