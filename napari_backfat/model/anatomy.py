"""Muscles, sides and tissues with the label numbers used on disk and in memory."""

from __future__ import annotations

from enum import Enum, IntEnum


class Side(Enum):
    """Side of the patient (not of the screen)."""

    LEFT = "left"
    RIGHT = "right"


class MuscleGroup(Enum):
    """The four paraspinal muscles this project labels, each on both sides."""

    MULTIFIDUS = "multifidus"
    ERECTOR_SPINAE = "erector spinae"
    PSOAS_MAJOR = "psoas major"
    QUADRATUS_LUMBORUM = "quadratus lumborum"


class Muscle(IntEnum):
    """Label ids of the muscle map (uint8). "Left" is the patient's left, taken from the affine."""

    BACKGROUND = 0
    MULTIFIDUS_LEFT = 1
    MULTIFIDUS_RIGHT = 2
    ERECTOR_SPINAE_LEFT = 3
    ERECTOR_SPINAE_RIGHT = 4
    PSOAS_MAJOR_LEFT = 5
    PSOAS_MAJOR_RIGHT = 6
    QUADRATUS_LUMBORUM_LEFT = 7
    QUADRATUS_LUMBORUM_RIGHT = 8

    @property
    def group(self) -> MuscleGroup:
        """The muscle without its side; raises ValueError for BACKGROUND."""
        if self is Muscle.BACKGROUND:
            raise ValueError("the background is not a muscle")
        return list(MuscleGroup)[(self - 1) // 2]

    @property
    def side(self) -> Side:
        """The patient's side; raises ValueError for BACKGROUND."""
        if self is Muscle.BACKGROUND:
            raise ValueError("the background has no side")
        return Side.LEFT if self % 2 == 1 else Side.RIGHT

    @property
    def mirrored(self) -> Muscle:
        """The same muscle on the other side (BACKGROUND is its own mirror image)."""
        if self is Muscle.BACKGROUND:
            return self
        return Muscle(self + 1 if self.side is Side.LEFT else self - 1)

    @property
    def display_name(self) -> str:
        """For people, for example "Erector spinae L"."""
        if self is Muscle.BACKGROUND:
            return "Background"
        return f"{self.group.value.capitalize()} {'L' if self.side is Side.LEFT else 'R'}"


MUSCLES: tuple[Muscle, ...] = tuple(m for m in Muscle if m is not Muscle.BACKGROUND)
BACK: tuple[Muscle, ...] = tuple(
    m for m in MUSCLES if m.group in (MuscleGroup.MULTIFIDUS, MuscleGroup.ERECTOR_SPINAE)
)
"""Erector spinae and multifidus of both sides: what the risk model reads."""
N_MUSCLE_CODES = len(Muscle)


def muscle_of(group: MuscleGroup, side: Side) -> Muscle:
    """Return the label of a muscle on one side."""
    return Muscle(2 * list(MuscleGroup).index(group) + (1 if side is Side.LEFT else 2))


class Tissue(IntEnum):
    """Tissue ids on disk (uint8). NONE inside a muscle means: no defined fat value there."""

    NONE = 0
    LEAN = 1
    FAT = 2


class TissueCode(IntEnum):
    """Tissue ids in memory: who decided is part of the value.

    The rule (fat map against threshold) writes LEAN and FAT; a person's brush writes the BY_HAND
    codes, which no threshold change ever touches. Keeping both in one array means that undo,
    copies and files can never separate a voxel's tissue from its author.
    """

    NONE = 0
    LEAN = 1
    FAT = 2
    LEAN_BY_HAND = 3
    FAT_BY_HAND = 4

    @property
    def tissue(self) -> Tissue:
        """The tissue without its author."""
        return Tissue(self if self <= 2 else self - 2)

    @property
    def by_hand(self) -> bool:
        """Whether a person decided this voxel."""
        return self >= TissueCode.LEAN_BY_HAND


N_TISSUE_CODES = len(TissueCode)
