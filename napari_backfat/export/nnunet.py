"""Corrected cases as an nnU-Net v2 raw dataset.

The layout is nnU-Net's own (`documentation/dataset_format.md` in github.com/MIC-DKFZ/nnUNet):
``DatasetXXX_Name/{imagesTr,labelsTr,dataset.json}``, one file per channel ending in ``_0000``,
``_0001``, consecutive labels, and an ignore label, if there is one, as the highest number.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_backfat import __version__
from napari_backfat.export.collect import CollectedCase, LeftOut, Which, case_folders, collect
from napari_backfat.export.nnunet_files import (
    numbered,
    stream_image,
    write_doubt,
    write_json,
)
from napari_backfat.io.atomic import explain
from napari_backfat.io.labels import read_mask, stream_labels
from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.model.volume import Contrast

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_backfat.model.geometry import FileGrid


class Incomplete(StrEnum):
    """What to do with a case that lacks a muscle which other cases have."""

    IGNORE = "ignore"
    """Unlabelled is not background: nnU-Net's ignore label goes where that muscle may be."""
    SKIP = "skip"
    """Leave the case out."""
    BACKGROUND = "background"
    """The muscle is truly absent (cut by the field of view): its place is background."""


@dataclass(frozen=True)
class Options:
    """What `export_dataset` writes.

    Attributes
    ----------
    dataset_id : int
        1 to 999, nnU-Net's number of the dataset.
    name : str
        Letters, digits and underscores.
    channels : tuple of Contrast
        Images of each case, in the order of the channels.
    which : Which
        Cases that are wanted.
    test_share : float
        Part of the cases, 0 to below 1, that goes to ``imagesTs`` and ``labelsTs``.
    seed : int
        Decides which cases these are.
    incomplete : Incomplete
        See there.
    replace : bool
        Whether a dataset of this number and name that lies there is replaced.
    """

    dataset_id: int = 501
    name: str = "BackMuscles"
    channels: tuple[Contrast, ...] = (Contrast.WATER, Contrast.FAT)
    which: Which = Which.CORRECTED
    test_share: float = 0.0
    seed: int = 0
    incomplete: Incomplete = Incomplete.IGNORE
    replace: bool = False

    @property
    def folder_name(self) -> str:
        """nnU-Net's name of the dataset folder."""
        return f"Dataset{self.dataset_id:03d}_{self.name}"


@dataclass(frozen=True)
class ExportedCase:
    """One case of a dataset.

    Attributes
    ----------
    id : str
        Name of its files.
    folder : Path
        Where it came from; not part of the dataset.
    split : str
        "train" or "test".
    labelled : frozenset of Muscle
        Muscles that are labelled in it.
    """

    id: str
    folder: Path
    split: str
    labelled: frozenset[Muscle]


@dataclass(frozen=True)
class Exported:
    """A written dataset.

    Attributes
    ----------
    folder : Path
        Dataset folder.
    cases : tuple of ExportedCase
        What it holds.
    left_out : tuple of LeftOut
        Cases that were not taken, with the reason.
    labels : dict of str to int
        As in ``dataset.json``.
    """

    folder: Path
    cases: tuple[ExportedCase, ...]
    left_out: tuple[LeftOut, ...]
    labels: dict[str, int]


@dataclass(frozen=True)
class _Staged:
    """A case whose images are written and whose labels wait for their final numbers."""

    id: str
    folder: Path
    grid: FileGrid
    labelled: frozenset[Muscle]
    facts: dict[str, Any]


