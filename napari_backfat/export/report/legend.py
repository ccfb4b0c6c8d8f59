"""What the colours of the pictures and curves mean."""

from __future__ import annotations

from dataclasses import dataclass

from napari_backfat.export.label_table import muscle_label, tissue_label
from napari_backfat.model.anatomy import MuscleGroup, Side, Tissue, muscle_of


@dataclass(frozen=True)
class Entry:
    """One entry of the legend.

    Attributes
    ----------
    colors : tuple of str
        One or two, as #RRGGBB.
    name : str
        What they stand for.
    """

    colors: tuple[str, ...]
    name: str


def legend(tissue: bool) -> tuple[Entry, ...]:
    """Return the muscles, right and left (as on the pictures), then lean and fat if shown."""
    muscles = tuple(
        Entry(
            tuple(muscle_label(muscle_of(g, s)).color for s in (Side.RIGHT, Side.LEFT)),
            f"{g.value.capitalize()} R, L",
        )
        for g in MuscleGroup
    )
    tissues = tuple(
        Entry((tissue_label(t).color,), t.name.capitalize()) for t in (Tissue.LEAN, Tissue.FAT)
    )
    return (*muscles, *tissues) if tissue else muscles
