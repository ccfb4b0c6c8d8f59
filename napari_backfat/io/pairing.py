"""Put the water and the fat image of one Dixon scan together."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_backfat.io.nifti import Loaded
from napari_backfat.io.regrid import GridComparison, GridRelation, compare_grids
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast, Scan, Volume

if TYPE_CHECKING:
    from napari_backfat.model.geometry import FileGrid

_RING_MM = (3.0, 12.0)  # below the skin, where the trunk has fat


class PairingNeedsConsent(BackfatError):
    """Two images could belong together, but their headers disagree: the user decides.

    Parameters
    ----------
    comparison : GridComparison
        What disagrees, in `comparison.text`.
    leading : str
        Name of the image whose position would hold for both.

    Attributes
    ----------
    comparison : GridComparison
        As given.
    question : str
        What disagrees, and what either answer does, for a box with "Yes" and "No".
    """

    def __init__(self, comparison: GridComparison, leading: str) -> None:
        super().__init__(
            f"{comparison.text} If they are one scan, confirm that they belong together "
            "(--accept-mismatch on the command line)."
        )
        self.comparison = comparison
        self.question = (
            f"{comparison.text} Yes uses them as one scan, voxel by voxel, and the position of "
            f"{leading} holds for both and for the masks. No opens nothing."
        )


def compare(a: Volume, b: Volume) -> GridComparison:
    """Compare the grids of two images; see `compare_grids`."""
    return compare_grids(a.file_grid, b.file_grid, _name(a), _name(b))


def pair(water: Volume, fat: Volume, accept_mismatch: bool = False) -> Scan:
    """Make a Dixon scan of a water and a fat image.

    Parameters
    ----------
    water, fat : Volume
        The two images; their contrasts are set.
    accept_mismatch : bool, optional
        Whether images whose headers disagree are used together voxel by voxel.

    Returns
    -------
    Scan
        Both images in one voxel order. The reference, on whose grid masks are written, is the
        water image, unless an accepted mismatch shows that its header lost its position and the
        fat image's did not.

    Raises
    ------
    PairingNeedsConsent
        If the headers disagree and `accept_mismatch` is False.
    BackfatError
        If the images cannot belong together.
    """
    return pair_loaded(Loaded(water), Loaded(fat), accept_mismatch=accept_mismatch)


def pair_loaded(
    water: Loaded,
    fat: Loaded,
    *,
    accept_mismatch: bool = False,
    contrasts: tuple[Contrast, Contrast] = (Contrast.WATER, Contrast.FAT),
) -> Scan:
    """Make a Dixon scan as `pair` does, with what reading the files had to say.

    Other images of one scan, such as in- and opposed-phase, are put together in the same way with
    their `contrasts`.

    Voxels that held no number in one file are 0 in both images, so that they count as undefined
    and not as pure water or pure fat.
    """
    if np.array_equal(water.volume.voxels, fat.volume.voxels):
        raise BackfatError(
            f"{_name(water.volume)} and {_name(fat.volume)} hold the same image; choose one "
            "water and one fat image."
        )
    comparison = compare(water.volume, fat.volume)
    if comparison.relation is GridRelation.DIFFERENT_SHAPE or not comparison.can_accept:
        raise BackfatError(f"{comparison.text} They cannot be used as one scan.")
    accepted = comparison.relation is GridRelation.DIFFERENT_AFFINE
    fat_leads = accepted and comparison.trust_second
    lead, follow = (fat, water) if fat_leads else (water, fat)
    if accepted and not accept_mismatch:
        raise PairingNeedsConsent(comparison, _name(lead.volume))
    placed = comparison.placed(follow.volume.file_grid, lead.volume.file_grid)
    follow = _reordered(follow, placed)
    lead_voxels, follow_voxels = lead.volume.voxels, follow.volume.voxels
    if lead.undefined is not None or follow.undefined is not None:
        gone = np.zeros(lead_voxels.shape, dtype=bool)
        for mask in (lead.undefined, follow.undefined):
            if mask is not None:
                gone |= mask
        lead_voxels = np.where(gone, np.float32(0), lead_voxels)
        follow_voxels = np.where(gone, np.float32(0), follow_voxels)
    names = {"lead": _name(lead.volume), "follow": _name(follow.volume)}
    notes = [*water.notes, *fat.notes]
    grid = follow.volume.file_grid
    if accepted:
        grid = lead.volume.file_grid
        notes.append(
            # What was decided comes first: a panel or a report may show the beginning only.
            f"{names['lead']} and {names['follow']} were used together voxel by voxel, as the user "
            f"decided; the position of {names['lead']} holds for both and for the masks. "
            f"{comparison.text}"
        )
    elif comparison.relation is GridRelation.ROUNDING:
        notes.append(f"{comparison.text} Masks are written on the grid of {names['lead']}.")
    lead_contrast, follow_contrast = contrasts[::-1] if fat_leads else contrasts
    reference = dataclasses.replace(lead.volume, voxels=lead_voxels, contrast=lead_contrast)
    other = Volume(follow_voxels, grid, follow.volume.source, follow_contrast)
    images = (other, reference) if fat_leads else (reference, other)
    hint = swap_hint(*images) if contrasts[0] is Contrast.WATER else None
    return Scan(images, reference, (*notes, hint) if hint else tuple(notes))


def swap_hint(water: Volume, fat: Volume) -> str | None:
    """Return a warning if the two images look exchanged, else None.

    Below the skin a trunk is fat, and most of what lies deeper is water. The warning appears if the
    layer below the skin in the middle slice is clearly water, and more so than what lies deeper: a
    person without fat under the skin raises no warning.

    Parameters
    ----------
    water, fat : Volume
        Images of one shape.
    """
    middle = water.voxels.shape[0] // 2
    w, f = water.voxels[middle].astype(np.float64), fat.voxels[middle].astype(np.float64)
    total = w + f
    body = ndimage.binary_fill_holes(total > 0.1 * np.percentile(total, 99))
    _, dy, dx = water.geometry.spacing_mm
    depth = ndimage.distance_transform_edt(np.pad(body, 1), sampling=(dy, dx))[1:-1, 1:-1]
    ring = (depth > _RING_MM[0]) & (depth <= _RING_MM[1]) & (total > 0)
    core = (depth > 2 * _RING_MM[1]) & (total > 0)
    if ring.sum() < 50 or core.sum() < 50:
        return None
    outside, inside = (float(np.median(f[part] / total[part])) for part in (ring, core))
    if outside < 0.3 and inside > outside + 0.3:
        return (
            f"The water image ({_name(water)}) and the fat image ({_name(fat)}) look exchanged: "
            "the layer under the skin is bright in the water image. Check before measuring."
        )
    return None


def _reordered(loaded: Loaded, grid: FileGrid) -> Loaded:
    """Return the image with the array order of `grid`, which describes the same file."""
    old = loaded.volume.file_grid
    if (old.axes, old.flips) == (grid.axes, grid.flips):
        return loaded
    voxels = grid.to_working(old.to_file(loaded.volume.voxels))
    undefined = loaded.undefined
    if undefined is not None:
        undefined = np.ascontiguousarray(grid.to_working(old.to_file(undefined)))
    volume = dataclasses.replace(loaded.volume, voxels=voxels, file_grid=grid)
    return Loaded(volume, loaded.notes, undefined)


def _name(volume: Volume) -> str:
    return Path(volume.source.path).name
