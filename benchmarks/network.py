"""The AI end to end: wall time, peak memory and how fast cancelling answers.

On the real Dixon case and on a whole body of 320 x 260 x 316 voxels with four contrasts, with two
threads, against nnU-Net's standard 3D full-resolution network on the same volumes in the same run.

The nnU-Net side is MONAI's DynUNet with the plan nnU-Net makes for such volumes (PlainConvUNet:
32 to 320 features, two convolutions a stage, instance norm, leaky ReLU, transposed convolutions;
patch of about two million voxels, half overlap, one fold, no mirroring). Its weights are random:
time does not depend on them. Some of its windows are timed and the mean is multiplied by their
number, which is said in the table; reading, resampling and export of nnU-Net are not counted.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.process import measure
from benchmarks.record import Record, compared
from napari_backfat.model.geometry import FileGrid
from napari_backfat.model.volume import Contrast
from napari_backfat.train.others import negative_slice
from napari_backfat.train.phantom_anatomy import make_anatomy
from napari_backfat.train.phantom_params import PhantomParams
from napari_backfat.train.phantom_signal import make_images
from tests.shared_data import real_dixon_case

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

THREADS = 2
_TIMED_WINDOWS = 2
_BODY_SHAPE = (316, 260, 320)
_BODY_SPACING_MM = (3.0, 1.6, 1.6)
_CONTRASTS = (Contrast.WATER, Contrast.FAT, Contrast.IN_PHASE, Contrast.OPPOSED_PHASE)


@dataclass(frozen=True)
class Plan:
    """What nnU-Net would plan for a volume.

    Attributes
    ----------
    patch : tuple of int
        (Z, Y, X).
    kernels, strides : tuple
        One entry for each stage.
    channels : int
        Input contrasts.
    """

    patch: tuple[int, int, int]
    kernels: tuple[tuple[int, int, int], ...]
    strides: tuple[tuple[int, int, int], ...]
    channels: int

    def windows(self, shape: tuple[int, int, int]) -> int:
        """Count windows with half overlap as nnU-Net places them."""
        steps = (
            math.ceil(max(0, n - p) / (p / 2)) + 1 for n, p in zip(shape, self.patch, strict=True)
        )
        return math.prod(steps)


# 4 x 1 x 1 mm: the slices are pooled once later, and the first stage does not mix them.
LUMBAR = Plan(
    (32, 256, 256),
    ((1, 3, 3), *((3, 3, 3),) * 6),
    ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2), (1, 2, 2)),
    2,
)
BODY = Plan((128, 128, 128), ((3, 3, 3),) * 6, ((1, 1, 1), *((2, 2, 2),) * 5), 4)

# The whole process counts: interpreter, imports, images, network. The longest time between two
# reports is what a click on Cancel can have to wait; torch is loaded when a case is opened, before.
_OURS = """
import time
import torch
torch.set_num_threads({threads})
import numpy as np
{load}
from napari_backfat.segment.torch_backend import TorchBackend
start = last = time.perf_counter()
gap, steps = 0.0, TorchBackend().run(scan, "cpu")
while True:
    try:
        progress = next(steps)
    except StopIteration as stop:
        made = stop.value
        break
    now = time.perf_counter()
    gap, last = max(gap, now - last), now
assert made.found
result = [time.perf_counter() - start, max(gap, time.perf_counter() - last),
          int(made.muscle.any(axis=(1, 2)).sum())]
"""

_LOAD_REAL = """
from napari_backfat.model.volume import Contrast
from napari_backfat.review.session import ReviewSession, run_to_end
scan = run_to_end(ReviewSession.load_job(
    [{water!r}, {fat!r}], [Contrast.WATER, Contrast.FAT], True)).scan
"""

_LOAD_BODY = """
from benchmarks.network import body_scan
scan = body_scan({folder!r})
"""

_THEIRS = """
import time
import torch
torch.set_num_threads({threads})
from benchmarks.network import Plan, nnunet
plan = Plan({patch}, {kernels}, {strides}, {channels})
network = nnunet(plan)
window = torch.zeros(1, plan.channels, *plan.patch)
seconds = []
with torch.inference_mode():
    for _ in range({windows}):
        start = time.perf_counter()
        network(window).softmax(1)
        seconds.append(time.perf_counter() - start)
result = seconds
"""


def nnunet(plan: Plan) -> Any:
    """Build nnU-Net's network for a plan, random weights, in evaluation mode."""
    from monai.networks.nets.dynunet import DynUNet

    features = [min(320, 32 * 2**stage) for stage in range(len(plan.strides))]
    return DynUNet(
        spatial_dims=3,
        in_channels=plan.channels,
        out_channels=9,
        kernel_size=plan.kernels,
        strides=plan.strides,
        upsample_kernel_size=plan.strides[1:],
        filters=features,
        norm_name=("INSTANCE", {"affine": True}),
        act_name=("leakyrelu", {"inplace": True, "negative_slope": 0.01}),
        deep_supervision=False,
    ).eval()


