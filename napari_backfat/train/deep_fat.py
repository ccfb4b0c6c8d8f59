"""Fat as it begins in the multifidus: deep, near the midline, in spots, with no step beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.train.fields import smooth_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PAIRS = ((1, 3), (2, 4))  # multifidus and the erector beside it
_LEAST_PIXELS = 60


@dataclass(frozen=True)
class DeepFat:
    """How fat lies in the multifidus of one slice.

    Attributes
    ----------
    graded : bool
        The multifidus' own fat fades away towards the erector.
    edge, softness : float
        Where it fades, from 0 (deep, at the midline) to 1 (at the erector), and over which part.
    angle : float
        Radian; 0 fades from the midline outward, a right angle from the lamina to the back.
    cleft : float
        Chance that a plane of fat parts multifidus and erector.
    spots : int
        Most spots in each multifidus.
    """

    graded: bool
    edge: float
    softness: float
    angle: float
    cleft: float
    spots: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> DeepFat:
        """Draw one."""
        return cls(
            graded=bool(rng.random() < 0.8),
            edge=float(rng.uniform(0.05, 0.8)),
            softness=float(rng.uniform(0.03, 0.2)),
            angle=float(rng.uniform(-0.3, 1.3)),
            cleft=0.9 if rng.random() < 0.35 else 0.25,
            spots=int(rng.integers(0, 6)),
        )

    def apply(
        self, rng: np.random.Generator, region: NDArray[np.uint8], part: NDArray[np.float32]
    ) -> None:
        """Change the fat fraction of the back muscles in place.

        Parameters
        ----------
        rng : Generator
            Source of randomness.
        region : ndarray, shape (Y, X), uint8
            Tissue classes; rows run to the back.
        part : ndarray, shape (Y, X), float32
            Fat fraction, 0 to 1.
        """
        columns = np.nonzero((region == 1) | (region == 2))[1]
        if len(columns) == 0:
            return
        middle = float(columns.mean())
        noise = smooth_noise(rng, (region.shape[0], region.shape[1]), 9)
        for multifidus, erector in _PAIRS:
            mask = region == multifidus
            if mask.sum() < _LEAST_PIXELS:
                continue
            inner = self._inner(mask, middle, noise)
            there = region == erector
            beside = part[there]
            if self.graded and beside.size:
                own = part[mask]
                like = own * (np.median(beside) / max(1e-3, float(np.median(own))))
                part[mask] = np.clip(inner * own + (1 - inner) * like, 0, 0.97)
            _spots(rng, mask, inner, int(rng.integers(0, self.spots + 1)), part)
            if beside.size >= _LEAST_PIXELS:
                even = np.ones(beside.size, dtype=np.float32)
                _spots(rng, there, even, int(rng.integers(0, 4)), part)

    def _inner(
        self, mask: NDArray[np.bool_], middle: float, noise: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Weight of the inner part at each pixel of the mask, 0 to 1."""
        rows, columns = np.nonzero(mask)
        outward = np.abs(columns - middle)
        u = (outward - outward.min()) / max(1.0, float(np.ptp(outward)))
        v = (rows - rows.min()) / max(1.0, float(np.ptp(rows)))
        along = np.cos(self.angle) * u + np.sin(self.angle) * v + 0.08 * noise[mask]
        low, high = np.percentile(along, (2, 98))
        along = (along - low) / max(1e-3, float(high - low))
        inner = 1 / (1 + np.exp((along - self.edge) / self.softness))
        return np.asarray(inner, dtype=np.float32)


def _spots(
    rng: np.random.Generator,
    mask: NDArray[np.bool_],
    weight: NDArray[np.float32],
    count: int,
    part: NDArray[np.float32],
) -> None:
    """Put small bodies of fat, 1 to 5 mm wide, into a muscle, in place."""
    rows, columns = np.nonzero(mask)
    chance = weight.astype(np.float64) + 0.1
    for at in rng.choice(len(rows), size=count, p=chance / chance.sum()):
        size = rng.uniform(0.6, 2.4, 2)
        turn = rng.uniform(0, np.pi)
        y, x = rows - rows[at], columns - columns[at]
        a = (np.cos(turn) * x + np.sin(turn) * y) / size[0]
        b = (np.cos(turn) * y - np.sin(turn) * x) / size[1]
        spot = rng.uniform(0.2, 0.95) * np.exp(-0.5 * (a**2 + b**2))
        part[mask] = np.maximum(part[mask], spot)
