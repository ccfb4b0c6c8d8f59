"""What every image of a Dixon set shows: headers, sidecars, names and intensities together."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.io.dicom_open import is_dicom, one_series, series_at
from napari_backfat.io.dicom_role import role_of
from napari_backfat.io.naming import guess_contrast
from napari_backfat.io.roles_intensity import intensity_evidence
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast, Volume

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_ENDINGS = (".nii.gz", ".nii")
_WEIGHTS = {"header": 6.0, "description": 3.0, "name": 3.0, "echo time": 1.5}
_CHEMICAL_SHIFT_HZ_PER_T = 3.4 * 42.577  # water to the main fat peak, 3.4 ppm


class Role(StrEnum):
    """What an image of a Dixon set can be."""

    WATER = "water"
    FAT = "fat"
    IN_PHASE = "in-phase"
    OPPOSED_PHASE = "opposed-phase"
    FAT_FRACTION = "fat fraction"
    PDFF = "PDFF (multi-echo)"
    WATER_FRACTION = "water fraction"
    R2_STAR = "R2* map"
    T2_STAR = "T2* map"
    FIELD_MAP = "field map"
    PHASE = "phase image"
    T1W = "T1-weighted"
    T2W = "T2-weighted"
    UNKNOWN = "not used"

    @property
    def contrast(self) -> Contrast:
        """What it is called where images are measured; UNKNOWN for maps that are not."""
        return _CONTRASTS.get(self, Contrast.UNKNOWN)


_CONTRASTS = {
    Role.WATER: Contrast.WATER, Role.FAT: Contrast.FAT, Role.IN_PHASE: Contrast.IN_PHASE,
    Role.OPPOSED_PHASE: Contrast.OPPOSED_PHASE, Role.FAT_FRACTION: Contrast.FAT_FRACTION,
    Role.PDFF: Contrast.PDFF, Role.T1W: Contrast.T1W, Role.T2W: Contrast.T2W,
}  # fmt: skip
_OF_CONTRAST = {contrast: role for role, contrast in _CONTRASTS.items()}
_OF_MAP = {
    "fat fraction map": Role.FAT_FRACTION, "water fraction map": Role.WATER_FRACTION,
    "T2* map": Role.T2_STAR, "R2* map": Role.R2_STAR, "field map": Role.FIELD_MAP,
    "phase image": Role.PHASE,
}  # fmt: skip
_IN_NAMES = (  # first match wins: a fat fraction is not a fat image
    (r"water[ _-]?(fraction|frac|percent|pct)", Role.WATER_FRACTION),
    (r"(fat[ _-]?(fraction|frac|percent|pct|perc)|pdff|fatfraction)", Role.FAT_FRACTION),
    (r"(^|[^a-z0-9])(ff|fsf)($|[^a-z0-9])", Role.FAT_FRACTION),
    (r"(r2[ _-]?star|r2\*|r2starmap)", Role.R2_STAR),
    (r"(t2[ _-]?star|t2\*)[ _-]?(map)?", Role.T2_STAR),
    (r"(field[ _-]?map|b0[ _-]?map|(^|[^a-z0-9])b0($|[^a-z0-9]))", Role.FIELD_MAP),
    (r"(^|[^a-z])(pha|phase)($|[^a-z])", Role.PHASE),
)
_NOT_PHASE = re.compile(r"(in|out|opp(osed)?|out[ _-]?of)[ _-]?phase", re.IGNORECASE)
_MULTI_ECHO = re.compile(
    r"(pdff|ideal[ _-]?iq|mdixon[ _-]?quant|q-?dixon|liverlab|multi[ _-]?echo|"
    r"[3-9][ _-]?(pt|point|echo)|me[ _-]?dixon)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class RoleGuess:
    """What one image seems to show.

    Attributes
    ----------
    path : str
        The image as it was named.
    role : Role
        The likeliest role; UNKNOWN if nothing speaks for any.
    confidence : float
        0..1: the share of this role in the weighed evidence. A rule of thumb, not a probability
        that was measured.
    evidence : tuple of str
        What speaks for it and against it, in short sentences.
    multi_echo : str
        Why a fat fraction may be called PDFF; empty if nothing but perhaps its name says so.
    scores : dict of Role to float
        The weighed evidence.
    """

    path: str
    role: Role
    confidence: float
    evidence: tuple[str, ...]
    multi_echo: str = ""
    scores: dict[Role, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for provenance.json."""
        return {
            "image": Path(self.path).name,
            "role": str(self.role),
            "confidence": round(self.confidence, 3),
            "evidence": list(self.evidence),
        }


