"""One palette for canvas, table, plots, reports and exported label tables.

Hues are Okabe and Ito's, which stay apart in the common forms of colour blindness. Both sides of
a muscle share a hue, because the side is read from position and letters; the right is lighter.
"""

from __future__ import annotations

from napari_backfat.model.anatomy import MUSCLES, Muscle, MuscleGroup, Side, TissueCode

RGBA = tuple[float, float, float, float]

_GROUP_HEX = {
    MuscleGroup.MULTIFIDUS: "#D55E00",
    MuscleGroup.ERECTOR_SPINAE: "#56B4E9",
    MuscleGroup.PSOAS_MAJOR: "#009E73",
    MuscleGroup.QUADRATUS_LUMBORUM: "#CC79A7",
}
_TISSUE_RGBA = {
    TissueCode.LEAN: ("#0072B2", 0.4),
    TissueCode.FAT: ("#F0E442", 0.95),
    TissueCode.LEAN_BY_HAND: ("#8FD0FF", 0.95),
    TissueCode.FAT_BY_HAND: ("#FF9100", 1.0),
}


def _rgb(hex_code: str) -> tuple[float, float, float]:
    red, green, blue = (int(hex_code[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def muscle_rgb(muscle: Muscle) -> tuple[float, float, float]:
    """Return the colour of a muscle, components 0..1."""
    red, green, blue = _rgb(_GROUP_HEX[muscle.group])
    if muscle.side is Side.LEFT:
        return red, green, blue
    lighter = 0.35
    return tuple(c + (1 - c) * lighter for c in (red, green, blue))  # type: ignore[return-value]


def muscle_colors() -> dict[int | None, RGBA]:
    """Return label -> RGBA for the muscle layer; None is the colour of unknown labels."""
    table: dict[int | None, RGBA] = {None: (1.0, 0.0, 1.0, 1.0), 0: (0.0, 0.0, 0.0, 0.0)}
    for muscle in MUSCLES:
        table[int(muscle)] = (*muscle_rgb(muscle), 1.0)
    return table


def tissue_rgba(code: TissueCode) -> RGBA:
    """Return the colour of a tissue code; painted voxels stand out from ruled ones."""
    hex_code, alpha = _TISSUE_RGBA[code]
    return (*_rgb(hex_code), alpha)


def tissue_colors() -> dict[int | None, RGBA]:
    """Return label -> RGBA for the tissue layer."""
    table: dict[int | None, RGBA] = {None: (1.0, 0.0, 1.0, 1.0), 0: (0.0, 0.0, 0.0, 0.0)}
    for code in _TISSUE_RGBA:
        table[int(code)] = tissue_rgba(code)
    return table
