"""The same masks whichever way a scan is stored or tilted.

``python -m benchmarks.orientations`` segments one case (the real Dixon case where it is at hand,
and a phantom person) stored in all 48 axis orientations, and turned by 15 degrees about each axis
of the patient, and brings every answer back to the first grid. It prints the table of
``docs/ai-trust.md``.

The 48 are permutations and flips of one file: all of them must reach the network as equal arrays,
and for those that are run (``--some 48`` runs all) the masks must be equal to the last voxel.
A turned scan is another acquisition of the same body: the phantom is cut anew from a rigid body
(`benchmarks.rigid_phantom`); the real case is interpolated once more, and how much of its
agreement that interpolation alone costs is stated beside it (the first answer taken to the turned
grid and back).
"""

from __future__ import annotations

import argparse
import itertools
import sys
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from scipy.spatial.transform import Rotation

from benchmarks.real_case import expert_muscles, open_case
from benchmarks.rigid_phantom import RigidPhantom
from napari_backfat.model.anatomy import MUSCLES
from napari_backfat.model.geometry import FileGrid, Geometry
from napari_backfat.model.volume import Scan, Source, Volume
from napari_backfat.segment.reformat import labels_back, resample
from napari_backfat.segment.torch_backend import TorchBackend
from napari_backfat.train.evaluate import run
from napari_backfat.train.real_slices import EXPERT
from napari_backfat.train.sources import scan_of
from tests.shared_data import real_dixon_case

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ORIENTATIONS = tuple(
    "".join(letters)
    for order in itertools.permutations(("RL", "AP", "SI"))
    for letters in itertools.product(*order)
)
TURN_DEG = 15.0
_AXES = ("left-right axis", "front-back axis", "head-foot axis")
_SIGN = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


def stored_as(scan: Scan, letters: str) -> Scan:
    """Store a scan with file axes that run towards these letters, and read it back.

    Parameters
    ----------
    scan : Scan
        Any scan on an upright grid.
    letters : str
        One of `ORIENTATIONS`, for example "ASR": first file axis to the front, and so on.
    """
    geometry = scan.geometry
    affine, shape, order, backwards = np.eye(4), [], [], []
    affine[:3, 3] = geometry.affine[:3, 3]
    for i, letter in enumerate(letters):
        ras, sign = _SIGN[letter]
        working = int(np.argmax(np.abs(geometry.affine[ras, :3])))
        column = geometry.affine[:3, working]
        against = np.sign(column[ras]) != sign
        if against:
            affine[:3, 3] += column * (geometry.shape[working] - 1)
        affine[:3, i] = -column if against else column
        shape.append(geometry.shape[working])
        order.append(working)
        backwards.append(against)
    grid = FileGrid.from_affine((shape[0], shape[1], shape[2]), affine)
    volumes = []
    for v in scan.images:
        in_file = np.transpose(v.voxels, order)[
            tuple(slice(None, None, -1 if b else 1) for b in backwards)
        ]
        working_again = grid.to_working(np.ascontiguousarray(in_file))
        volumes.append(Volume(working_again, grid, Source(letters, ""), v.contrast))
    return Scan(tuple(volumes), volumes[0])


def turned(geometry: Geometry, axis: int, degrees: float) -> FileGrid:
    """Make the grid of a scan of the same field, turned about an axis (0 R, 1 A, 2 S)."""
    spacing = np.array(geometry.spacing_mm)
    size = np.array(geometry.shape)
    centre = geometry.affine[:3, :3] @ ((size - 1) / 2) + geometry.affine[:3, 3]
    rotation = Rotation.from_rotvec(np.radians(degrees) * np.eye(3)[axis]).as_matrix()
    directions = rotation @ (geometry.affine[:3, :3] / spacing)
    corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in size], indexing="ij")).reshape(3, -1)
    world = geometry.affine[:3, :3] @ corners + geometry.affine[:3, 3:] - centre[:, None]
    extent = 2 * np.abs(directions.T @ world).max(axis=1)
    shape = np.ceil(extent / spacing).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing
    affine[:3, 3] = centre - affine[:3, :3] @ ((shape - 1) / 2)
    return FileGrid.from_affine((shape[2], shape[1], shape[0]), affine[:, [2, 1, 0, 3]])


