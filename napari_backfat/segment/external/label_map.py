"""Which number of a model means which muscle: label maps, ready-made and brought along."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from napari_backfat.model.anatomy import Muscle, MuscleGroup, Side, muscle_of
from napari_backfat.model.combined import COMBINED
from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.external.orientation import check_codes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

READY_MADE = Path(__file__).parents[1] / "label_maps"
ANY = "any"
_CONTRASTS = (ANY, "water", "fat", "in", "opposed", "t1w", "t2w", "unknown")
_STEMS = {
    "multifidus": ("multifid",),
    "erector spinae": ("erector",),
    "psoas major": ("psoas",),
    "quadratus lumborum": ("quadratus_lumb", "quadratus lumb", "ql"),
    "autochthon": ("autochthon",),
    "iliopsoas": ("iliopsoas",),
}


class Record(BaseModel):
    """Base of all parts of a file: frozen, and an unknown key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Label(Record):
    """What one number of a model means.

    Attributes
    ----------
    muscle : str
        A muscle of this program, or a combined class ("autochthon", "iliopsoas").
    side : {"left", "right", "both"}
        The patient's side; "both" is divided at the midline.
    name : str
        The model's own name for it, as its authors write it.
    """

    muscle: Literal[
        "multifidus",
        "erector spinae",
        "psoas major",
        "quadratus lumborum",
        "autochthon",
        "iliopsoas",
    ]
    side: Literal["left", "right", "both"]
    name: str = ""

    @property
    def group(self) -> MuscleGroup:
        """The muscle whose label it gets."""
        combined = COMBINED.get(self.muscle)
        return combined.label if combined is not None else MuscleGroup(self.muscle)

    @property
    def target(self) -> Muscle | None:
        """Label of this program; None for "both"."""
        return None if self.side == "both" else muscle_of(self.group, Side(self.side))


def _some_labels(labels: dict[int, Label]) -> dict[int, Label]:
    if not labels or min(labels) < 1:
        raise ValueError("labels must name at least one muscle, with numbers from 1")
    return labels


def _known_contrasts(channels: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    wrong = [c for channel in channels for c in channel if c not in _CONTRASTS]
    if wrong or not channels or not all(channels):
        raise ValueError(f"channels take {', '.join(_CONTRASTS)}; got {wrong or channels}")
    return channels


Labels = Annotated[dict[int, Label], AfterValidator(_some_labels)]
Channels = Annotated[tuple[tuple[str, ...], ...], AfterValidator(_known_contrasts)]
Codes = Annotated[str, AfterValidator(check_codes)]


class NnunetOptions(Record):
    """How an nnU-Net is run; the defaults are nnU-Net's own.

    Attributes
    ----------
    folds : tuple of str, optional
        Folds to average, for example ("0",) for a fast look; all that are there when None.
    mirroring : bool
        Average over mirrored copies, where the training allows it.
    step_size : float
        Overlap of the windows: each is this share of a window away from the next.
    """

    folds: tuple[str, ...] | None = None
    mirroring: bool = True
    step_size: float = Field(default=0.5, gt=0, le=1)


class LabelMap(Record):
    """The meaning of a model's output, and what it takes as input.

    Attributes
    ----------
    name : str
        Which model it is for.
    source : str
        Where the label numbers were read, so that anybody can check them.
    licence : str
        Licence of the weights as their authors state it; empty if unknown.
    labels : dict of int to Label
        Numbers that are not named here are not muscles of this program and become background.
    channels : tuple of tuple of str
        For each input channel the contrasts it accepts, best first; "any" accepts every image.
    orientation : str, optional
        Directions in which the axes of the image file grow (nibabel's letters, such as "RAS"),
        as in the model's training; None keeps "RAS".
    nnunet : NnunetOptions
        Only for nnU-Net folders.
    remark : str
        What a user must know, for people.
    """

    name: str
    source: str = ""
    licence: str = ""
    labels: Labels
    channels: Channels = ((ANY,),)
    orientation: Codes | None = None
    nnunet: NnunetOptions = NnunetOptions()
    remark: str = ""

    @property
    def combined(self) -> tuple[str, ...]:
        """Keys of `COMBINED` that occur."""
        return tuple(sorted({v.muscle for v in self.labels.values() if v.muscle in COMBINED}))

    @property
    def groups(self) -> frozenset[MuscleGroup]:
        """Muscles this model outlines, alone or inside a combined class."""
        hidden = {g for key in self.combined for g in COMBINED[key].hidden}
        return frozenset({v.group for v in self.labels.values()} | hidden)

    def lookup(self, largest: int) -> NDArray[np.uint8]:
        """Table from the model's numbers to `Muscle` ids; "both" stays 0.

        Parameters
        ----------
        largest : int
            Largest number the table must hold.

        Returns
        -------
        ndarray, shape (max(largest, largest label) + 1,), uint8
        """
        table = np.zeros(max(largest, *self.labels) + 1, dtype=np.uint8)
        for number, label in self.labels.items():
            if label.target is not None:
                table[number] = label.target
        return table


def parse_record(record: type[Any], raw: Any, called: str) -> Any:
    """Check a record that was read from a file; the error names the first place that is wrong."""
    try:
        return record.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BackfatError(f"{called} is not valid: {where}: {first['msg']}.") from error


def read_document(path: Path) -> Any:
    """Read a TOML or JSON file; raises BackfatError with its name if that fails."""
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except OSError as error:
        raise BackfatError(f"{path} could not be read: {error.strerror}.") from error
    except ValueError as error:
        raise BackfatError(f"{path} is not valid {path.suffix[1:].upper()}: {error}.") from error


def ready_made() -> dict[str, Path]:
    """Names and files of the label maps that come along."""
    return {path.stem: path for path in sorted(READY_MADE.glob("*.toml"))}


def read_label_map(which: str | Path) -> LabelMap:
    """Read a label map.

    Parameters
    ----------
    which : str or Path
        A ready-made one by name (see `ready_made`), or a TOML or JSON file.

    Raises
    ------
    BackfatError
        If there is no such map or it is not valid.
    """
    known = ready_made()
    path = known.get(str(which), Path(which))
    if not path.is_file():
        raise BackfatError(
            f"There is no label map '{which}'. Give one of {', '.join(known)}, or a TOML or JSON "
            "file as docs/models.md describes."
        )
    found: LabelMap = parse_record(LabelMap, read_document(path), f"The label map {path.name}")
    return found


def agrees(label: Label, name: str) -> bool:
    """Whether a name in a model's own files can mean this label: same muscle and same side.

    Parameters
    ----------
    label : Label
        From a label map.
    name : str
        For example "left_autochthonous_muscle" or "Erector spinae".
    """
    text = name.lower().replace("-", "_")
    if not any(stem in text for stem in _STEMS[label.muscle]):
        return False
    if label.muscle == "psoas major" and "iliopsoas" in text:
        return False
    words = re.split(r"[^a-z]+", text)
    left, right = {"left", "l", "lt"} & set(words), {"right", "r", "rt"} & set(words)
    sides = {"left": (True, False), "right": (False, True), "both": (False, False)}
    return (bool(left), bool(right)) == sides[label.side]


def fits(label_map: LabelMap, names: Mapping[int, str]) -> bool:
    """Whether every label of a map stands under its number in a model's own list of names."""
    return all(n in names and agrees(label, names[n]) for n, label in label_map.labels.items())
