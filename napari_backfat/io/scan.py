"""Open the image files of one scan: the entry point of the window, the reader and the commands."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from napari_backfat.io.archive import is_zip, unpacked
from napari_backfat.io.dicom import read_series
from napari_backfat.io.dicom_open import choose_series, is_dicom, role_at, series_at
from napari_backfat.io.dicom_series import split_address
from napari_backfat.io.dixon_inputs import from_echoes, from_fraction
from napari_backfat.io.formats import read_image
from napari_backfat.io.naming import guess_contrast
from napari_backfat.io.pairing import pair_loaded
from napari_backfat.io.roles import Role, said_role, scan_kind
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast, Scan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_backfat.io.dicom_series import SeriesInfo
    from napari_backfat.io.nifti import Loaded


_FRACTIONS = (Contrast.FAT_FRACTION, Contrast.PDFF)
_COMPANIONS = (
    Contrast.IN_PHASE, Contrast.WATER, Contrast.T2W, Contrast.T1W, Contrast.FAT,
    Contrast.OPPOSED_PHASE,
)  # fmt: skip


class RolesNeeded(BackfatError):
    """Several images were given, and their roles make no scan or are not all clear.

    Attributes
    ----------
    paths : tuple of str
        The images.
    """

    def __init__(self, message: str, paths: Sequence[str | Path] = ()) -> None:
        super().__init__(message)
        self.paths = tuple(str(p) for p in paths)


def open_scan(
    paths: Sequence[str | Path],
    contrasts: Sequence[Contrast] | None = None,
    accept_mismatch: bool = False,
) -> Scan:
    """Open one image, the water and the fat image of a Dixon scan, or a DICOM folder.

    Parameters
    ----------
    paths : sequence of str or Path
        One image, or several: a fat-fraction map with or without other images, else one water
        and one fat image, else one in-phase and one opposed-phase image, which are separated.
        Images that are not needed are left out, which a note says. An image may be a DICOM
        folder, a zip of DICOM files, a DICOMDIR, or FOLDER#POSITION for one series of these.
        Of one DICOM folder alone, or of DICOM files, the only water and fat series of one place
        are taken, else the only series.
    contrasts : sequence of Contrast, optional
        What each image shows; UNKNOWN, or the argument left out, means: go by the file name or
        the DICOM header.
    accept_mismatch : bool, optional
        Whether water and fat are used together although their headers disagree.

    Returns
    -------
    Scan
        The images on one grid, with notes for the user.

    Raises
    ------
    SeriesNeeded
        If it is not clear which series of a DICOM folder are meant.
    RolesNeeded
        If it is not clear which image is water and which is fat.
    PairingNeedsConsent
        If the headers of water and fat disagree and `accept_mismatch` is False.
    BackfatError
        If a file cannot be used.
    """
    files = [Path(p) for p in paths]
    if not files:
        raise BackfatError("No image was chosen; choose a NIfTI image or a water and a fat image.")
    if contrasts is not None and len(contrasts) != len(files):
        raise ValueError(f"{len(files)} paths but {len(contrasts)} contrasts")
    given = contrasts if contrasts is not None else [Contrast.UNKNOWN] * len(files)
    # An archive is unpacked once, and what was unpacked goes when the scan is read.
    archives = (split_address(file)[0] for file in files)
    held = [unpacked(archive) for archive in archives if is_zip(archive)]
    try:
        return _open(files, given, accept_mismatch)
    finally:
        del held


def _open(files: Sequence[Path], given: Sequence[Contrast], accept_mismatch: bool) -> Scan:
    reading = _Reading()
    if _is_dicom_set(files) and set(given) == {Contrast.UNKNOWN}:
        return reading.finished(_open_dicom(files, reading, accept_mismatch))
    known = [
        _said(file) if role is Contrast.UNKNOWN else _stated(role)
        for file, role in zip(files, given, strict=True)
    ]
    roles = [role.contrast for role, _, _ in known]
    scan = reading.finished(_scan_of(files, known, reading, accept_mismatch))
    if len(files) == 1 and roles[0] not in _FRACTIONS:
        return scan
    used = {v.contrast for v in scan.read}
    left_out = [f.name for f, role in zip(files, roles, strict=True) if role not in used]
    notes = scan.notes
    if left_out:
        notes = (*notes, f"Not used for the numbers: {', '.join(left_out)}.")
    record = [
        {"image": f.name, "role": str(role), "evidence": evidence}
        for f, (role, evidence, _) in zip(files, known, strict=True)
    ]
    return dataclasses.replace(scan, notes=notes, origin={"roles": record} | scan.origin)


class _Reading:
    """Reads images and keeps what is said about them beside the voxels."""

    def __init__(self) -> None:
        self.loaded: list[Loaded] = []

    def image(self, path: Path, contrast: Contrast) -> Loaded:
        self.loaded.append(read_image(path, contrast))
        return self.loaded[-1]

    def series(self, info: SeriesInfo, contrast: Contrast) -> Loaded:
        self.loaded.append(read_series(info, contrast))
        return self.loaded[-1]

    def finished(self, scan: Scan) -> Scan:
        """Return the scan with how its images were made, and whom they show if all agree."""
        made = {one.volume.contrast.value: one.record for one in self.loaded if one.record}
        persons = {one.person for one in self.loaded}
        return dataclasses.replace(
            scan,
            origin=scan.origin | ({"stitched": made} if made else {}),
            person=persons.pop() if len(persons) == 1 else None,
        )


def _scan_of(
    files: Sequence[Path],
    known: Sequence[tuple[Role, str, str]],
    reading: _Reading,
    accept_mismatch: bool,
) -> Scan:
    """Read what the roles make."""
    roles = [role.contrast for role, _, _ in known]
    kind = scan_kind([role for role, _, _ in known])
    unclear = any(role is Role.UNKNOWN for role, _, _ in known)
    if len(files) == 1 and kind != "fat fraction":
        loaded = reading.image(files[0], roles[0])
        return Scan((loaded.volume,), loaded.volume, loaded.notes)
    if kind == "fat fraction":
        place = next(k for k, role in enumerate(roles) if role in _FRACTIONS)
        beside = next((c for c in _COMPANIONS if roles.count(c) == 1), None)
        companion = None if beside is None else reading.image(files[roles.index(beside)], beside)
        reason = known[place][2] or (
            "the user says that it is of several echoes" if roles[place] is Contrast.PDFF else ""
        )
        return from_fraction(
            reading.image(files[place], roles[place]),
            companion,
            multi_echo=reason,
            accept_mismatch=accept_mismatch,
        )
    if kind == "echoes" and not unclear:
        ip, op = (files[roles.index(c)] for c in (Contrast.IN_PHASE, Contrast.OPPOSED_PHASE))
        return from_echoes(
            reading.image(ip, Contrast.IN_PHASE),
            reading.image(op, Contrast.OPPOSED_PHASE),
            accept_mismatch,
        )
    given = [role for role, _, _ in known]
    water, fat = (_only(files, given, role) for role in (Role.WATER, Role.FAT))
    return pair_loaded(
        reading.image(water, Contrast.WATER),
        reading.image(fat, Contrast.FAT),
        accept_mismatch=accept_mismatch,
    )


def _is_dicom_set(files: Sequence[Path]) -> bool:
    """Whether paths are one DICOM folder, or files of which each is a part of something."""
    if len(files) == 1:
        return is_dicom(files[0])
    return all(f.is_file() and is_dicom(f) for f in files)


def _open_dicom(files: Sequence[Path], reading: _Reading, accept_mismatch: bool) -> Scan:
    series = series_at(files[0] if len(files) == 1 else files)
    loaded = [reading.series(info, role) for info, role in choose_series(series)]
    if len(loaded) == 2:
        scan = pair_loaded(loaded[0], loaded[1], accept_mismatch=accept_mismatch)
    else:
        scan = Scan((loaded[0].volume,), loaded[0].volume, loaded[0].notes)
    return scan


def _said(file: Path) -> tuple[Role, str, str]:
    """Return role, evidence and multi-echo reason by what name, header and sidecar say."""
    contrast = role_at(file) if is_dicom(file) else guess_contrast(file)
    role, evidence, multi = said_role(file)
    if role is Role.UNKNOWN and contrast is not Contrast.UNKNOWN:
        return _stated(contrast)[0], "file name", ""
    return role, evidence, multi


def _stated(contrast: Contrast) -> tuple[Role, str, str]:
    role = next((r for r in Role if r.contrast is contrast), Role.UNKNOWN)
    return role, "stated", ""


def _only(files: Sequence[Path], roles: Sequence[Role], role: Role) -> Path:
    """Return the one file of a role among several whose roles are all known."""
    matching = [f for f, r in zip(files, roles, strict=True) if r is role]
    unknown = [f.name for f, r in zip(files, roles, strict=True) if r is Role.UNKNOWN]
    if len(matching) == 1 and not unknown:
        return matching[0]
    names = ", ".join(f.name for f in files)
    if len(matching) > 1:
        problem = f"more than one {role.value} image ({', '.join(f.name for f in matching)})"
    elif unknown:
        problem = f"it is not clear what {', '.join(unknown)} shows"
    else:
        problem = f"there is no {role.value} image among {names}"
    raise RolesNeeded(
        f"A Dixon scan needs one water and one fat image, and {problem}; say which is which.",
        files,
    )
