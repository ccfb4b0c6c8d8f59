"""Our own anatomical phantom: a procedural lumbar trunk from T12 to S1.

`make_anatomy(draw_params(rng), grid)` gives labels, muscle map and true fat fraction;
`make_images(anatomy, contrasts, rng)` gives magnitude images. No voxel and no contour of it
comes from a person.
"""

from __future__ import annotations

from napari_backfat.train.phantom_anatomy import Anatomy, make_anatomy
from napari_backfat.train.phantom_params import (
    MUSCLE_BASE,
    PhantomParams,
    TissueClass,
    draw_params,
    muscle_class,
)
from napari_backfat.train.phantom_signal import Acquisition, draw_acquisition, make_images

__all__ = [
    "MUSCLE_BASE",
    "Acquisition",
    "Anatomy",
    "PhantomParams",
    "TissueClass",
    "draw_acquisition",
    "draw_params",
    "make_anatomy",
    "make_images",
    "muscle_class",
]
