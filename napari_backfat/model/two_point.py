"""Water and fat from an in-phase and an opposed-phase image, and from a fat-fraction map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

AMBIGUITY = (
    "Water and fat were computed from in- and opposed-phase magnitude images, (IP+OP)/2 and "
    "(IP-OP)/2 (two-point Dixon, Dixon 1984, doi 10.1148/radiology.153.1.6089263). The magnitude "
    "does not say which of the two is water: wherever there is more fat than water they are "
    "exchanged, so no fat fraction above 50 % can appear (80 % reads as 20 %) and fat is "
    "underestimated in fatty muscles. T2* decay between the echoes, T1 and the fat spectrum are "
    "not corrected. Fatty tissue outside the muscles shows as water."
)
_FLOOR = 0.1


def separate_two_point(
    in_phase: NDArray[np.float32], opposed: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Separate magnitude images of two echoes.

    Parameters
    ----------
    in_phase, opposed : ndarray, shape (Z, Y, X), float32
        Magnitude images on one grid and one intensity scale.

    Returns
    -------
    water, fat : ndarray, shape (Z, Y, X), float32
        (IP + OP) / 2 and (IP - OP) / 2, the latter at least 0: the larger and the smaller of the
        two components. They are water and fat where water prevails (see `AMBIGUITY`).
    """
    ip, op = np.clip(in_phase, 0, None), np.clip(opposed, 0, None)
    fat = np.clip((ip - op) * np.float32(0.5), 0, None)
    return (ip + op) * np.float32(0.5), fat


def opposed_above_in_phase(
    in_phase: NDArray[np.float32], opposed: NDArray[np.float32], margin: float = 1.05
) -> float:
    """Return the share of the signal region where opposed-phase is clearly the brighter, 0..1.

    It should be hardly anywhere; a large share means that the images are exchanged, or scaled
    differently.
    """
    step = max(1, int(np.cbrt(in_phase.size / 1_000_000)))
    ip, op = in_phase[::step, ::step, ::step], opposed[::step, ::step, ::step]
    signal = ip + op > 0.1 * float(np.percentile(ip + op, 99))
    return float((op[signal] > margin * ip[signal]).mean()) if signal.any() else 0.0


def split_by_fraction(
    fraction: NDArray[np.float32], signal: NDArray[np.float32] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return water and fat images whose F / (F + W) is a given map.

    Parameters
    ----------
    fraction : ndarray, shape (Z, Y, X), float32
        Fat fraction 0..1; NaN where there is none.
    signal : ndarray, shape (Z, Y, X), float32, or None
        Summed signal W + F to be divided; it only shapes the pictures. None: 1000 everywhere.

    Returns
    -------
    water, fat : ndarray, shape (Z, Y, X), float32
        Both 0 where the map holds no number.
    """
    known = np.isfinite(fraction)
    share = np.where(known, np.clip(fraction, 0, 1), np.float32(0)).astype(np.float32)
    if signal is None:
        total = np.full(share.shape, 1000, np.float32)
    else:
        # A floor keeps the map's values where the picture has no signal, for example bone.
        top = float(np.percentile(signal, 99))
        total = np.maximum(signal, np.float32(_FLOOR * top)).astype(np.float32)
    total = np.where(known, total, np.float32(0))
    return total * (1 - share), total * share
