"""What was measured: frozen records that views and files can keep without fear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_backfat.model.combined import combined_notes, combined_titles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_backfat.model.anatomy import Muscle, MuscleGroup, Side
    from napari_backfat.model.fat_map import FatMapKind


@dataclass(frozen=True)
class MuscleMeasure:
    """The numbers of one muscle on one side, or of all muscles together.

    Attributes
    ----------
    muscle : Muscle or None
        None for the total of all eight.
    volume_ml, lean_ml, fat_ml : float
        Whole muscle, its lean voxels and its fat voxels, in ml.
    undefined_ml : float
        Part of the muscle that is neither lean nor fat because the fat map has no value there;
        ``volume_ml == lean_ml + fat_ml + undefined_ml``.
    by_hand_ml : float
        Part whose tissue a person painted.
    mean_fat_fraction : float or None
        Threshold-free mean of the fat fraction over the voxels where it is defined, 0..1; None
        without such voxels or where the fat map is not a fat fraction.
    fat_share : float or None
        ``fat_ml / (lean_ml + fat_ml)``, 0..1; None if nothing is classified.
    max_csa_cm2 : float
        Largest area within one (Y, X) slice plane.
    max_csa_slice : int or None
        Working slice index Z (0 = most cranial) of that area.
    length_cm : float
        Number of slices that hold the muscle times the slice distance.
    cut_cranially, cut_caudally : bool
        Whether it reaches the first or the last slice, so that its true volume is larger.
    """

    muscle: Muscle | None
    volume_ml: float
    lean_ml: float
    fat_ml: float
    undefined_ml: float
    by_hand_ml: float
    mean_fat_fraction: float | None
    fat_share: float | None
    max_csa_cm2: float
    max_csa_slice: int | None
    length_cm: float
    cut_cranially: bool
    cut_caudally: bool


@dataclass(frozen=True)
class CorrectedMean:
    """Mean fat fraction of a muscle's inside, without what noise adds to it.

    Attributes
    ----------
    value : float or None
        0..1; None where it cannot be known.
    low, high : float or None
        95 % interval: noise, how well it is known, and what a model of it may leave out. Where a
        muscle's outline lies is not in it.
    voxels : float
        Voxels it is of: those with a fat fraction, without the outermost layer in the slice plane.
    why : str
        Why there is no value; "" if there is one.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    voxels: float = 0.0
    why: str = ""


@dataclass(frozen=True)
class CorrectedMuscles:
    """The corrected means of a scan.

    Attributes
    ----------
    muscles : mapping of Muscle to CorrectedMean
        One entry for each of the eight muscles.
    total, back : CorrectedMean
        All together, and erector spinae and multifidus of both sides.
    current : bool
        Whether they are of the present masks; otherwise they are being computed again.
    noise_sd : float
        Noise of one channel in the images' units; 0 where it is not known.
    noise_from : str
        Where it was read; "" where it is not known.
    """

    muscles: Mapping[Muscle, CorrectedMean]
    total: CorrectedMean
    back: CorrectedMean
    current: bool = True
    noise_sd: float = 0.0
    noise_from: str = ""


@dataclass(frozen=True)
class Asymmetry:
    """Difference between the sides of one muscle; descriptive, it carries no risk weight.

    Attributes
    ----------
    percent : float
        ``100 * (larger - smaller) / larger`` of the volumes.
    larger : Side or None
        The larger side; None if both are equal.
    """

    percent: float
    larger: Side | None


@dataclass(frozen=True)
class Measurement:
    """All numbers of one state of the masks.

    Attributes
    ----------
    muscles : mapping of Muscle to MuscleMeasure
        One entry for each of the eight muscles, present or not.
    total : MuscleMeasure
        All muscles together.
    back : MuscleMeasure
        Erector spinae and multifidus of both sides together: what the risk model reads.
    asymmetry : mapping of MuscleGroup to Asymmetry or None
        None where a side is missing.
    fat_kind : FatMapKind
        Meaning of the fat map behind lean and fat.
    threshold : float
        Fat at or above this value of the fat map.
    combined : tuple of str
        Keys of `model.combined.COMBINED`: labels that the AI filled with more than one muscle.
    """

    muscles: Mapping[Muscle, MuscleMeasure]
    total: MuscleMeasure
    back: MuscleMeasure
    asymmetry: Mapping[MuscleGroup, Asymmetry | None]
    fat_kind: FatMapKind
    threshold: float
    combined: tuple[str, ...] = ()

    @property
    def combined_notes(self) -> Mapping[Muscle, str]:
        """Remarks on muscles that share one label; empty for most measurements."""
        return combined_notes(self.combined, self._has_voxels)

    @property
    def combined_titles(self) -> Mapping[Muscle, str]:
        """Names, with sides, of labels that hold more than one muscle."""
        return combined_titles(self.combined, self._has_voxels)

    def _has_voxels(self, muscle: Muscle) -> bool:
        return self.muscles[muscle].volume_ml > 0