def body_grid() -> FileGrid:
    """Grid of the whole body, axial slices."""
    z, y, x = _BODY_SPACING_MM
    affine = np.diag([-x, -y, -z, 1.0])
    affine[:3, 3] = (160 * x, 150 * y, 105.0)
    return FileGrid.from_affine((_BODY_SHAPE[2], _BODY_SHAPE[1], _BODY_SHAPE[0]), affine)


def make_body(folder: Path) -> None:
    """Write four contrasts of a whole body: phantom trunk, mirrored upwards, and legs below.

    Above the lumbar spine the phantom repeats itself, so back muscles are found in about two
    thirds of all slices: more than in a real body, and so no flattering case for time.
    """
    height = 70
    geometry = body_grid().geometry
    affine = geometry.affine.copy()
    slab = type(geometry)((height, *_BODY_SHAPE[1:]), affine)
    person = make_anatomy(PhantomParams(seed=3), slab, (1, 1))
    images = make_images(person, _CONTRASTS, np.random.default_rng(3))
    rng = np.random.default_rng(4)
    legs = [_legs(rng) for _ in range(6)]
    for contrast in _CONTRASTS:
        trunk = images[contrast]
        whole = np.concatenate([trunk[::-1], trunk, trunk[::-1]])
        below = np.stack([legs[i % 6] for i in range(_BODY_SHAPE[0] - len(whole))])
        below = below * np.float32(np.percentile(trunk, 90))
        np.save(folder / f"{contrast.value}.npy", np.concatenate([whole, below]))


def _legs(rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw the outline of limbs or other anatomy without a back as brightness 0 to 1."""
    classes = negative_slice(rng).astype(np.float32)
    rows = np.linspace(0, classes.shape[0] - 1, _BODY_SHAPE[1]).astype(int)
    columns = np.linspace(0, classes.shape[1] - 1, _BODY_SHAPE[2]).astype(int)
    return np.asarray(np.sqrt(classes[rows][:, columns] / 33), dtype=np.float32)


def body_scan(folder: str) -> Any:
    """Open what `make_body` wrote as a scan of four images."""
    from napari_backfat.train.sources import scan_of

    images = {c: np.load(Path(folder) / f"{c.value}.npy") for c in _CONTRASTS}
    return scan_of(images, body_grid(), "whole body")


def records() -> Iterator[Record]:
    """Measure both volumes; the real case only where it is at hand."""
    case = real_dixon_case()
    if not case.absent:
        load = _LOAD_REAL.format(water=str(case.water), fat=str(case.fat))
        name = "real Dixon case, 400 x 400 x 29"
        yield from _both(name, load, LUMBAR, (29, 400, 400), 15.0, 2000.0)
    with tempfile.TemporaryDirectory() as folder:
        make_body(Path(folder))
        load = _LOAD_BODY.format(folder=folder)
        name = "whole body, 320 x 260 x 316, four contrasts"
        yield from _both(name, load, BODY, _BODY_SHAPE, 60.0, 4000.0)


def _both(
    name: str,
    load: str,
    plan: Plan,
    shape: tuple[int, int, int],
    goal_s: float,
    goal_mb: float,
) -> Iterator[Record]:
    name = f"{name}, {THREADS} threads"
    ours = measure(_OURS.format(threads=THREADS, load=load), timeout_s=1200)
    assert isinstance(ours.result, list)
    seconds, gap, slices = ours.result
    yield compared(f"AI, {name} (muscle in {slices} slices)", seconds, "s", "goal", goal_s)
    yield compared(f"AI, peak memory of the process, {name}", ours.peak_mb, "MB", "goal", goal_mb)
    yield compared(f"AI, longest wait for Cancel, {name}", gap, "s", "goal", 1.0)
    code = _THEIRS.format(
        threads=THREADS,
        patch=plan.patch,
        kernels=plan.kernels,
        strides=plan.strides,
        channels=plan.channels,
        windows=_TIMED_WINDOWS,
    )
    theirs = measure(code, timeout_s=1200)
    assert isinstance(theirs.result, list)
    count = plan.windows(shape)
    total = count * float(np.mean(theirs.result))
    how = f"nnU-Net 3D full resolution, {len(theirs.result)} of {count} windows timed"
    yield compared(f"AI against nnU-Net, {name}", seconds, "s", how, total)
    yield compared(
        f"AI against nnU-Net, peak memory, {name}", ours.peak_mb, "MB", how, theirs.peak_mb
    )
