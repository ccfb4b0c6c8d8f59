"""Where the shared scans lie; they are never part of the repository."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class RealDixon:
    """Paths of the real, expert-labelled lumbar Dixon case (MyoSegmenTUM spine, TUM01)."""

    water: Path
    fat: Path
    labels: Path

    @property
    def absent(self) -> list[str]:
        """Names of those files that are not there."""
        return [path.name for path in (self.water, self.fat, self.labels) if not path.is_file()]


def shared_data_folder() -> Path:
    """Return the folder named by BACKFAT_DATA, else ../shared/data; it may not exist."""
    return Path(os.environ.get("BACKFAT_DATA") or REPOSITORY.parent / "shared" / "data")


def real_dixon_case() -> RealDixon:
    """Return the paths of the real case; they may not exist."""
    folder = shared_data_folder() / "real_dixon"
    return RealDixon(*(folder / f"TUM01_{name}.nii.gz" for name in ("water", "fat", "dseg")))
