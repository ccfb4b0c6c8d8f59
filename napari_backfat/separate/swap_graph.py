"""Parts of a scan that fit each other only if water and fat are exchanged in one of them.

Small patches of clearly watery or clearly fatty voxels are the nodes of a graph. Neighbours of the
same tissue, and neighbours across an ordinary border with voxels of intermediate fraction between
them, are held to be of the same state; neighbours that jump to the opposite fraction from one
voxel to the next are held to be of opposite states. The greedy contraction of the heaviest edge
(with a change of sign where it is negative) then gives every patch a state; it is the additive
edge contraction of Keuper et al. 2015 (arXiv:1505.06973) on a signed graph.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import label as label_regions

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SURE = 0.5  # |2f - 1| of a voxel that is called water or fat
_CELL_MM = 8.0
_ROUNDS = 6
_STEADY = 0.35  # largest relative difference of W + F across a trade
_THROUGH_PLANE = 0.3  # weight of neighbours in the next slice, whose tissue may be another


def exchanged_state(
    sign: NDArray[np.float32],
    body: NDArray[np.bool_],
    total: NDArray[np.float32],
    spacing_mm: tuple[float, float, float],
) -> NDArray[np.bool_]:
    """Return which voxels of the body are of the other state than most, shape (Z, Y, X), bool.

    Parameters
    ----------
    sign, body, total : ndarray, shape (Z, Y, X)
        As `swap_edges.signed_fraction` returns them.
    spacing_mm : tuple of float
        Voxel size (Z, Y, X).
    """
    nodes = _patches(sign, body, spacing_mm)
    count = int(nodes.max()) + 1
    if count < 3:
        return np.zeros(body.shape, bool)
    edges = _edges(nodes, sign, total)
    states = _settled(count, *edges)
    sizes = np.bincount(nodes.ravel(), minlength=count).astype(np.float64)
    sizes[0] = 0
    group, flipped = states
    other = np.zeros(count, bool)
    main = np.bincount(group, weights=sizes).argmax()
    in_main = group == main
    minority = sizes[in_main & flipped].sum() < sizes[in_main & ~flipped].sum()
    other[in_main] = flipped[in_main] if minority else ~flipped[in_main]
    known = (nodes > 0) & in_main[nodes]
    marked = other[nodes] & known
    if not marked.any():
        return np.asarray(marked)
    # Voxels of intermediate fraction go with the nearest patch of their slice.
    for z in range(len(marked)):
        if known[z].any():
            near = ndimage.distance_transform_edt(
                ~known[z], return_distances=False, return_indices=True
            )
            marked[z] = marked[z][tuple(near)] & body[z]
    return np.asarray(marked, bool)


def _patches(
    sign: NDArray[np.float32], body: NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> NDArray[np.int32]:
    """Return the number of each patch: one tissue, one cell, one slice; 0 elsewhere."""
    depth, height, width = sign.shape
    rows = (np.arange(height) * spacing_mm[1] / _CELL_MM).astype(np.int32)
    columns = (np.arange(width) * spacing_mm[2] / _CELL_MM).astype(np.int32)
    cell = rows[:, None] * (columns[-1] + 1) + columns[None, :] + 1
    nodes = np.zeros(sign.shape, np.int32)
    used = 0
    for z in range(depth):
        kind = np.where(sign[z] > 0, 2 * cell + 1, 2 * cell).astype(np.int32)
        kind[(np.abs(sign[z]) < _SURE) | ~body[z]] = 0
        found = label_regions(kind, background=0, connectivity=1)
        nodes[z] = np.where(found > 0, found + used, 0)
        used += int(found.max())
    return nodes


def _edges(
    nodes: NDArray[np.int32], sign: NDArray[np.float32], total: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return node pairs, smaller number first, with the summed weight of their contacts."""
    count = int(nodes.max()) + 1
    codes, weights = [], []

    def add(p: NDArray[np.int32], q: NDArray[np.int32], w: NDArray[np.float64]) -> None:
        keep = (p > 0) & (q > 0) & (p != q) & (w != 0)
        low, high = np.minimum(p[keep], q[keep]), np.maximum(p[keep], q[keep])
        codes.append(low.astype(np.int64) * count + high)
        weights.append(w[keep])

    for axis in (0, 1, 2):
        n = nodes.shape[axis]
        if n < 4:
            continue

        def cut(a: NDArray[np.float32], k: int, gap: int, axis: int = axis) -> NDArray[np.float32]:
            place = [slice(None)] * 3
            place[axis] = slice(k, a.shape[axis] - gap + k)
            return a[tuple(place)]

        p, q = cut(nodes, 0, 1), cut(nodes, 1, 1)  # type: ignore[arg-type]
        same = np.sign(cut(sign, 0, 1)) == np.sign(cut(sign, 1, 1))
        if axis == 0:
            add(p, q, np.where(same, _THROUGH_PLANE, -_THROUGH_PLANE))  # type: ignore[arg-type]
            continue
        t1, t2 = cut(total, 0, 1), cut(total, 1, 1)
        steady = np.abs(t1 - t2) < _STEADY * (t1 + t2)
        add(p, q, np.where(same, 1.0, np.where(steady, -1.0, 0.0)))  # type: ignore[arg-type]
        p, middle, q = (cut(nodes, k, 2) for k in range(3))  # type: ignore[arg-type]
        ordinary = (middle == 0) & (cut(sign, 0, 2) * cut(sign, 2, 2) < 0)
        add(p, q, np.where(ordinary, 1.0, 0.0))  # type: ignore[arg-type]
    code = np.concatenate(codes) if codes else np.empty(0, np.int64)
    weight = np.concatenate(weights) if weights else np.empty(0)
    pairs, place = np.unique(code, return_inverse=True)
    summed = np.bincount(place, weights=weight, minlength=len(pairs)).astype(np.float64)
    return np.asarray(pairs // count), np.asarray(pairs % count), summed


def _settled(
    count: int, a: NDArray[np.int64], b: NDArray[np.int64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Contract, then let whole areas of one state change against each other until none gains.

    The greedy contraction can turn a large area over by a few contacts that came early; summed
    over its whole border they are outvoted.
    """
    group, flipped = _states(count, a, b, weight)
    for _ in range(_ROUNDS):
        same = flipped[a] == flipped[b]
        links = coo_array((np.ones(int(same.sum())), (a[same], b[same])), shape=(count, count))
        areas, area = connected_components(links, directed=False)
        p, q = np.minimum(area[a], area[b]), np.maximum(area[a], area[b])
        across = p != q
        pairs, place = np.unique(
            p[across].astype(np.int64) * areas + q[across], return_inverse=True
        )
        # In terms of the present states every contact should be positive.
        net = np.bincount(place, weights=-weight[across], minlength=len(pairs))
        _, turned = _states(areas, pairs // areas, pairs % areas, net.astype(np.float64))
        if not turned.any() or turned.all():
            break
        flipped = flipped ^ turned[area]
    return group, flipped


def _states(
    count: int, a: NDArray[np.int64], b: NDArray[np.int64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Contract the heaviest edge until none is left; returns the group and state of each node."""
    links: list[dict[int, float]] = [{} for _ in range(count)]
    for p, q, w in zip(a.tolist(), b.tolist(), weight.tolist(), strict=True):
        if w:
            links[p][q] = links[q][p] = w
    heap = [(-abs(w), p, q) for p in range(count) for q, w in links[p].items() if p < q]
    heapq.heapify(heap)
    parent, parity = list(range(count)), [False] * count
    members = [[n] for n in range(count)]
    while heap:
        strength, p, q = heapq.heappop(heap)
        w = links[p].get(q) if parent[p] == p and parent[q] == q else None
        if w is None or abs(w) != -strength:
            continue  # of an edge that has changed since
        if len(members[p]) < len(members[q]):
            p, q = q, p
        turn = w < 0
        for other, weight_q in links[q].items():
            del links[other][q]
            if other == p:
                continue
            merged = links[p].get(other, 0.0) + (-weight_q if turn else weight_q)
            if merged:
                links[p][other] = links[other][p] = merged
                heapq.heappush(heap, (-abs(merged), min(p, other), max(p, other)))
            elif other in links[p]:
                del links[p][other], links[other][p]
        links[q] = {}
        parent[q] = p
        for node in members[q]:
            parity[node] ^= turn
        members[p] += members[q]
        members[q] = []
    group = np.zeros(count, np.int64)
    for root, nodes in enumerate(members):
        for node in nodes:
            group[node] = root
    return group, np.array(parity)
