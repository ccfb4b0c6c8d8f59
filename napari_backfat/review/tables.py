"""The tables of a case as one document, ready for files."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_backfat import __version__
from napari_backfat.io.table_schema import (
    Levels,
    MeasureDefinition,
    Method,
    Row,
    ScanRecord,
    TableDocument,
)
from napari_backfat.io.vertebra_labels import read_vertebra_labels
from napari_backfat.measure.bodies import body_areas_cm2, on_case_grid, vertebral_bodies
from napari_backfat.measure.by_level import (
    DISC_SLAB_MM,
    TARGETS,
    RegionKind,
    disc_regions,
    level_regions,
    slice_regions,
    whole_region,
)
from napari_backfat.measure.profile import slice_profile
from napari_backfat.measure.quantify import quantify
from napari_backfat.measure.region_table import definitions, detailed_measures, region_rows
from napari_backfat.measure.uncertainty import border_job
from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.model.risk_results import RESEARCH_USE_ONLY
from napari_backfat.review.restore import now
from napari_backfat.separate.corrected import refusal, together
from napari_backfat.separate.corrected_scan import means_job
from napari_backfat.separate.wording import CORRECTION_METHOD, noise_words

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_backfat.measure.by_level import Region
    from napari_backfat.model.case import Case
    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.geometry import Geometry
    from napari_backfat.model.ledger import Ledger
    from napari_backfat.model.results import Measurement
    from napari_backfat.model.vertebrae import VertebralLevels
    from napari_backfat.model.volume import Scan
    from napari_backfat.separate.corrected import CorrectedMeans

_UNCERTAINTY = (
    "Standard deviation of a volume or mean area from the position of the muscle's border alone: "
    "(dilated - eroded by one voxel in the slice plane) / 2 x 0.5 / sqrt(3), the whole border "
    "taken as off together. A second reader's or a second scan's variation is not in it."
)
_CHOSEN = ("noise_share",)


@dataclass(frozen=True, eq=False)
class TableRequest:
    """A copy of all that a table needs, so that it can be made while the case is edited.

    Attributes
    ----------
    muscle, tissue : ndarray, shape (Z, Y, X), uint8
        Copies of the masks.
    counts : Ledger
        Counts of these copies.
    measurement : Measurement
        Numbers of the whole scan.
    scan : Scan
        The images.
    means : CorrectedMeans or None
        Those of these masks, if they are known already.
    """

    by: RegionKind
    slab_mm: float
    muscle: NDArray[np.uint8]
    tissue: NDArray[np.uint8]
    counts: Ledger
    measurement: Measurement
    fat_map: FatMap
    threshold: float
    geometry: Geometry
    levels: VertebralLevels | None
    method: dict[str, Any]
    images: tuple[str, ...]
    scan: Scan
    means: CorrectedMeans | None = None


def table_request(
    case: Case,
    by: RegionKind = RegionKind.LEVEL,
    slab_mm: float = DISC_SLAB_MM,
    levels: VertebralLevels | None = None,
    copies: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None,
    means: CorrectedMeans | None = None,
) -> TableRequest:
    """Copy what a table needs; to be called on the main thread.

    Parameters
    ----------
    case : Case
        The open case.
    by : RegionKind
        What the rows stand for.
    slab_mm : float
        Thickness of disc-centred slabs.
    levels : VertebralLevels, optional
        Default: those of the case.
    copies : two of ndarray, shape (Z, Y, X), uint8, optional
        Muscles and tissue, copied just now from masks in step; else they are copied here.
    means : CorrectedMeans, optional
        Those of these masks, to spare a pass.

    Raises
    ------
    BackfatError
        If rows by level or disc are wanted and there are no disc lines.
    """
    levels = levels or case.vertebrae
    if levels is None and by in (RegionKind.LEVEL, RegionKind.DISC):
        raise BackfatError(
            f"This case has no vertebral levels, so there is no table by {by.value}; place the "
            "disc lines first (in the window, or with: napari-backfat levels), or ask for a "
            "table by slice."
        )
    masks = case.masks
    if copies is None:
        masks.sync()
        copies = masks.muscle.copy(), masks.tissue.copy()
        counts = masks.recount()
    else:
        counts = copy.deepcopy(masks.ledger)
    ai = case.ai
    origin = "painted or read from a file"
    if ai is not None:
        origin = f"AI: {ai.provenance.get('backend', 'unknown')}"
        if ai.provenance.get("weights_sha256"):
            origin += f", weights {str(ai.provenance['weights_sha256'])[:12]}"
    parameters = dict(masks.fat_map.parameters)
    method = {
        "fat_kind": masks.fat_map.kind.value,
        "fat_method": masks.fat_map.method,
        "threshold": masks.threshold,
        "settings": _settings(parameters),
        "parameters": parameters,
        "notes": [*case.scan.notes, *masks.fat_map.notes],
        "segmentation": origin,
        "edits": masks.edits,
    }
    measurement = quantify(
        counts,
        masks.geometry,
        masks.fat_map.kind,
        masks.threshold,
        ai.combined if ai is not None else (),
    )
    return TableRequest(
        by,
        slab_mm,
        *copies,
        counts,
        measurement,
        masks.fat_map,
        masks.threshold,
        masks.geometry,
        levels,
        method,
        tuple(v.source.sha256 for v in case.scan.images),
        case.scan,
        means,
    )


def table_job(
    request: TableRequest, vertebrae: Path | None = None, scheme: str = "totalsegmentator"
) -> Generator[Progress, None, TableDocument]:
    """Make the tables; runs in the background, for a large scan several seconds.

    Parameters
    ----------
    request : TableRequest
        Copy of the case.
    vertebrae : Path, optional
        Label map of the vertebrae, for the muscle-to-body ratio.
    scheme : str
        Its numbering; see `io.vertebra_labels.VERTEBRA_IDS`.

    Returns
    -------
    TableDocument

    Raises
    ------
    BackfatError
        If no level lies within the scan, or the label map cannot be used.
    """
    geometry = request.geometry
    regions = _regions(request)
    if not regions:
        raise BackfatError(
            f"No {request.by.value} of this case lies within the scan; check the disc lines."
        )
    areas = None
    if vertebrae is not None:
        yield Progress(0.0, "Vertebral bodies")
        found = read_vertebra_labels(vertebrae, scheme)
        bodies = vertebral_bodies(found.array, found.names, found.geometry)
        carried = on_case_grid(bodies.astype(int), found.geometry, geometry) > 0
        areas = body_areas_cm2(carried, geometry)
    borders = yield from border_job(
        request.muscle, request.tissue, request.fat_map, request.threshold, geometry
    )
    means, corrected = request.means, None
    if means is None:
        means = (yield from means_job(request.scan, request.fat_map, request.muscle))[0]
    if means is not None:
        corrected = []
        for region in regions:
            by_muscle = yield from means.each(region.weights(geometry.shape[0]))
            corrected += [together(by_muscle, target.labels) for target in TARGETS]
    yield Progress(0.9, "Writing the table")
    profile = slice_profile(request.counts, geometry, request.fat_map.kind)
    measured = detailed_measures(
        profile, geometry, regions, request.muscle, request.fat_map, borders, areas, corrected
    )
    of, titles = request.measurement, request.measurement.combined_titles
    present = [m for m in MUSCLES if of.muscles[m].volume_ml > 0]
    return TableDocument(
        disclaimer=RESEARCH_USE_ONLY,
        program=f"napari-backfat {__version__}",
        created=now(),
        by=request.by.value,
        slab_mm=request.slab_mm if request.by is RegionKind.DISC else None,
        scan=ScanRecord(
            shape=geometry.shape,
            spacing_mm=geometry.spacing_mm,
            images_sha256=list(request.images),
        ),
        method=Method(
            **request.method,
            muscles=[titles.get(m, m.display_name) for m in present],
            uncertainty=_UNCERTAINTY,
            correction=_correction(request, means),
        ),
        levels=_levels(request.levels, geometry),
        measures=[MeasureDefinition(**d) for d in definitions()],
        rows=[Row(**row) for row in region_rows(measured, of.combined_notes)],
    )


def _correction(request: TableRequest, means: CorrectedMeans | None) -> str:
    """Say how the corrected means of a table were made, or why there are none."""
    if means is None:
        return f"None: {refusal(request.scan, request.fat_map)}."
    noise = means.noise
    if noise.sd <= 0:
        return f"None: {noise.why}."
    return f"{CORRECTION_METHOD} {noise_words(noise)}"


def _regions(request: TableRequest) -> tuple[Region, ...]:
    depth = request.geometry.shape[0]
    if request.by is RegionKind.SLICE:
        return slice_regions(depth)
    if request.by is RegionKind.WHOLE or request.levels is None:
        return (whole_region(depth),)
    if request.by is RegionKind.DISC:
        return disc_regions(request.levels, request.geometry, request.slab_mm)
    return level_regions(request.levels, depth)


def _levels(levels: VertebralLevels | None, geometry: Geometry) -> Levels | None:
    if levels is None:
        return None
    return Levels(
        **levels.to_dict(),
        discs_mm=list(levels.positions_mm(geometry)),
        disc_names=list(levels.disc_names),
    )


def _settings(parameters: dict[str, Any]) -> dict[str, Any]:
    """Take what was chosen out of all parameters; what was fitted differs from scan to scan."""
    if isinstance(parameters.get("recipe"), dict):
        return dict(parameters["recipe"])
    return {key: parameters[key] for key in _CHOSEN if key in parameters}
