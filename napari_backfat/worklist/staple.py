"""STAPLE for several labels: the true label of each answer, and how reliable each reader is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_ITERATIONS = 100
_CHANGE = 1e-5


@dataclass(frozen=True, eq=False)
class Staple:
    """Result of `staple_of`.

    Attributes
    ----------
    labels : ndarray, shape (n,), int64
        Most probable label of each answer; -1 where two labels are equally probable.
    confusion : ndarray, shape (readers, labels, labels), float64
        ``confusion[k, j, c]``: probability that reader k says j where c is true. A column whose
        label no voxel has is 0.
    iterations : int
        Rounds of expectation and maximisation.
    converged : bool
        Whether no probability changed by 1e-5 or more in the last round.
    """

    labels: NDArray[np.int64]
    confusion: NDArray[np.float64]
    iterations: int
    converged: bool


def staple_of(answers: NDArray[np.uint8], counts: NDArray[np.int64], n_labels: int) -> Staple:
    """Estimate truth and reliability together by expectation maximisation.

    Warfield SK, Zou KH, Wells WM. IEEE Trans Med Imaging 2004;23:903-921; several labels: Rohlfing
    T, Russakoff DB, Maurer CR. IPMI 2003, LNCS 2732:210-221. Voxels enter both steps by their
    readers' answers alone, so a sum over voxels is one over different answers, each weighted by its
    count: the same numbers, in milliseconds. Prior of a label is its share in all readings; the
    start is what the vote of the majority says about each reader, ties left out (of two readers: in
    equal parts for both); limits as in ITK (100 rounds, 1e-5).

    With three or more readers ITK's MultiLabelSTAPLEImageFilter (5.4) gives the same labels but for
    single voxels, because it sums in single precision. With two readers it does not: its start
    counts a tied voxel beyond the end of a row, as background of the next label, so that its result
    depends on how labels are numbered.

    Parameters
    ----------
    answers : ndarray, shape (n, readers), uint8
        Different answers.
    counts : ndarray, shape (n,), int64
        Voxels with each of them.
    n_labels : int
        Labels are 0 to ``n_labels - 1``.
    """
    weight = counts.astype(np.float64)
    # said[k, t, j]: whether reader k says j in answer t
    said = (answers.T[:, :, None] == np.arange(n_labels)).astype(np.float64)
    prior = np.einsum("ktj,t->j", said, weight)
    prior /= prior.sum()
    votes = said.sum(axis=0)
    truth = (votes == votes.max(axis=1, keepdims=True)).astype(np.float64)
    shared = truth.sum(axis=1, keepdims=True)
    # Of two readers every disagreement is a tie; without ties both would be without fault.
    truth = truth / shared if len(said) == 2 else truth * (shared == 1)
    confusion = np.einsum("ktj,t,tc->kjc", said, weight, truth)
    rows = confusion.sum(axis=2, keepdims=True)
    confusion = np.divide(confusion, rows, out=confusion, where=rows > 0)
    iterations, converged = 0, False
    while iterations < _MAX_ITERATIONS and not converged:
        probable = _expected(answers, confusion, prior)
        total = probable.sum(axis=1, keepdims=True)
        probable = np.divide(probable, total, out=probable, where=total > 0)
        updated = np.einsum("ktj,t,tc->kjc", said, weight, probable)
        columns = updated.sum(axis=1, keepdims=True)
        updated = np.divide(updated, columns, out=updated, where=columns > 0)
        converged = float(np.abs(updated - confusion).max()) < _CHANGE
        confusion = updated
        iterations += 1
    probable = _expected(answers, confusion, prior)
    labels = probable.argmax(axis=1)
    best = probable.max(axis=1)
    tied = (probable == best[:, None]).sum(axis=1) > 1
    return Staple(np.where(tied, -1, labels), confusion, iterations, converged)


def majority_of(answers: NDArray[np.uint8], n_labels: int) -> NDArray[np.int64]:
    """Return the label that most readers give in each answer; -1 for a tie."""
    votes = (answers[:, :, None] == np.arange(n_labels)).sum(axis=1)
    most = votes.max(axis=1)
    tied = (votes == most[:, None]).sum(axis=1) > 1
    return np.where(tied, -1, votes.argmax(axis=1))


def _expected(
    answers: NDArray[np.uint8], confusion: NDArray[np.float64], prior: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how probable each label is with each answer, not normalised, (n, labels)."""
    probable = np.repeat(prior[None], len(answers), axis=0)
    for reader, matrix in enumerate(confusion):
        probable *= matrix[answers[:, reader]]
    return probable
