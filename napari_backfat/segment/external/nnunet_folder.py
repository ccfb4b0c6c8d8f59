"""What an nnU-Net v2 training folder holds and how it is run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.external.label_map import (
    LabelMap,
    fits,
    read_document,
    read_label_map,
    ready_made,
)
from napari_backfat.segment.external.model_folder import ModelFolder, licence_of
from napari_backfat.segment.external.orientation import check_codes

if TYPE_CHECKING:
    from pathlib import Path

LABELS = ("backfat-labels.toml", "backfat-labels.json")
"""A label map of this name inside a folder is used without being asked for."""
CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")


class LabelsUnclear(BackfatError):
    """Nothing in the folder says which numbers are which muscles; a label map answers it."""


def nnunet_inside(path: Path) -> Path | None:
    """Return the nnU-Net training folder at or up to two levels below a path; None without one."""
    patterns = ("", "*/", "*/*/")
    for pattern in patterns:
        plans = path.glob(f"{pattern}plans.json")
        found = sorted({p.parent for p in plans if _is_nnunet(p.parent)})
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(str(p.relative_to(path)) for p in found)
            raise BackfatError(f"{path} holds several nnU-Net models; choose one of {names}.")
    return None


def _is_nnunet(path: Path) -> bool:
    return (path / "dataset.json").is_file() and any(path.glob("fold_*/checkpoint_*.pth"))


def nnunet_folder(path: Path, label_map: str | Path | None) -> ModelFolder:
    """Describe a training folder; arguments and errors as in `inspect_folder`."""
    dataset, plans = read_document(path / "dataset.json"), read_document(path / "plans.json")
    try:
        names = {
            int(number): str(name)
            for name, number in dataset["labels"].items()
            if not isinstance(number, list)
        }
        channels = len(dataset.get("channel_names") or dataset["modality"])
        ending = str(dataset.get("file_ending", ".nii.gz"))
        title = str(plans.get("dataset_name") or dataset.get("name") or path.parent.name)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BackfatError(f"dataset.json or plans.json in {path} is not nnU-Net v2's.") from error
    if ending not in (".nii.gz", ".nii"):
        raise BackfatError(f"This nnU-Net reads {ending}; only .nii.gz and .nii can be given.")
    checkpoint = next((c for c in CHECKPOINTS if any(path.glob(f"fold_*/{c}"))), None)
    if checkpoint is None:
        raise BackfatError(f"{path} has no finished training (no {CHECKPOINTS[0]} in any fold).")
    meaning, where = _nnunet_labels(path, label_map, names)
    if len(meaning.channels) != channels:
        if len(meaning.channels) != 1 or channels == 1:
            raise BackfatError(
                f"This nnU-Net takes {channels} images, the label map {meaning.name} describes "
                f"{len(meaning.channels)}; write one with 'channels' for each."
            )
        raise BackfatError(
            f"This nnU-Net takes {channels} images; its label map must say with 'channels' which "
            "contrast each one is."
        )
    there = sorted(p.parent.name.removeprefix("fold_") for p in path.glob(f"fold_*/{checkpoint}"))
    wanted = meaning.nnunet.folds
    folds = tuple(there) if wanted is None else wanted
    if not set(folds) <= set(there):
        raise BackfatError(
            f"The label map asks for the folds {', '.join(folds)}; {path} has {', '.join(there)}."
        )
    orientation = meaning.orientation or _stated_orientation(path, dataset)
    files = ["dataset.json", "plans.json", *(f"fold_{f}/{checkpoint}" for f in folds)]
    return ModelFolder(
        path,
        "nnunet",
        meaning.name if where.startswith("ready-made") else title,
        "" if not where.startswith("ready-made") else f"({title})",
        licence_of(path, meaning.licence),
        tuple(files),
        None,
        meaning,
        where,
        {
            "folds": folds,
            "checkpoint": checkpoint,
            "ending": ending,
            "orientation": orientation or "RAS",
        },
    )


def _nnunet_labels(
    path: Path, label_map: str | Path | None, names: dict[int, str]
) -> tuple[LabelMap, str]:
    """Return the label map to use and where it is from."""
    if label_map is not None:
        found = read_label_map(label_map)
        missing = sorted(set(found.labels) - set(names))
        if missing:
            raise BackfatError(
                f"The label map {found.name} names the label {missing[0]}, which this model does "
                f"not have; its dataset.json lists {_listed(names)}."
            )
        where = "ready-made" if str(label_map) in ready_made() else str(label_map)
        doubtful = "" if fits(found, names) else ", names in dataset.json differ"
        return found, where + doubtful
    for name in LABELS:
        if (path / name).is_file():
            return _nnunet_labels(path, path / name, names)
    matching = [n for n in ready_made() if fits(read_label_map(n), names)]
    if len(matching) == 1:
        return read_label_map(matching[0]), f"ready-made '{matching[0]}', by names in dataset.json"
    raise LabelsUnclear(
        f"It is not clear which labels of {path.name} are which muscles. Its dataset.json lists "
        f"{_listed(names)}. Give a ready-made label map ({', '.join(ready_made())}) or a file of "
        f"your own, or put it into the folder as {LABELS[0]} (docs/models.md)."
    )


def _listed(names: dict[int, str]) -> str:
    shown = [f"{n} {name}" for n, name in sorted(names.items()) if n > 0]
    return ", ".join(shown[:12]) + (f" and {len(shown) - 12} more" if len(shown) > 12 else "")


def _stated_orientation(path: Path, dataset: dict[str, Any]) -> str | None:
    """Return the orientation that VIBESegmentator's and related folders state themselves."""
    stated: Any = dataset.get("orientation")
    config = path / "inference_config.json"
    if config.is_file():
        stated = read_document(config).get("model_expected_orientation") or stated
    if stated is None:
        return None
    codes = "".join(stated).upper()
    try:
        return check_codes(codes)
    except ValueError as error:
        raise BackfatError(f"{path} states the orientation '{stated}', which is none.") from error
