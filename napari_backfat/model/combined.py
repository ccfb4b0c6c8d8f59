"""Classes of other people's models that hold more than one of the eight muscles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_backfat.model.anatomy import MuscleGroup, Side, muscle_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_backfat.model.anatomy import Muscle


@dataclass(frozen=True)
class CombinedClass:
    """One class of a model that holds several muscles.

    Attributes
    ----------
    key : str
        Word in label maps and provenance.
    label : MuscleGroup
        The muscle whose label its voxels carry.
    title : str
        Honest name of that label in this case, without its side.
    hidden : tuple of MuscleGroup
        Muscles that are inside it and therefore have no label, and no numbers, of their own.
    text : str
        One sentence for people.
    """

    key: str
    label: MuscleGroup
    title: str
    hidden: tuple[MuscleGroup, ...]
    text: str


AUTOCHTHON = CombinedClass(
    "autochthon",
    MuscleGroup.ERECTOR_SPINAE,
    "Erector sp. + multif.",
    (MuscleGroup.MULTIFIDUS,),
    "Multifidus and erector spinae are not separated: this model outlines the autochthonous back "
    "muscle as one. It is labelled erector spinae; multifidus is left blank, which is not zero.",
)
ILIOPSOAS = CombinedClass(
    "iliopsoas",
    MuscleGroup.PSOAS_MAJOR,
    "Iliopsoas",
    (),
    "Psoas major holds the iliacus as well, where the scan shows it: this model outlines the "
    "iliopsoas as one.",
)
COMBINED: dict[str, CombinedClass] = {c.key: c for c in (AUTOCHTHON, ILIOPSOAS)}
"""By key. An unknown key in an old file is ignored by the functions below."""


def hidden_muscles(
    combined: Iterable[str], has_voxels: Callable[[Muscle], bool]
) -> dict[Muscle, Muscle]:
    """Which muscles are part of another label, and of which.

    Parameters
    ----------
    combined : iterable of str
        Keys of `COMBINED`: the classes the muscle map was made with.
    has_voxels : callable
        Whether a label occurs. A person who separates the muscles by hand ends the combination on
        that side.

    Returns
    -------
    dict
        Muscle without voxels of its own to the label that holds it.
    """
    return {
        muscle_of(group, side): muscle_of(found.label, side)
        for found in map(COMBINED.get, combined)
        if found is not None
        for group in found.hidden
        for side in Side
        if has_voxels(muscle_of(found.label, side)) and not has_voxels(muscle_of(group, side))
    }


def combined_titles(
    combined: Iterable[str], has_voxels: Callable[[Muscle], bool]
) -> dict[Muscle, str]:
    """Names for the labels that hold more than their own name says.

    Parameters
    ----------
    combined, has_voxels
        As in `hidden_muscles`.

    Returns
    -------
    dict
        Label to a name with its side, for example "Erector sp. + multif. L".
    """
    keys = tuple(combined)
    holders = set(hidden_muscles(keys, has_voxels).values())
    titles = {}
    for found in map(COMBINED.get, keys):
        if found is None:
            continue
        for side in Side:
            label = muscle_of(found.label, side)
            if label in holders or (not found.hidden and has_voxels(label)):
                titles[label] = f"{found.title} {side.value[0].upper()}"
    return titles


def combined_notes(
    combined: Iterable[str], has_voxels: Callable[[Muscle], bool]
) -> dict[Muscle, str]:
    """Remarks for the rows of a table: what a label holds, and where a blank muscle went.

    Parameters
    ----------
    combined, has_voxels
        As in `hidden_muscles`.
    """
    keys = tuple(combined)
    notes = {
        hidden: f"not separated from {holder.group.value}"
        for hidden, holder in hidden_muscles(keys, has_voxels).items()
    }
    for label in combined_titles(keys, has_voxels):
        inside = "multifidus" if label.group is AUTOCHTHON.label else "iliacus"
        notes[label] = f"includes the {inside}: not separated by the model"
    return notes
