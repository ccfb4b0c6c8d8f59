"""Keeps the corrected mean fat fractions of the open case, computed in the background.

A brush event only notes which slices changed; `Corrected.job` counts those again, wherever it runs,
and `Corrected.take` puts its result into the case if nothing changed meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_backfat.separate.corrected import FloorTallies, refusal
from napari_backfat.separate.corrected_scan import muscles_job, without

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from napari_backfat.measure.by_level import Region
    from napari_backfat.model.anatomy import Muscle
    from napari_backfat.model.case import AiResult, Case
    from napari_backfat.model.fat_map import FatMap
    from napari_backfat.model.masks import Change
    from napari_backfat.model.progress import Progress
    from napari_backfat.model.results import CorrectedMean, CorrectedMuscles
    from napari_backfat.model.volume import Scan
    from napari_backfat.separate.corrected import CorrectedMeans


@dataclass(frozen=True, eq=False)
class Found:
    """What one pass found.

    Attributes
    ----------
    stamp : int
        State of the case that it is of.
    means : CorrectedMeans
        Gives the mean of any part of the scan.
    now : CorrectedMuscles
        The whole scan.
    ai : CorrectedMuscles or None
        The AI's masks; None without an AI run.
    ai_result : AiResult or None
        Which masks these are.
    regions : dict
        The regions that were asked for.
    """

    stamp: int
    means: CorrectedMeans
    now: CorrectedMuscles
    ai: CorrectedMuscles | None
    ai_result: AiResult | None
    regions: dict[Region, dict[Muscle, CorrectedMean]]


class Corrected:
    """The corrected means of one case.

    Parameters
    ----------
    case : Case
        Followed until `stop`. Its `corrected`, `ai_corrected` and `corrected_regions` are set here.

    Attributes
    ----------
    means : CorrectedMeans or None
        Of the last pass that is still true; None while the masks are newer.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        self.means: CorrectedMeans | None = None
        self._stamp = 0
        self._versions = np.zeros(case.scan.geometry.shape[0], np.int64)
        self._tallies: FloorTallies | None = None
        self._fat_map: FatMap | None = None
        self._scan: Scan | None = None
        self._ai: tuple[AiResult, CorrectedMuscles] | None = None
        self._connections: list[tuple[Any, Any]] = [
            (case.masks.changed, self._on_masks),
            (case.events.ai, self._on_ai),
            (case.events.scan, self._on_scan),
        ]
        for signal, slot in self._connections:
            signal.connect(slot)
        self._renew()

    def stop(self) -> None:
        """Follow no longer."""
        for signal, slot in self._connections:
            signal.disconnect(slot)
        self._connections = []

    @property
    def possible(self) -> bool:
        """Whether the scan can have a corrected mean."""
        return self._tallies is not None

    @property
    def wanted(self) -> bool:
        """Whether a pass would find something that is not known."""
        case = self._case
        if self._tallies is None:
            return False
        known = self._ai is not None and self._ai[0].muscle is getattr(case.ai, "muscle", None)
        return self.means is None or (case.ai is not None and not known)

    def job(self, regions: Sequence[Region] = ()) -> Generator[Progress, None, Found | None]:
        """Count what changed and correct; reads the masks where they lie and changes nothing.

        Parameters
        ----------
        regions : sequence of Region
            Parts of the spine that are wanted too.

        Returns
        -------
        Found or None
            None where the scan cannot have a corrected mean.
        """
        case, stamp, tallies = self._case, self._stamp, self._tallies
        if tallies is None:
            return None
        ai, known = case.ai, self._ai
        means = yield from tallies.job(case.masks.muscle, self._versions.tolist())
        now = yield from muscles_job(means)
        before = None
        if ai is not None:
            if known is not None and known[0].muscle is ai.muscle:
                before = known[1]
            elif np.array_equal(ai.muscle, case.masks.muscle):
                before = now
            else:
                before = yield from muscles_job((yield from tallies.job(ai.muscle)))
        depth = len(self._versions)
        found = {}
        for region in regions:
            found[region] = yield from means.each(region.weights(depth))
        return Found(stamp, means, now, before, ai, found)

    def take(self, found: Found | None) -> bool:
        """Put a pass into the case; False if the case changed since it began."""
        case = self._case
        if found is None or found.stamp != self._stamp:
            return False
        self.means = found.means
        if found.ai is not None and found.ai_result is not None:
            self._ai = found.ai_result, found.ai
        case.ai_corrected = found.ai
        case.corrected_regions = {**self._still(), **found.regions}
        case.corrected = found.now
        return True

    def _still(self) -> Mapping[Region, Mapping[Muscle, CorrectedMean]]:
        """Regions of the present masks that are known already."""
        case = self._case
        held = case.corrected is not None and case.corrected.current
        return case.corrected_regions if held else {}

    def _on_masks(self, change: Change) -> None:
        if self._case.masks.fat_map is not self._fat_map or self._case.scan is not self._scan:
            self._renew()
            return
        if not change.muscles:  # tissue and threshold do not enter
            return
        first, last = change.slices or (0, len(self._versions) - 1)
        self._versions[first : last + 1] += 1
        self._outdate()

    def _on_ai(self, _: object) -> None:
        ai, known = self._case.ai, self._ai
        same = ai is not None and known is not None and known[0].muscle is ai.muscle
        self._case.ai_corrected = known[1] if same and known is not None else None

    def _on_scan(self, _: object) -> None:
        self._renew()

    def _renew(self) -> None:
        case = self._case
        self._fat_map, self._scan = case.masks.fat_map, case.scan
        self._ai, case.ai_corrected = None, None
        self._versions += 1
        why = refusal(case.scan, case.masks.fat_map)
        self._tallies = None
        self.means = None
        self._stamp += 1
        case.corrected_regions = {}
        if why:
            case.corrected = without(why)
            return
        self._tallies = FloorTallies(case.scan, case.masks.fat_map)
        self._outdate()

    def _outdate(self) -> None:
        case = self._case
        self._stamp += 1
        self.means = None
        if case.corrected is not None and case.corrected.current:
            case.corrected = replace(case.corrected, current=False)
