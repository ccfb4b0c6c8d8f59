"""Dixon scans that come without a water and a fat image: two echoes, or a fat-fraction map."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.io.pairing import pair_loaded
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.two_point import (
    AMBIGUITY,
    opposed_above_in_phase,
    separate_two_point,
    split_by_fraction,
)
from napari_backfat.model.volume import Contrast, Scan, Volume

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_backfat.io.nifti import Loaded

_SCALES = ((1.0, 1.2, "0 to 1"), (100.0, 120.0, "percent"), (1000.0, 1200.0, "0 to 1000"))


def from_echoes(in_phase: Loaded, opposed: Loaded, accept_mismatch: bool = False) -> Scan:
    """Make a Dixon scan of an in-phase and an opposed-phase magnitude image.

    Parameters
    ----------
    in_phase, opposed : Loaded
        The images.
    accept_mismatch : bool, optional
        Whether they are used together although their headers disagree.

    Returns
    -------
    Scan
        Computed water and fat image; `inputs` are the two echoes, and a note states the ambiguity.

    Raises
    ------
    BackfatError
        If the opposed-phase image is brighter than the in-phase image in much of the body.
    """
    roles = (Contrast.IN_PHASE, Contrast.OPPOSED_PHASE)
    scan = pair_loaded(in_phase, opposed, accept_mismatch=accept_mismatch, contrasts=roles)
    ip, op = (_image(scan, role) for role in roles)
    brighter = opposed_above_in_phase(ip.voxels, op.voxels)
    if brighter > 0.5:
        raise BackfatError(
            f"{_name(op)} is brighter than {_name(ip)} in {100 * brighter:.0f} % of the body, but "
            "opposed-phase cannot exceed in-phase: the two are exchanged, or scaled differently."
        )
    water, fat = separate_two_point(ip.voxels, op.voxels)
    made = _computed(scan, ip, water, fat, other=op)
    notes = [AMBIGUITY]
    if brighter > 0.1:
        notes.append(
            f"Opposed-phase is the brighter image in {100 * brighter:.0f} % of the body (T2* decay "
            "or different scaling); there the fat fraction is set to 0."
        )
    record = {"method": "two-point magnitude Dixon", "opposed_brighter": round(brighter, 4)}
    return dataclasses.replace(
        made, notes=(*made.notes, *notes), origin={"separation": record | {"ambiguity": AMBIGUITY}}
    )


def from_fraction(
    fraction: Loaded,
    companion: Loaded | None,
    *,
    multi_echo: str = "",
    accept_mismatch: bool = False,
) -> Scan:
    """Make a Dixon scan of a fat-fraction map.

    Parameters
    ----------
    fraction : Loaded
        Map of contrast FAT_FRACTION or PDFF, in fractions, percent or per mille.
    companion : Loaded, optional
        Another image of the same scan, whose signal shapes the pictures; the numbers do not
        depend on it.
    multi_echo : str
        Why the map may be called PDFF; empty if nobody says that it is of several echoes.
    accept_mismatch : bool, optional
        Whether images are used together although their headers disagree.

    Returns
    -------
    Scan
        Water and fat image with F / (F + W) equal to the map; `inputs` are what was read.
    """
    role = Contrast.PDFF if multi_echo else Contrast.FAT_FRACTION
    source = dataclasses.replace(fraction.volume, contrast=role)
    if companion is None:
        scan = Scan((source,), source, fraction.notes)
        volume, signal = source, None
    else:
        shown = companion.volume.contrast
        scan = pair_loaded(
            dataclasses.replace(fraction, volume=source),
            companion,
            accept_mismatch=accept_mismatch,
            contrasts=(role, shown),
        )
        volume = _image(scan, role)
        signal = _image(scan, shown).voxels
    values, scale, words = fraction_of(volume)
    gone = fraction.undefined
    if gone is not None and companion is None:
        values = np.where(gone, np.float32("nan"), values)
    if signal is not None and companion is not None:
        signal = _summed(signal, values, companion.volume.contrast)
    water, fat = split_by_fraction(values, signal)
    made = _computed(scan, volume, water, fat)
    what = "PDFF" if multi_echo else "fat fraction"
    why = multi_echo or "nothing says that it was made of three or more echoes"
    note = (
        f"The {what} comes from the map {_name(volume)} (values read as {words}), not from a water "
        f"and a fat image; it is called {what} because {why}. The water and fat pictures shown are "
        "made from it."
    )
    record: dict[str, Any] = {"map": _name(volume), "scale": scale, "named": what, "because": why}
    return dataclasses.replace(made, notes=(*made.notes, note), origin={"fat_fraction_map": record})


def fraction_of(volume: Volume) -> tuple[NDArray[np.float32], float, str]:
    """Return a fat-fraction map as 0..1, the value that stands for 100 %, and its name.

    Raises
    ------
    BackfatError
        If the values fit none of 0..1, percent and 0..1000.
    """
    step = max(1, int(np.cbrt(volume.voxels.size / 2_000_000)))
    sample = volume.voxels[::step, ::step, ::step]
    low, high = (float(v) for v in np.percentile(sample, (0.1, 99.9)))
    for full, limit, words in _SCALES:
        if high <= limit and low >= -0.2 * full:
            return volume.voxels / np.float32(full), full, words
    raise BackfatError(
        f"{_name(volume)} has values from {low:.4g} to {high:.4g}, which is no fat fraction "
        "(0 to 1, 0 to 100 or 0 to 1000); state what it shows."
    )


def _summed(
    shown: NDArray[np.float32], fraction: NDArray[np.float32], contrast: Contrast
) -> NDArray[np.float32]:
    """Return W + F as far as one image lets it be seen; only for pictures."""
    part = {Contrast.WATER: 1 - fraction, Contrast.FAT: fraction}.get(contrast)
    if part is None:
        return shown
    return np.asarray(shown / np.clip(np.nan_to_num(part), 0.1, 1), np.float32)


def _computed(
    scan: Scan,
    source: Volume,
    water: NDArray[np.float32],
    fat: NDArray[np.float32],
    other: Volume | None = None,
) -> Scan:
    lead = scan.reference
    images = (
        Volume(water, lead.file_grid, source.source, Contrast.WATER),
        Volume(fat, lead.file_grid, (other or source).source, Contrast.FAT),
    )
    return Scan(images, images[0], scan.notes, inputs=scan.images)


def _image(scan: Scan, contrast: Contrast) -> Volume:
    found = scan.image(contrast)
    assert found is not None  # the pairing has set it
    return found


def _name(volume: Volume) -> str:
    return Path(volume.source.path).name