def export_dataset(
    root: str | Path, out: str | Path, options: Options | None = None
) -> Generator[Progress, None, Exported]:
    """Write the cases of a folder as a raw dataset; all of it or nothing.

    Names, paths and dates of the cases do not enter the dataset: files are called after a hash of
    the images, headers hold the grid alone.

    Parameters
    ----------
    root : str or Path
        Folder with case folders, at any depth.
    out : str or Path
        nnU-Net's ``nnUNet_raw`` folder; made if absent.
    options : Options, optional
        Number, name, channels, choice of cases.

    Yields
    ------
    Progress
        One per case.

    Returns
    -------
    Exported
        What was written and what was left out.

    Raises
    ------
    BackfatError
        If no case can be used, an option is wrong, the dataset exists, or the disk fails.
    """
    options = options or Options()
    _check(options)
    target = Path(out) / options.folder_name
    if target.exists() and not options.replace:
        raise BackfatError(
            f"{target} exists already; choose another --dataset-id, or --replace it."
        )
    partial = target.with_name(f".{target.name}.part")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        for name in ("imagesTr", "labelsTr", "staged"):
            (partial / name).mkdir(parents=True)
        staged, left_out = yield from _stage(Path(root), partial, options)
        yield Progress(0.9, "Numbering the labels")
        result = _finish(partial, target, staged, left_out, options)
        if target.exists():
            shutil.rmtree(target)
        partial.rename(target)
    except OSError as error:
        raise explain(error, target) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    yield Progress(1.0, "Done")
    return result


def _check(options: Options) -> None:
    if not 1 <= options.dataset_id <= 999:
        raise BackfatError(f"{options.dataset_id} is no dataset number; use 1 to 999.")
    if not re.fullmatch(r"[A-Za-z0-9_]+", options.name):
        raise BackfatError(
            f"'{options.name}' is no dataset name; use letters, digits and underscores."
        )
    if not options.channels or len(set(options.channels)) != len(options.channels):
        raise BackfatError("Name each channel once, for example --channels water,fat.")
    if not 0 <= options.test_share < 1:
        raise BackfatError("The share of test cases must be at least 0 and below 1.")


def _stage(
    root: Path, partial: Path, options: Options
) -> Generator[Progress, None, tuple[list[_Staged], list[LeftOut]]]:
    """Write images as they are and labels with this project's numbers."""
    count = len(case_folders(root))
    staged: list[_Staged] = []
    left_out: list[LeftOut] = []
    for i, case in enumerate(collect(root, options.which)):
        yield Progress(0.9 * i / count, f"Case {i + 1} of {count}")
        if isinstance(case, LeftOut):
            left_out.append(case)
            continue
        images = [case.scan.image(contrast) for contrast in options.channels]
        lacking = [c.value for c, v in zip(options.channels, images, strict=True) if v is None]
        if lacking:
            why = f"It has no {' and no '.join(lacking)} image."
            left_out.append(LeftOut(case.folder, why, problem=True))
            continue
        grid = case.scan.reference.file_grid
        for channel, image in enumerate(images):
            assert image is not None
            path = partial / "imagesTr" / f"{case.id}_{channel:04d}.nii.gz"
            with path.open("wb") as stream:
                stream_image(stream, image.voxels, grid)
        with (partial / "staged" / f"{case.id}.nii.gz").open("wb") as stream:
            stream_labels(stream, case.muscles, grid)
        write_doubt(case, partial / "staged" / f"{case.id}.doubt")
        staged.append(_Staged(case.id, case.folder, grid, case.labelled, _facts(case)))
    return staged, left_out


def _facts(case: CollectedCase) -> dict[str, Any]:
    return {
        "labelled": [m.name.lower() for m in sorted(case.labelled)],
        "voxels_changed_by_hand": case.changed_voxels,
        "ai_weights_sha256": case.weights_sha256,
        "muscles_sha256": hashlib.sha256(case.muscles.tobytes()).hexdigest(),
    }


