"""Adapt the bundled network to one case: learn from its corrected slices, outline the others."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.model.anatomy import MUSCLES, Muscle
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.segment.adapt_lesson import corrected_table, make_lesson, slices_to_learn
from napari_backfat.segment.adapt_torch import AdaptOptions, teach
from napari_backfat.segment.cleanup import clean
from napari_backfat.segment.devices import check_memory, resolve_device
from napari_backfat.segment.drawing import Outlines, draw
from napari_backfat.segment.inference import Pass, predict, smooth_along
from napari_backfat.segment.localise import Place
from napari_backfat.segment.neighbours import NeighbourShapes
from napari_backfat.segment.network import N_LABELS
from napari_backfat.segment.preprocess import slab_matrix, window_for
from napari_backfat.segment.reformat import labels_back_steps, muscles_lean_deg, upright_frame
from napari_backfat.segment.torch_backend import load_module, reported
from napari_backfat.segment.torch_work import torch_at_work
from napari_backfat.segment.weights import BUNDLED, find_weights, load_networks

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_backfat.model.volume import Scan
    from napari_backfat.segment.weights import Weights

_MARGIN_MM, _Z_MARGIN_MM = 22.0, 10.0
_ALONG_MM = 2.5
_LOOKS = (Pass(1.0, False), Pass(1.0, True))
_BATCH = 2
_BASE_BYTES = 1_500_000_000  # torch, the network, and what a step of learning keeps


@dataclass(frozen=True, eq=False)
class Adapted:
    """What a network that learned from slices of this case says about all of them.

    Attributes
    ----------
    muscle : ndarray, shape (Z, Y, X), uint8
        `Muscle` ids on the working grid; only muscles that were corrected in some slice.
    slices : ndarray of bool, shape (Z,)
        Slices that were looked at; the others hold nothing.
    about : dict
        For provenance: parent weights and their hash, slices, steps, seed, seconds, device.
    """

    muscle: NDArray[np.uint8]
    slices: NDArray[np.bool_]
    about: dict[str, Any] = field(default_factory=dict)


def adapt_job(
    scan: Scan,
    muscle: NDArray[np.uint8],
    corrected: NDArray[np.bool_],
    folder: Path = BUNDLED,
    device: str = "auto",
    options: AdaptOptions | None = None,
) -> Generator[Progress, None, Adapted]:
    """Teach a copy of the fine network on corrected slices and outline all slices with it.

    The copy is forgotten afterwards: nothing is written anywhere, and the weights folder stays as
    it is. Where the scan is not oblique, the shapes of the nearest corrected slices are weighed
    against the network's answer; see `neighbours.NeighbourShapes`.

    Parameters
    ----------
    scan : Scan
        One image, or water and fat.
    muscle : ndarray, shape (Z, Y, X), uint8
        Masks of the case. What a person corrected is taught; where muscles lie elsewhere only says
        where to look.
    corrected : ndarray of bool, shape (Z,) or (Z, 9)
        Slices that a person corrected, or which muscles of each slice. Of a slice in which only
        some are corrected, it is taught where these are and where they are not.
    folder : Path
        Weights folder to begin with.
    device : str
        "auto", "cpu", "cuda" or "mps".
    options : AdaptOptions, optional
        See there.

    Yields
    ------
    Progress
        Several a second; closing the generator gives up at the next step.

    Raises
    ------
    BackfatError
        If no corrected slice shows a muscle, or the device or memory do not suffice.
    """
    table = corrected_table(muscle, corrected)
    labelled = [m for m in MUSCLES if table[:, m].any()]
    if not labelled:
        raise BackfatError(
            "No corrected slice shows a muscle; draw some slices right, then learn from them."
        )
    yield Progress(0.0, "Starting torch")
    yield from load_module("torch", Progress(0.0, "Starting torch"))
    device, _ = resolve_device(device)
    with torch_at_work(device):
        return (
            yield from _run(
                scan, muscle, table, labelled, folder, device, options or AdaptOptions()
            )
        )


def _run(
    scan: Scan,
    muscle: NDArray[np.uint8],
    table: NDArray[np.bool_],
    labelled: list[Muscle],
    folder: Path,
    device: str,
    options: AdaptOptions,
) -> Generator[Progress, None, Adapted]:
    started = time.perf_counter()
    yield from load_module(
        "monai.networks.nets.basic_unet", Progress(0.01, "Starting the network library")
    )
    weights = find_weights(folder)
    own = scan.geometry
    frame = upright_frame(own, muscles_lean_deg(muscle, own.spacing_mm[1:]))
    voxels = int(np.prod(own.shape)) + (3 * int(np.prod(frame.shape)) if frame else 0)
    check_memory(_BASE_BYTES + 14 * voxels, device)
    yield Progress(0.02, "Loading the network")
    fine = load_networks(weights)[1]
    lesson = yield from make_lesson(scan, muscle, table, frame)
    (depth, height, width), spacing = lesson.geometry.shape, lesson.geometry.spacing_mm
    to_slabs = slab_matrix(depth, spacing[0])
    slab_mm = spacing[0] * depth / len(to_slabs)
    place = _place(lesson.muscle, to_slabs, spacing, slab_mm)
    extent = weights.fine.extent_mm(place.extent_mm)
    grid = window_for((height, width), spacing[1:], weights.fine.spacing_mm, place.centre, extent)
    pages = slices_to_learn(lesson, to_slabs, grid)
    lessons = teach(fine, pages.images, pages.labels, pages.known, options, device)
    while True:
        try:
            step, loss = next(lessons)
        except StopIteration as stop:
            network = stop.value
            break
        text = f"Learning from {len(pages.slabs)} slices, step {step} of {options.steps}"
        yield Progress(0.05 + 0.65 * step / options.steps, f"{text}, loss {loss:.2f}")

    shapes = None
    if frame is None:
        shapes = NeighbourShapes(
            pages.labels, pages.slabs, slab_mm, weights.fine.spacing_mm, pages.known
        )
    count = place.slabs.stop - place.slabs.start
    wanted = np.stack([lesson.slab(to_slabs[s]) for s in place.slabs])
    window = np.zeros((count, N_LABELS, *grid.size), dtype=np.float16)
    for look in predict(network, wanted, grid, _LOOKS, device, _BATCH):
        if look.probability is not None:
            for i in range(look.part.start, look.part.stop):
                answer = look.probability[i - look.part.start]
                if shapes is not None:
                    answer = shapes.weigh(answer, place.slabs.start + i)
                window[i] = answer
        yield Progress(0.7 + 0.2 * look.share, f"Outlining slice {look.part.stop} of {count}")
    smooth = yield from reported(
        smooth_along(window, slab_mm, _ALONG_MM), 0.9, "Joining neighbouring slices"
    )
    nothing = np.zeros((count, *grid.size), dtype=np.float32)
    outlines = Outlines(smooth, nothing, grid, np.zeros(N_LABELS), np.zeros(N_LABELS))
    drawing = draw(outlines, place, to_slabs, lesson.geometry.shape)
    drawn, doubt, _ = yield from reported(drawing, 0.93, "Drawing the muscles")
    drawn[~np.isin(drawn, labelled)] = 0
    yield Progress(0.96, "Checking sides and islands")
    found = clean(drawn, spacing)
    slices = np.asarray(to_slabs[place.slabs.start : place.slabs.stop].any(axis=0))
    if frame is not None:
        steps = labels_back_steps(found, doubt, frame, own)
        found, doubt = yield from reported(steps, 0.97, "Turning the masks back")
        slices = np.asarray(muscle.any(axis=(1, 2)) | found.any(axis=(1, 2)))
    yield Progress(1.0, "Done")
    seconds = time.perf_counter() - started
    return Adapted(found, slices, _about(weights, table, options, device, seconds, doubt))


def _place(
    muscle: NDArray[np.uint8],
    to_slabs: NDArray[np.float32],
    spacing: tuple[float, float, float],
    slab_mm: float,
) -> Place:
    """Where the masks lie; islands far away do not count."""
    rows, columns = np.nonzero(muscle.any(axis=0))
    low = np.array([np.percentile(rows, 0.5), np.percentile(columns, 0.5)])
    high = np.array([np.percentile(rows, 99.5), np.percentile(columns, 99.5)])
    extent = (high - low + 1) * np.array(spacing[1:]) + 2 * _MARGIN_MM
    with_muscle = muscle.any(axis=(1, 2)).astype(np.float32)
    busy = np.flatnonzero(to_slabs @ with_muscle > 0)
    margin = max(1, int(np.ceil(_Z_MARGIN_MM / slab_mm)))
    slabs = range(max(0, int(busy[0]) - margin), min(len(to_slabs), int(busy[-1]) + margin + 1))
    middle = (low + high) / 2
    return Place((float(middle[0]), float(middle[1])), (float(extent[0]), float(extent[1])), slabs)


def _about(
    weights: Weights,
    table: NDArray[np.bool_],
    options: AdaptOptions,
    device: str,
    seconds: float,
    doubt: NDArray[np.float32],
) -> dict[str, Any]:
    return {
        "parent": weights.name,
        "parent_sha256": weights.sha256,
        "corrected_slices": [int(z) for z in np.flatnonzero(table.any(axis=1))],
        "corrected_muscles": [[int(m) for m in np.flatnonzero(row)] for row in table if row.any()],
        "steps": options.steps,
        "learning_rate": options.learning_rate,
        "seed": options.seed,
        "device": device,
        "seconds": round(seconds, 2),
        "weights_kept": False,
        "slice_uncertainty": [round(float(u), 3) for u in doubt],
    }
