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


def main() -> None:
    """Write the sample case: ``python -m napari_backfat.train.phantom --out DIR --seed N``."""
    import argparse
    import logging
    from pathlib import Path

    from napari_backfat.train.phantom_sample import SAMPLE_SEED, write_sample

    parser = argparse.ArgumentParser(
        prog="python -m napari_backfat.train.phantom",
        description="Write a synthetic Dixon case with its true muscles and fat fraction.",
    )
    parser.add_argument("--out", type=Path, default=Path("sample_data"), help="folder to write to")
    parser.add_argument(
        "--seed", type=int, default=SAMPLE_SEED, help="another seed, another person"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    write_sample(arguments.out, arguments.seed)
    for path in sorted(arguments.out.iterdir()):
        logging.getLogger(__name__).info("%9d bytes  %s", path.stat().st_size, path)


if __name__ == "__main__":
    main()
