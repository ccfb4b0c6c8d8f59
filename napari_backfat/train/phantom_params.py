"""What can be chosen about a phantom person, and how a plausible person is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model.anatomy import MUSCLES, Muscle

if TYPE_CHECKING:
    from numpy.random import Generator


class TissueClass(IntEnum):
    """Tissue classes of the phantom (uint8); the eight muscles are `MUSCLE_BASE` + `Muscle`."""

    AIR = 0
    SKIN = 1
    SUBCUTANEOUS_FAT = 2
    FASCIA = 3
    ABDOMINAL_WALL = 4
    VISCERAL_FAT = 5
    CORTICAL_BONE = 6
    MARROW = 7
    ANNULUS = 8
    NUCLEUS = 9
    CSF = 10
    NERVE = 11
    EPIDURAL_FAT = 12
    LIGAMENT = 13
    KIDNEY_CORTEX = 14
    KIDNEY_MEDULLA = 15
    BLOOD = 16
    BOWEL_WALL = 17
    BOWEL_CONTENT = 18
    GAS = 19
    LIVER = 20
    SPLEEN = 21
    OTHER_MUSCLE = 22
    INTERMUSCULAR_FAT = 23
    CARTILAGE = 24
    MEMBRANE = 25


MUSCLE_BASE = 32
"""Label of a paraspinal muscle = MUSCLE_BASE + its `Muscle` id (33..40)."""


@dataclass(frozen=True)
class PhantomParams:
    """One phantom person. Ranges are what `draw_params` draws; wider values are accepted.

    Attributes
    ----------
    seed : int
        Of everything irregular: surface ripple, fat streaks, bowel loops, side differences.
    body_scale : float
        Linear size of the skeleton in the axial plane, 0.86..1.10 (1 = average man).
    level_height_mm : float
        Distance between the centres of neighbouring vertebrae, 31..40 mm.
    muscle_bulk : float
        Linear muscle size relative to the skeleton, 0.75..1.2.
    multifidus_width, psoas_bulk : float
        Size of these muscles relative to the others, 0.85..1.2 and 0.8..1.2.
    hip_width : float
        Widening of the trunk towards the pelvis, 0 (straight) .. 1 (wide hips).
    subcutaneous_mm : float
        Subcutaneous fat over the flanks, 6..50 mm.
    belly_mm : float
        Forward reach of the abdominal wall beyond a flat belly, 0..70 mm.
    visceral_fat : float
        Fat around and between the abdominal organs, 0 (hardly any) .. 1 (much).
    mf_fat, es_fat, psoas_fat, ql_fat : float
        Mean fat fraction of each muscle over L1-L5, 0.02..0.6.
    caudal_gain : float
        How much fatter the lower levels are, 0 (evenly) .. 1.5; 1 gives the published L5 value
        of about 1.8 times the mean (Crawford 2016, doi 10.3174/ajnr.A4596).
    fat_asymmetry : float
        Relative side difference of the fat, -0.3..0.3; positive means fatter on the left.
    size_asymmetry : float
        Relative side difference of linear muscle size, -0.08..0.08; positive: left is larger.
    streakiness : float
        0 = evenly diffuse fat, 1 = nearly all fat in streaks.
    marrow_fat : float
        Fat fraction of vertebral marrow, 0.2..0.65.
    scoliosis_mm : float
        Largest sideways bow of the spine, -15..15 mm, to the left if positive.
    spine_rotation_deg : float
        Largest axial rotation of the vertebrae, -8..8 degrees.
    roll_deg : float
        Rotation of the whole person on the table, -8..8 degrees.
    lordosis_deg : float
        Angle between the discs T12/L1 and L5/S1, 20..60 degrees.
    ripple_mm : float
        Amplitude of the smooth random deformation, 0..4 mm.
    crest_level : float
        Level at which the iliac crest begins, 4.0..4.7 (4 = middle of L4).
    """

    seed: int = 0
    body_scale: float = 1.0
    level_height_mm: float = 35.5
    muscle_bulk: float = 1.0
    multifidus_width: float = 1.0
    psoas_bulk: float = 1.0
    hip_width: float = 0.4
    subcutaneous_mm: float = 18.0
    belly_mm: float = 20.0
    visceral_fat: float = 0.4
    mf_fat: float = 0.20
    es_fat: float = 0.13
    psoas_fat: float = 0.055
    ql_fat: float = 0.08
    caudal_gain: float = 1.0
    fat_asymmetry: float = 0.0
    size_asymmetry: float = 0.0
    streakiness: float = 0.7
    marrow_fat: float = 0.4
    scoliosis_mm: float = 0.0
    spine_rotation_deg: float = 0.0
    roll_deg: float = 0.0
    lordosis_deg: float = 40.0
    ripple_mm: float = 2.0
    crest_level: float = 4.35

    def mean_fat(self, muscle: Muscle) -> float:
        """Wanted mean fat fraction of one muscle over L1-L5, side difference included."""
        base = (self.mf_fat, self.es_fat, self.psoas_fat, self.ql_fat)[(muscle - 1) // 2]
        sign = 1.0 if muscle % 2 == 1 else -1.0
        return float(np.clip(base * (1 + 0.5 * sign * self.fat_asymmetry), 0.0, 0.8))

    def fat_profile(self, muscle: Muscle, level: float) -> float:
        """Wanted fat fraction of one muscle at a level (1 = L1 .. 5 = L5), 0..0.85."""
        group = (muscle - 1) // 2
        gain = self.caudal_gain * (1.0, 1.0, 0.3, 0.5)[group]
        relative = np.interp(level, _LEVELS, _RELATIVE_FAT) / _AREA_WEIGHTED[group]
        return float(np.clip(self.mean_fat(muscle) * (1 + gain * (relative - 1)), 0.01, 0.85))


_LEVELS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
# L1-L3 alike, L4 near the mean, L5 about 1.8 times the mean: Crawford 2016 (10.3174/ajnr.A4596).
_RELATIVE_FAT = (0.66, 0.72, 0.76, 0.84, 1.10, 1.75, 2.1)
# Mean of the row above over L1-L5, weighted with the area of each muscle at each level.
_AREA_WEIGHTED = (1.17, 0.96, 1.21, 0.98)


def draw_params(
    rng: Generator, *, age_years: float | None = None, female: bool | None = None
) -> PhantomParams:
    """Draw a plausible person.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all chance.
    age_years : float, optional
        20..80; drawn evenly when left out.
    female : bool, optional
        Drawn with equal chances when left out.

    Returns
    -------
    PhantomParams
        Fat fractions follow age and sex about as in healthy adults (Crawford 2016; Sollmann
        2020, PMC7063279; Si 2023, PMC10347357), with a tail of heavy infiltration: one in eight
        persons has two to three times the expected fat.
    """
    age = rng.uniform(20, 80) if age_years is None else age_years
    woman = bool(rng.random() < 0.5) if female is None else female
    heavy = rng.uniform(1.8, 3.0) if rng.random() < 0.125 else 1.0
    spread = float(np.exp(rng.normal(0, 0.3)) * heavy)
    older = (age - 45) / 10
    mf = (0.20 if woman else 0.165) + 0.025 * older
    es = (0.145 if woman else 0.12) + 0.018 * older
    own = np.exp(rng.normal(0, 0.12, 4))
    thickness = float(np.exp(rng.normal(np.log(24 if woman else 16), 0.45)))
    return PhantomParams(
        seed=int(rng.integers(2**31)),
        body_scale=float(np.clip(rng.normal(0.93 if woman else 1.0, 0.035), 0.86, 1.10)),
        level_height_mm=float(np.clip(rng.normal(34 if woman else 36.5, 1.3), 31, 40)),
        muscle_bulk=float(np.clip(rng.normal(0.90 if woman else 0.985, 0.07), 0.75, 1.2)),
        multifidus_width=float(np.clip(rng.normal(1.0, 0.08), 0.85, 1.2)),
        psoas_bulk=float(np.clip(rng.normal(1.0 if woman else 1.06, 0.08), 0.8, 1.2)),
        hip_width=float(np.clip(rng.normal(0.75 if woman else 0.2, 0.2), 0, 1)),
        subcutaneous_mm=float(np.clip(thickness, 6, 50)),
        belly_mm=float(np.clip(rng.normal(15 + 4 * older + 0.6 * thickness, 14), 0, 70)),
        visceral_fat=float(np.clip(0.4 + 0.1 * older + rng.normal(0, 0.25), 0, 1)),
        mf_fat=float(np.clip(mf * spread * own[0], 0.03, 0.60)),
        es_fat=float(np.clip(es * spread * own[1], 0.025, 0.55)),
        psoas_fat=float(np.clip(0.052 * spread**0.5 * own[2], 0.02, 0.25)),
        ql_fat=float(np.clip(0.08 * spread**0.7 * own[3], 0.02, 0.4)),
        caudal_gain=float(rng.uniform(0.5, 1.3)),
        fat_asymmetry=float(np.clip(rng.normal(0, 0.1), -0.3, 0.3)),
        size_asymmetry=float(np.clip(rng.normal(0, 0.025), -0.08, 0.08)),
        streakiness=float(rng.uniform(0.4, 0.95)),
        marrow_fat=float(np.clip(0.38 + 0.04 * older + rng.normal(0, 0.06), 0.2, 0.65)),
        scoliosis_mm=float(np.clip(rng.normal(0, 4), -15, 15)),
        spine_rotation_deg=float(np.clip(rng.normal(0, 2.5), -8, 8)),
        roll_deg=float(np.clip(rng.normal(0, 2.5), -8, 8)),
        lordosis_deg=float(rng.uniform(25, 55)),
        ripple_mm=float(rng.uniform(1.0, 3.2)),
        crest_level=float(rng.uniform(4.05, 4.65)),
    )


def muscle_class(muscle: Muscle) -> int:
    """Tissue-class label of a paraspinal muscle."""
    return MUSCLE_BASE + int(muscle)


MUSCLE_CLASSES = tuple(muscle_class(m) for m in MUSCLES)