def dice(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> tuple[float, float, str]:
    """Return Dice of all muscle voxels together, the least of one muscle, and its name."""
    by_muscle = {
        m.display_name: 2
        * float(((a == m) & (b == m)).sum())
        / float((a == m).sum() + (b == m).sum())
        for m in MUSCLES
        if (a == m).any() or (b == m).any()
    }
    worst = min(by_muscle, key=lambda k: by_muscle[k])
    either = 2 * float(((a > 0) & (b > 0)).sum()) / float((a > 0).sum() + (b > 0).sum())
    return either, by_muscle[worst], worst


def swapped_sides(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Share of the voxels that are muscle in both and have another side in one of them."""
    both = (a > 0) & (b > 0)
    return float((a[both] % 2 != b[both] % 2).mean())


def _back(muscle: NDArray[np.uint8], source: Geometry, target: Geometry) -> NDArray[np.uint8]:
    nothing = np.zeros(source.shape[0], dtype=np.float32)
    return labels_back(muscle, nothing, source, target)[0]


def real_scan_on(scan: Scan, grid: FileGrid) -> Scan:
    """Interpolate a scan linearly on another grid."""
    images = {}
    for v in scan.images:
        out = np.zeros(grid.geometry.shape, dtype=np.float32)
        for part, values in resample(v.voxels, scan.geometry, grid.geometry):
            out[part] = values
        images[v.contrast] = out
    return scan_of(images, grid, "turned")


def measure(
    console: Console,
    name: str,
    scan: Scan,
    on_grid: Callable[[FileGrid], Scan],
    accuracy: Callable[[NDArray[np.uint8], Geometry], float],
    orientations: tuple[str, ...],
) -> bool:
    """Print the rows of one case; whether all 48 were equal.

    `accuracy` is the Dice of an answer on a grid with the truth.
    """
    backend = TorchBackend()
    first = run(backend, scan).muscle
    upright = accuracy(first, scan.geometry)
    equal, same_input, sides = 0, 0, 0.0
    for letters in ORIENTATIONS:
        stored = stored_as(scan, letters)
        same_input += all(
            np.array_equal(a.voxels, b.voxels)
            for a, b in zip(stored.images, scan.images, strict=True)
        ) and np.allclose(stored.geometry.affine, scan.geometry.affine, atol=1e-6)
        if letters not in orientations:
            continue
        grid = stored.reference.file_grid
        answer = np.ascontiguousarray(grid.to_file(run(backend, stored).muscle))
        again = _to_first(answer, grid, scan.geometry)
        equal += np.array_equal(again, first)
        sides = max(sides, swapped_sides(first, again))
    console.print(
        f"| {name} | 48 axis orientations | {same_input} of 48 reach the network as equal arrays; "
        f"{equal} of {len(orientations)} that were run gave masks equal to the last voxel | "
        f"{100 * sides:.1f} % |  | {upright:.3f} |"
    )
    for axis, word in enumerate(_AXES):
        grid = turned(scan.geometry, axis, TURN_DEG)
        answer = run(backend, on_grid(grid)).muscle
        again = _back(answer, grid.geometry, scan.geometry)
        there = _back(first, scan.geometry, grid.geometry)
        ceiling = dice(first, _back(there, grid.geometry, scan.geometry))
        found = dice(first, again)
        console.print(
            f"| {name} | {TURN_DEG:.0f} degrees about the {word} | {found[0]:.3f}, least "
            f"{found[1]:.3f} ({found[2]}) | {100 * swapped_sides(first, again):.1f} % | "
            f"{ceiling[0]:.3f}, least {ceiling[1]:.3f} | {accuracy(answer, grid.geometry):.3f} |"
        )
    return equal == len(orientations) and same_input == len(ORIENTATIONS)


def _against(body: RigidPhantom) -> Callable[[NDArray[np.uint8], Geometry], float]:
    return lambda muscle, grid: dice(muscle, body.muscles(grid))[0]


def _against_expert(
    scan: Scan, expert: NDArray[np.uint8]
) -> Callable[[NDArray[np.uint8], Geometry], float]:
    """Back muscles together, on the scan's own grid."""
    back = [int(m) for m in EXPERT]

    def accuracy(muscle: NDArray[np.uint8], grid: Geometry) -> float:
        again = muscle if grid is scan.geometry else _back(muscle, grid, scan.geometry)
        return dice(np.where(np.isin(again, back), again, 0), expert)[0]

    return accuracy


def _to_first(answer: NDArray[np.uint8], grid: FileGrid, geometry: Geometry) -> NDArray[np.uint8]:
    """Put a file's array back on the first grid by the two affines alone, without rounding."""
    matrix = np.linalg.inv(grid.affine) @ geometry.affine
    axes = np.rint(matrix[:3, :3]).astype(int)
    assert np.allclose(matrix[:3, :3], axes, atol=1e-4), "the grids are not permutations"
    index = np.indices(geometry.shape, sparse=True)
    start = np.rint(matrix[:3, 3]).astype(int)
    at = [start[k] + sum(int(axes[k, j]) * index[j] for j in range(3)) for k in range(3)]
    return answer[tuple(np.broadcast_to(a, geometry.shape) for a in at)]


def main(arguments: list[str], console: Console | None = None) -> int:
    """Print the table; 1 if an axis orientation changed an answer."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.orientations")
    parser.add_argument("--some", type=int, default=6, help="how many of the 48 are run")
    parser.add_argument("--no-real", action="store_true", help="only the phantom")
    options = parser.parse_args(arguments)
    console = console or Console(width=200, soft_wrap=True)
    console.print(
        "| case | turned | Dice of all muscle, least of one | wrong side | interpolation alone "
        "| with the truth |"
    )
    console.print("|---|---|---|---|---|---|")
    orientations = ORIENTATIONS[7 :: max(1, 48 // options.some)][: options.some]
    if options.some >= len(ORIENTATIONS):
        orientations = ORIENTATIONS
    fine = True
    for spacing, shape, tried in (
        ((1.4, 1.4, 3.0), (280, 200, 24), orientations),
        ((1.2, 1.2, 1.5), (326, 234, 48), orientations[:1]),
    ):
        affine = np.diag([-spacing[0], -spacing[1], -spacing[2], 1.0])
        affine[:3, 3] = (shape[0] / 2 * spacing[0], 0.6 * shape[1] * spacing[1], 45.0)
        grid = FileGrid.from_affine(shape, affine)
        name = f"phantom, {spacing[2]:g} mm slices"
        grids = [grid.geometry, *(turned(grid.geometry, a, TURN_DEG).geometry for a in range(3))]
        body = RigidPhantom(40001, grids)
        fine &= measure(console, name, body.scan(grid), body.scan, _against(body), tried)
    case = real_dixon_case()
    if not case.absent and not options.no_real:
        session = open_case(case)
        assert session.case is not None
        scan = session.case.scan
        fine &= measure(
            console,
            "real case, 4 mm slices",
            scan,
            lambda g: real_scan_on(scan, g),
            _against_expert(scan, expert_muscles(case, session)),
            orientations,
        )
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
