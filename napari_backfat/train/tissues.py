"""The tissue classes that synthetic slices are made of, and what MR makes of them."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.segment import network

if TYPE_CHECKING:
    from numpy.typing import NDArray

IGNORE, MIRROR = network.IGNORE, network.MIRROR


class TissueClass(IntEnum):
    """Class ids of a synthetic slice; 1 to 8 are the labelled muscles themselves."""

    AIR = 0
    OTHER_MUSCLE = 9
    SKIN = 10
    SUBCUTANEOUS_FAT = 11
    VISCERAL_FAT = 12
    DEEP_FAT = 13
    FASCIA = 14
    CORTEX = 15
    MARROW = 16
    DISC = 17
    CSF = 18
    NERVE = 19
    BLOOD = 20
    KIDNEY_CORTEX = 21
    KIDNEY_MEDULLA = 22
    LIVER = 23
    SPLEEN = 24
    BOWEL_WALL = 25
    BOWEL_FLUID = 26
    GAS = 27
    STOOL = 28
    GLAND = 29
    LUNG = 30
    GREY_MATTER = 31
    WHITE_MATTER = 32
    UNKNOWN_MUSCLE = 33  # looks like muscle; its label is not known, so no loss is taken there


N_CLASSES = len(TissueClass) + 8

# Relative water proton density, T1 and T2 of the water part in ms (between 1.5 and 3 T), and the
# usual fat fraction. Rounded from Stanisz et al., Magn Reson Med 2005 (doi 10.1002/mrm.20605) and
# de Bazelaire et al., Radiology 2004 (doi 10.1148/radiol.2303021331); training jitters all of
# them by large factors, so no exact value matters.
_PROPERTIES: dict[int, tuple[float, float, float, float]] = {
    TissueClass.AIR: (0.0, 1000, 50, 0.0),
    TissueClass.OTHER_MUSCLE: (0.80, 1100, 38, 0.04),
    TissueClass.SKIN: (0.70, 900, 30, 0.10),
    TissueClass.SUBCUTANEOUS_FAT: (0.9, 700, 50, 0.95),
    TissueClass.VISCERAL_FAT: (0.9, 800, 50, 0.90),
    TissueClass.DEEP_FAT: (0.9, 900, 45, 0.88),
    TissueClass.FASCIA: (0.25, 800, 10, 0.15),
    TissueClass.CORTEX: (0.08, 600, 5, 0.10),
    TissueClass.MARROW: (0.70, 700, 50, 0.45),
    TissueClass.DISC: (0.75, 1000, 80, 0.0),
    TissueClass.CSF: (1.0, 3500, 600, 0.0),
    TissueClass.NERVE: (0.75, 900, 80, 0.0),
    TissueClass.BLOOD: (0.75, 1500, 120, 0.0),
    TissueClass.KIDNEY_CORTEX: (0.85, 1100, 80, 0.02),
    TissueClass.KIDNEY_MEDULLA: (0.90, 1400, 85, 0.01),
    TissueClass.LIVER: (0.75, 750, 40, 0.06),
    TissueClass.SPLEEN: (0.85, 1200, 70, 0.0),
    TissueClass.BOWEL_WALL: (0.80, 1000, 50, 0.05),
    TissueClass.BOWEL_FLUID: (0.95, 2200, 250, 0.0),
    TissueClass.GAS: (0.02, 1000, 10, 0.0),
    TissueClass.STOOL: (0.60, 600, 40, 0.20),
    TissueClass.GLAND: (0.80, 700, 60, 0.10),
    TissueClass.LUNG: (0.12, 1100, 20, 0.0),
    TissueClass.GREY_MATTER: (0.80, 1300, 95, 0.0),
    TissueClass.WHITE_MATTER: (0.70, 850, 75, 0.0),
    TissueClass.UNKNOWN_MUSCLE: (0.80, 1100, 38, 0.04),
}
for _muscle in range(1, 9):
    _PROPERTIES[_muscle] = _PROPERTIES[TissueClass.OTHER_MUSCLE]

PROPERTIES: NDArray[np.float32] = np.array(
    [_PROPERTIES[c] for c in range(N_CLASSES)], dtype=np.float32
)
"""Shape (N_CLASSES, 4): proton density, T1 ms, T2 ms, usual fat fraction."""

MUSCLE_CLASSES = (*range(1, 9), int(TissueClass.OTHER_MUSCLE), int(TissueClass.UNKNOWN_MUSCLE))
FAT_CLASSES = (
    int(TissueClass.SUBCUTANEOUS_FAT),
    int(TissueClass.VISCERAL_FAT),
    int(TissueClass.DEEP_FAT),
)


def label_of_class() -> NDArray[np.uint8]:
    """Lookup table (256,) from class id to muscle label; IGNORE for unknown muscle."""
    table = np.zeros(256, dtype=np.uint8)
    table[1:9] = np.arange(1, 9)
    table[TissueClass.UNKNOWN_MUSCLE] = IGNORE
    return table
