"""The arrays of the masks and their ledger, and the three ways in which they move together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_backfat.model import mask_scan, rule_moves
from napari_backfat.model.anatomy import N_TISSUE_CODES, Muscle
from napari_backfat.model.change import Author, Change
from napari_backfat.model.edit_rules import HAND, Written, complete
from napari_backfat.model.fat_map import apply_rule, threshold_code
from napari_backfat.model.history import History
from napari_backfat.model.ledger import Ledger, joint_code
from napari_backfat.model.protection import Protection
from napari_backfat.model.row_spans import RowSpans

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.geometry import Geometry
    from napari_backfat.model.mask_scan import Box


class MaskArrays:
    """What `Masks` holds: a write is noticed, codes are applied, or the rule moves a slice.

    None of this asks whether a change of the rule is under way; `MaskState` does.
    """

    def __init__(self, geometry: Geometry, fat_map: FatMap, threshold: float = 0.5) -> None:
        if fat_map.codes.shape != geometry.shape:
            raise ValueError(f"fat map {fat_map.codes.shape} is not on the grid {geometry.shape}")
        self.geometry = geometry
        self.muscle: NDArray[np.uint8] = np.zeros(geometry.shape, np.uint8)
        self._tissue: NDArray[np.uint8] = np.zeros(geometry.shape, np.uint8)
        self.grow_into: Muscle | None = None
        self.protection = Protection()
        self.history = History()
        self.edits = 0
        self._fat_map = fat_map
        self._threshold = threshold
        self._fat_from = threshold_code(threshold)
        self._shadow = np.zeros(geometry.shape, np.uint8)
        self._spans = RowSpans(self._shadow)
        # What a person painted, remembered also while a voxel is outside every muscle.
        self._hand = np.zeros(geometry.shape, np.uint8)
        # Whether there may be voxels that neither the rule nor a person decided (a foreign map).
        self._foreign = False
        self.before_change: Callable[[int, int], None] | None = None
        self._ledger = Ledger.of(self.muscle, self._tissue, fat_map.codes)

    def _notice(self, parts: list[Box], author: Author, rule: tuple[FatMap, int]) -> Change | None:
        """Complete and count what was written into some parts, under a map and its cut."""
        index = mask_scan.all_differences(
            parts, self.muscle, self._tissue, self._shadow, self._spans
        )
        if index.size == 0:
            return None
        old = self._shadow.ravel()[index]
        written = Written(
            muscle=self.muscle.ravel()[index],
            tissue=self._tissue.ravel()[index],
            former=old,
            rule=apply_rule(rule[0].decision.ravel()[index], rule[1]),
            remembered=self._hand.ravel()[index],
        )
        new, outside, bad = complete(written, author is Author.BRUSH, self.grow_into)
        new, held = self.protection.hold(old, new)
        adjusted = bool(np.any(new != joint_code(written.muscle, written.tissue)) or bad)
        voxels = self._apply(index, old, new)
        plane = self.geometry.shape[1] * self.geometry.shape[2]
        slices = int(index.min()) // plane, int(index.max()) // plane
        # Also if a label was written and taken back: the writer shows it.
        muscles = bool(
            np.any(written.muscle != old // N_TISSUE_CODES)
            or np.any(written.muscle != new // N_TISSUE_CODES)
        )
        return Change(voxels, outside, bad, held, adjusted, slices, muscles)

    def _apply(
        self,
        index: NDArray[np.int64],
        old: NDArray[np.uint8],
        new: NDArray[np.uint8],
        *,
        record: bool = True,
    ) -> int:
        """Write joint codes everywhere they are held; return how many voxels really changed."""
        plane = self.geometry.shape[1] * self.geometry.shape[2]
        if index.size:
            first, last = int(index.min()) // plane, int(index.max()) // plane
            if self.before_change is not None:
                self.before_change(first, last)
            self._spans.forget(first, last)
        if record:
            self._list_ruled()
        muscle, tissue = new // N_TISSUE_CODES, new % N_TISSUE_CODES
        remembered = self._hand.ravel()[index]
        self.muscle.ravel()[index] = muscle
        self._tissue.ravel()[index] = tissue
        self._shadow.ravel()[index] = new
        inside = muscle != 0
        self._hand.ravel()[index[inside]] = np.where(tissue >= HAND, tissue, 0)[inside]
        real = old != new
        index, old, new = index[real], old[real], new[real]
        self._ledger.move(index // plane, old, new, self._fat_map.codes.ravel()[index])
        if record:
            # Outside muscles a code's tissue part is free: history keeps the remembered mark there.
            before = np.where(old < N_TISSUE_CODES, remembered[real], old)
            after = np.where(new < N_TISSUE_CODES, self._hand.ravel()[index], new)
            self.history.record(index, before, after)
        return int(index.size)

    def _rederive(self, former: tuple[FatMap, int], *, travelling: bool = False) -> int:
        """Apply the rule to all voxels inside muscles that are not hand-painted.

        Masks and shadow must agree; `former` is the map and the cut that ruled them.
        """
        depth = self.geometry.shape[0]
        return sum(self._rule_slice(z, former, travelling=travelling) for z in range(depth))

    def _rule_slice(self, z: int, former: tuple[FatMap, int], *, travelling: bool) -> int:
        """Apply the rule to a slice in which masks and shadow agree."""
        if self._foreign or former[0].decision is not self._fat_map.decision:
            return self._rederive_slice(z, travelling=travelling)
        moved = rule_moves.moved_in_slice(
            self._tissue[z], self._fat_map.decision[z], self._spans.rows(z), former[1],
            self._fat_from,
        )  # fmt: skip
        if moved is None:
            return 0
        if self.before_change is not None:
            self.before_change(z, z)
        old = self._shadow[z, moved.rows].ravel()[moved.index]
        values = self._fat_map.codes[z, moved.rows].ravel()[moved.index]
        self._ledger.shift_in_slice(z, old, moved.step, values)
        if not travelling and self.history.open_voxels:
            first = (z * self.geometry.shape[1] + moved.rows.start) * self.geometry.shape[2]
            new = (old + np.uint8(moved.step % 256)).astype(np.uint8, copy=False)
            self.history.record(moved.index + first, old, new)
        moved.write(self._tissue[z])
        moved.write(self._shadow[z])
        return int(moved.index.size)

    def _rederive_slice(self, z: int, *, travelling: bool) -> int:
        """Apply the rule to a slice, whatever its tissue followed before."""
        decision = self._fat_map.decision
        rows = self._spans.rows(z)
        part = mask_scan.ruled_in_slice(self._shadow, decision, self._fat_from, z, rows)
        if part is None:
            return 0
        if self.before_change is not None:
            self.before_change(z, z)
        tissue = self._tissue[part.rows].ravel()
        # Paint that nobody announced yet stays where it was written, and is found after this.
        kept = tissue[part.index] == part.old % N_TISSUE_CODES
        tissue[part.index[kept]] = part.new[kept] % N_TISSUE_CODES
        self._shadow[part.rows].ravel()[part.index] = part.new
        values = self._fat_map.codes[part.rows].ravel()[part.index]
        self._ledger.move_in_slice(z, part.old, part.new, values)
        # What a step of the rule alone changed follows from the rule and needs no list.
        if not travelling and (self.history.open_voxels or self._foreign):
            self.history.record(part.index + part.first, part.old, part.new)
        return int(part.index.size)

    def _list_ruled(self) -> None:
        """List the voxels of an open change of the rule, because other voxels join its step."""
        if self.history.open_voxels or self._foreign:
            return
        former = self.history.former_rule(self._fat_map)
        if former is None:
            return
        decision, cut = former[0].decision, threshold_code(former[1])
        for part in mask_scan.ruled_changes(self._shadow, decision, cut):
            self.history.record(part.index + part.first, part.new, part.old)