def _finish(
    partial: Path,
    target: Path,
    staged: list[_Staged],
    left_out: list[LeftOut],
    options: Options,
) -> Exported:
    """Give labels their final numbers, split, and write the descriptions."""
    present = [m for m in MUSCLES if any(m in s.labelled for s in staged)]
    if options.incomplete is Incomplete.SKIP:
        whole = [s for s in staged if s.labelled == frozenset(present)]
        for s in staged:
            if s not in whole:
                lacking = ", ".join(m.display_name for m in present if m not in s.labelled)
                left_out.append(LeftOut(s.folder, f"It lacks {lacking}.", problem=False))
                for path in (partial / "imagesTr").glob(f"{s.id}_*"):
                    path.unlink()
        staged = whole
    if not staged:
        raise BackfatError(_nothing_left(left_out))
    labels = {"background": 0} | {m.name.lower(): i for i, m in enumerate(present, start=1)}
    with_doubt = options.incomplete is Incomplete.IGNORE and any(
        s.labelled != frozenset(present) for s in staged
    )
    if with_doubt:
        labels["ignore"] = len(labels)
    test = _test_ids(staged, options)
    if test:
        for name in ("imagesTs", "labelsTs"):
            (partial / name).mkdir()
    cases = []
    for s in staged:
        split = "test" if s.id in test else "train"
        folder = partial / ("labelsTs" if split == "test" else "labelsTr")
        muscles = read_mask(partial / "staged" / f"{s.id}.nii.gz", s.grid, max(Muscle)).array
        doubt = partial / "staged" / f"{s.id}.doubt"
        array = numbered(muscles, s.labelled, present, labels.get("ignore"), doubt)
        with (folder / f"{s.id}.nii.gz").open("wb") as stream:
            stream_labels(stream, array, s.grid)
        if split == "test":
            for path in (partial / "imagesTr").glob(f"{s.id}_*"):
                path.rename(partial / "imagesTs" / path.name)
        cases.append(ExportedCase(s.id, s.folder, split, s.labelled))
    shutil.rmtree(partial / "staged")
    _describe(partial, staged, cases, labels, options)
    return Exported(target, tuple(cases), tuple(left_out), labels)


def _nothing_left(left_out: list[LeftOut]) -> str:
    reasons: dict[str, int] = {}
    for case in left_out:
        reasons[case.why] = reasons.get(case.why, 0) + 1
    listed = " ".join(f"{n} x: {why}" for why, n in list(reasons.items())[:5])
    return f"No case can be used. {listed}"


def _test_ids(staged: list[_Staged], options: Options) -> set[str]:
    """Choose by hash, so that a case keeps its side as far as possible when others are added."""
    count = min(len(staged) - 1, round(options.test_share * len(staged)))
    order = sorted(s.id for s in staged)
    order.sort(key=lambda name: hashlib.sha256(f"{options.seed}|{name}".encode()).hexdigest())
    return set(order[:count])


def _describe(
    partial: Path,
    staged: list[_Staged],
    cases: list[ExportedCase],
    labels: dict[str, int],
    options: Options,
) -> None:
    dataset = {
        "channel_names": {str(i): c.value for i, c in enumerate(options.channels)},
        "labels": labels,
        "numTraining": sum(c.split == "train" for c in cases),
        "file_ending": ".nii.gz",
        # Left and right are labels: every file must be turned to one orientation by its affine.
        "overwrite_image_reader_writer": "NibabelIOWithReorient",
        "name": options.name,
        "description": "Paraspinal muscles on MRI, corrected by a reader in napari-backfat. "
        "Research use only.",
        "converted_by": f"napari-backfat {__version__}",
    }
    write_json(partial / "dataset.json", dataset)
    write_json(partial / "label_map.json", _label_map(labels, options))
    splits = {c.id: c.split for c in cases}
    facts = {s.id: {"split": splits[s.id], **s.facts} for s in staged}
    record = {"seed": options.seed, "incomplete": options.incomplete.value, "cases": facts}
    write_json(partial / "backfat_export.json", record)


def _label_map(labels: dict[str, int], options: Options) -> dict[str, Any]:
    """Say what a model trained on the dataset will answer, in this program's own form."""
    numbers = {labels[m.name.lower()]: m for m in MUSCLES if m.name.lower() in labels}
    return {
        "name": f"nnU-Net trained on {options.folder_name}",
        "source": f"{options.folder_name}/dataset.json",
        "labels": {
            str(n): {"muscle": m.group.value, "side": m.side.value} for n, m in numbers.items()
        },
        "channels": [[c.value] for c in options.channels],
    }
