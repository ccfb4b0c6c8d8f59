"""Table documents of small cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_backfat.measure.by_level import DISC_SLAB_MM, RegionKind
from napari_backfat.model.case import Case
from napari_backfat.model.masks import Masks
from napari_backfat.model.vertebrae import VertebralLevels
from napari_backfat.review.session import run_to_end
from napari_backfat.review.tables import table_job, table_request
from napari_backfat.separate.dixon import fat_fraction
from tests.phantom import make_case

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.io.table_schema import TableDocument

LEVELS = VertebralLevels((0.5, 3.0, 5.5, 8.5), "L1")


def small_case(fat: float = 0.3, threshold: float = 0.5, depth: int = 8) -> Case:
    """A Dixon case of eight slices with disc lines; L4 lies partly outside."""
    made = make_case((depth, 40, 64), (4.0, 2.0, 2.0), fat, pattern="voxels", undefined=2)
    masks = Masks(made.scan.geometry, fat_fraction(*made.scan.images), threshold)
    masks.replace(made.muscles)
    case = Case(made.scan, masks)
    case.vertebrae = LEVELS
    return case


def document(
    case: Case,
    by: RegionKind = RegionKind.LEVEL,
    slab_mm: float = DISC_SLAB_MM,
    vertebrae: Path | None = None,
) -> TableDocument:
    """Make the tables of a case."""
    return run_to_end(table_job(table_request(case, by, slab_mm), vertebrae))