def find_roles(
    paths: Sequence[str | Path], volumes: Sequence[Volume] | None = None
) -> tuple[RoleGuess, ...]:
    """Guess what each image of a Dixon set shows.

    Parameters
    ----------
    paths : sequence of str or Path
        NIfTI files (a BIDS sidecar beside them is read), or DICOM folders and addresses.
    volumes : sequence of Volume, optional
        The same images, read; with them the intensities are weighed too.

    Returns
    -------
    tuple of RoleGuess
        One for each path, in order. No role is forced: two images may claim the same one.

    Raises
    ------
    BackfatError
        If a DICOM path does not name one series.
    """
    read = [_said(Path(p)) for p in paths]
    seen = intensity_evidence(volumes) if volumes is not None else [[] for _ in paths]
    guesses = []
    for path, (pieces, multi), shown in zip(paths, read, seen, strict=True):
        found = [*pieces, *((Role(name), weight, text) for name, weight, text in shown)]
        scores: dict[Role, float] = {}
        for role, weight, _ in found:
            scores[role] = scores.get(role, 0.0) + weight
        best = max(scores, key=lambda role: scores[role], default=Role.UNKNOWN)
        if scores.get(best, 0.0) <= 0:
            best = Role.UNKNOWN
        # The empty hypothesis has weight exp(1): one weak hint alone stays below one half.
        total = math.e + sum(math.exp(s) for s in scores.values())
        confidence = math.exp(scores[best]) / total if best is not Role.UNKNOWN else 0.0
        if best is Role.FAT_FRACTION and multi:
            best = Role.PDFF
        texts = tuple(f"{text} ({'for' if w > 0 else 'against'} {r})" for r, w, text in found)
        guesses.append(RoleGuess(str(path), best, confidence, texts, multi, scores))
    return tuple(guesses)


def said_role(path: str | Path) -> tuple[Role, str, str]:
    """Return role, evidence and multi-echo reason by header, sidecar and name; not by intensity."""
    guess = find_roles([path])[0]
    return guess.role, "; ".join(guess.evidence), guess.multi_echo


def read_sidecar(path: Path) -> dict[str, Any]:
    """Return the JSON beside a NIfTI image; empty if there is none that can be read."""
    for ending in _ENDINGS:
        if path.name.lower().endswith(ending):
            beside = path.with_name(path.name[: -len(ending)] + ".json")
            try:
                found = json.loads(beside.read_bytes())
            except (OSError, ValueError):
                return {}
            return found if isinstance(found, dict) else {}
    return {}


