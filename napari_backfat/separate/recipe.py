"""What was asked for when lean and fat were told apart, and what came of it: frozen records."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Scope(StrEnum):
    """What one fit stands for."""

    CASE = "case"
    MUSCLE = "muscle"


class Epimuscular(StrEnum):
    """Whether fat between a muscle's surface and its fascia counts as fat of the muscle."""

    COUNTED = "counted"
    EXCLUDED = "excluded"


FAT_FRACTION = "fat fraction"
AUTO = "auto"
MAX_LAYERS = 3


class NoiseModel(StrEnum):
    """How the lift that noise gives to weak signal is taken off."""

    VOXEL = "voxel"
    """Each voxel by itself, in quadrature: the way of versions before this choice."""
    MUSCLE = "muscle"
    """By the distribution of the signal in each muscle; see `separate.rician`."""


@dataclass(frozen=True)
class Recipe:
    """All that a person decides about a fat method.

    Attributes
    ----------
    method : str
        Key of `separate.method.METHODS`.
    scope : Scope
        One fit for all muscles of the case, or one for each muscle and side.
    image : str
        What is classified: "fat fraction", the value of a `Contrast` of the scan, or "auto" (the
        fat fraction of a Dixon scan, else its only image).
    threshold : float or None
        Of the methods with a stated threshold: a fat fraction 0..1, or an intensity in the units
        of the image's file.
    bias_correction : bool
        N4 on the image before it is classified. Without effect on a fat fraction, in which the
        shading cancels.
    eroded_layers : int
        Outer voxel layers of each muscle, in the slice plane, that are neither fitted nor
        measured, 0..3.
    epimuscular : Epimuscular
        Whether fat outside the outline of the lean tissue, but inside the muscle mask, counts.
    closing_mm : float
        Radius that defines this outline, mm; see `separate.outline.epimuscular_fat`.
    noise_floor : bool
        Whether what noise adds to weak signal is taken off the water and the fat image; see
        `separate.noise`. Only for a fat fraction.
    noise_model : NoiseModel
        How that is done. Without effect unless `noise_floor` is on.
    seed : int
        Of every random start and sample.
    """

    method: str
    scope: Scope = Scope.CASE
    image: str = AUTO
    threshold: float | None = None
    bias_correction: bool = False
    eroded_layers: int = 0
    epimuscular: Epimuscular = Epimuscular.COUNTED
    closing_mm: float = 5.0
    noise_floor: bool = False
    noise_model: NoiseModel = NoiseModel.VOXEL
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "scope", Scope(self.scope))
        object.__setattr__(self, "epimuscular", Epimuscular(self.epimuscular))
        object.__setattr__(self, "noise_model", NoiseModel(self.noise_model))
        if not 0 <= self.eroded_layers <= MAX_LAYERS:
            raise BackfatError(
                f"Between 0 and {MAX_LAYERS} outer layers can be left out, not "
                f"{self.eroded_layers}."
            )
        if not 0 < self.closing_mm <= 50:
            raise BackfatError(
                f"The outline radius must lie above 0 and up to 50 mm, not {self.closing_mm:g}."
            )

    @property
    def needs_muscles(self) -> bool:
        """Whether the map depends on where the muscles were, whatever is fitted."""
        return (
            self.scope is Scope.MUSCLE
            or self.eroded_layers > 0
            or self.epimuscular is Epimuscular.EXCLUDED
            or self.noise_floor
        )

    @property
    def least_biased(self) -> Recipe:
        """The same with the two switches that bring the mean fat fraction nearest to the truth.

        One outer layer is left out, for what the point spread brings in, and what noise adds is
        taken off. Measured in docs/fat-methods.md; references were made without.
        """
        return replace(
            self,
            eroded_layers=max(1, self.eroded_layers),
            noise_floor=True,
            noise_model=NoiseModel.MUSCLE,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {k: str(v) if isinstance(v, StrEnum) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Read what `to_dict` wrote.

        Raises
        ------
        TypeError, ValueError, BackfatError
            If the values are not those of a recipe.
        """
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"unknown in a recipe: {sorted(unknown)}")
        recipe = cls(**values)
        if not isinstance(values["method"], str):
            raise TypeError("not the values of a recipe")
        return recipe


@dataclass(frozen=True)
class Fit:
    """What one fit found, in the units of what was classified.

    Attributes
    ----------
    threshold : float or None
        A voxel is fat at this value or beyond it towards fat; None if the fit was refused.
    lean, fat : float or None
        Centres of the two classes, where the method has them.
    classes : tuple of float
        Centres of all classes, rising, for three-class methods.
    voxels : int
        How many voxels it was fitted to.
    refused : str
        Why there is no threshold; empty if there is one.
    details : dict
        The method's own numbers, JSON-serialisable.
    """

    threshold: float | None
    lean: float | None = None
    fat: float | None = None
    classes: tuple[float, ...] = ()
    voxels: int = 0
    refused: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self) | {"classes": list(self.classes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Fit:
        """Read what `to_dict` wrote; TypeError or ValueError if it is something else."""
        fit = cls(**{**values, "classes": tuple(values.get("classes", ()))})
        numbers = (fit.threshold, fit.lean, fit.fat, *fit.classes)
        if not all(n is None or isinstance(n, int | float) for n in numbers):
            raise TypeError("not the values of a fit")
        return fit


@dataclass(frozen=True)
class FatRecord:
    """The whole story of a fat map: what was asked, what was found, and what limits it.

    Attributes
    ----------
    recipe : Recipe
        What was asked for.
    title : str
        Name of the method for people.
    image : str
        What was classified, never "auto".
    fits : mapping of str to Fit
        By muscle (lower-case label name, for example "multifidus_left"), and "case" for all.
    parameters : dict
        Of the fat fraction and of the bias correction, JSON-serialisable.
    warnings : tuple of str
        What a reader of the numbers must know.
    """

    recipe: Recipe
    title: str
    image: str
    fits: Mapping[str, Fit] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: this is what provenance.json holds."""
        return {
            "recipe": self.recipe.to_dict(),
            "title": self.title,
            "image": self.image,
            "fits": {name: fit.to_dict() for name, fit in self.fits.items()},
            "parameters": self.parameters,
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FatRecord:
        """Read what `to_dict` wrote; KeyError, TypeError or ValueError if it is something else."""
        return cls(
            Recipe.from_dict(values["recipe"]),
            str(values["title"]),
            str(values["image"]),
            {str(k): Fit.from_dict(v) for k, v in values["fits"].items()},
            dict(values["parameters"]),
            tuple(str(w) for w in values["warnings"]),
        )