def thumbnail(volume: Volume, size: int = 96) -> NDArray[np.uint8]:
    """Return the middle slice as a grey picture, at most `size` voxels wide and high, uint8."""
    plane = volume.voxels[volume.voxels.shape[0] // 2]
    step = max(1, -(-max(plane.shape) // size))
    plane = plane[::step, ::step]
    low, high = (float(v) for v in np.percentile(plane, (1, 99)))
    scaled = (plane - low) / (high - low if high > low else 1.0)
    return np.ascontiguousarray(255 * np.clip(scaled, 0, 1), dtype=np.uint8)


def _said(path: Path) -> tuple[list[tuple[Role, float, str]], str]:
    """Return weighed evidence of header or sidecar and name, and why it is multi-echo."""
    pieces: list[tuple[Role, float, str]] = []
    multi = ""
    if is_dicom(path):
        info = one_series(series_at(path))
        role = _OF_MAP.get(info.map_name) or _OF_CONTRAST.get(info.role)
        if role is not None:
            header = "Image Type" in info.evidence
            pieces.append((role, _WEIGHTS["header" if header else "description"], info.evidence))
        multi = _multi_echo(info.description, {})
    else:
        sidecar = read_sidecar(path)
        described = " ".join(
            str(sidecar.get(k, "")) for k in ("SeriesDescription", "ProtocolName", "SequenceName")
        ).strip()
        types = sidecar.get("ImageType")
        if isinstance(types, list):
            upper = tuple(str(t).upper() for t in types)
            # Converters leave out or repeat the first two values, which say nothing here.
            padded = upper if upper[:1] in (("ORIGINAL",), ("DERIVED",)) else ("", "", *upper)
            contrast, evidence, map_name = role_of(padded, "")
            role = _OF_MAP.get(map_name) or _OF_CONTRAST.get(contrast)
            if role is not None:
                pieces.append((role, _WEIGHTS["header"], f"sidecar {evidence}"))
        if described and (role := _role_in(described)) is not None:
            pieces.append((role, _WEIGHTS["description"], f'sidecar description "{described}"'))
        pieces += _echo(sidecar)
        multi = _multi_echo(described, sidecar)
    if (role := _role_in(path.name)) is not None:
        pieces.append((role, _WEIGHTS["name"], f'file name "{path.name}"'))
    return pieces, multi


def _role_in(text: str) -> Role | None:
    lower = _NOT_PHASE.sub("", text.lower())
    for pattern, role in _IN_NAMES:
        if re.search(pattern, lower):
            return role
    return _OF_CONTRAST.get(guess_contrast(text.replace("/", "_").replace(".", "_", 0)))


def _multi_echo(described: str, sidecar: dict[str, Any]) -> str:
    echoes = sidecar.get("EchoTimes", sidecar.get("NumberOfEchoes", sidecar.get("EchoTrainLength")))
    key = next((k for k in ("EchoTimes", "NumberOfEchoes") if k in sidecar), "")
    number = len(echoes) if isinstance(echoes, list) else echoes
    if key and isinstance(number, int | float) and number >= 3:
        return f"the sidecar names {int(number)} echoes ({key})"
    if found := _MULTI_ECHO.search(described):
        return f'the header\'s description says "{found.group(0)}"'
    return ""


def _echo(sidecar: dict[str, Any]) -> list[tuple[Role, float, str]]:
    """Return what the echo time says of in- and opposed-phase; nothing for computed images."""
    te, field_t = sidecar.get("EchoTime"), sidecar.get("MagneticFieldStrength")
    if not isinstance(te, int | float) or not isinstance(field_t, int | float) or te <= 0:
        return []
    if not 0.2 <= field_t <= 12 or te > 0.02:
        return []
    turns = te * _CHEMICAL_SHIFT_HZ_PER_T * field_t
    off = abs(turns - round(turns))
    role = Role.IN_PHASE if off < 0.15 else Role.OPPOSED_PHASE if off > 0.35 else None
    if role is None:
        return []
    text = f"echo time {1000 * te:.2f} ms at {field_t:g} T is {role}"
    return [(role, _WEIGHTS["echo time"], text)]


def checked(guesses: Sequence[RoleGuess]) -> None:
    """Raise `BackfatError` if the roles make no scan that can be measured; see `scan_kind`."""
    if not scan_kind([g.role for g in guesses]):
        raise BackfatError(
            "These roles make no scan: choose one water and one fat image, or a fat fraction map, "
            "or one in-phase and one opposed-phase image."
        )


def scan_kind(roles: Sequence[Role]) -> str:
    """Return what a set of roles makes: "fat fraction", "water and fat", "echoes", or "" (nothing).

    A role that counts must be there once.
    """

    def once(*wanted: Role) -> bool:
        return sum(r in wanted for r in roles) == 1

    if once(Role.FAT_FRACTION, Role.PDFF):
        return "fat fraction"
    if once(Role.WATER) and once(Role.FAT):
        return "water and fat"
    if once(Role.IN_PHASE) and once(Role.OPPOSED_PHASE):
        return "echoes"
    return ""
