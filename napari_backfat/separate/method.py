"""The fat methods: one protocol, one table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast
from napari_backfat.separate.mixture import CLASS_NOTE, FAT_IS_BRIGHT, PSOAS_NOTE, fit_mixture
from napari_backfat.separate.recipe import AUTO, FAT_FRACTION, Fit, Recipe
from napari_backfat.separate.thresholds import fit_kmeans, fit_otsu

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from napari_backfat.model.volume import Scan

DEFAULT_THRESHOLD = 0.5
OWN_VALUES = (
    "The border between lean and fat was found in this person's own values, so it differs between "
    "people; to compare people, use a stated fat fraction."
)
TWO_MEANS = (
    "k-means with two classes agrees poorly with Dixon on a single contrast (ICC 0.38 or less in "
    "30 people with back pain, NASSJ 2024;17:100313); prefer the mixture of three classes."
)
OTSU_NOTE = (
    "Otsu always splits where it splits at all: a few bright voxels of another tissue make a class."
)


class SeparationMethod(Protocol):
    """How the border between lean and fat is found.

    Attributes
    ----------
    key : str
        Name in files and on the command line.
    title : str
        Name for people, as it can stand in a methods section.
    makes_mask : bool
        Whether it says lean or fat for every voxel, or only a number for each muscle.
    stated : bool
        Whether the threshold is stated by a person (`Recipe.threshold`).
    meaning : str
        One sentence for tooltips.
    """

    @property
    def key(self) -> str: ...  # noqa: D102
    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def makes_mask(self) -> bool: ...  # noqa: D102
    @property
    def stated(self) -> bool: ...  # noqa: D102
    @property
    def meaning(self) -> str: ...  # noqa: D102

    def suits(self, image: str) -> bool:
        """Whether it can classify this image ("fat fraction" or a contrast's value)."""
        ...

    def fit(self, values: NDArray[np.floating], bright: bool, recipe: Recipe) -> Fit:
        """Find the border.

        Parameters
        ----------
        values : ndarray, shape (n,)
            Fat fractions 0..1 or intensities of voxels inside muscles; may be empty.
        bright : bool
            Whether fat has the higher values.
        recipe : Recipe
            Seed and, where stated, the threshold.
        """
        ...

    def warnings(self, image: str) -> tuple[str, ...]:
        """Say what a reader of numbers made this way must know."""
        ...


@dataclass(frozen=True)
class Method:
    """One entry of `METHODS`; see `SeparationMethod`."""

    key: str
    title: str
    meaning: str
    fitter: Callable[[NDArray[np.floating], bool, Recipe], Fit]
    on_fraction: bool = True
    on_intensity: bool = True
    stated: bool = False
    makes_mask: bool = True
    notes: tuple[str, ...] = ()
    intensity_notes: tuple[str, ...] = ()

    def suits(self, image: str) -> bool:
        """See `SeparationMethod.suits`."""
        return self.on_fraction if image == FAT_FRACTION else self.on_intensity

    def fit(self, values: NDArray[np.floating], bright: bool, recipe: Recipe) -> Fit:
        """See `SeparationMethod.fit`."""
        return self.fitter(values, bright, recipe)

    def warnings(self, image: str) -> tuple[str, ...]:
        """See `SeparationMethod.warnings`."""
        if image == FAT_FRACTION:
            return self.notes if self.stated or not self.makes_mask else (*self.notes, OWN_VALUES)
        return (CLASS_NOTE, PSOAS_NOTE, *self.notes, *self.intensity_notes)


def _stated_fraction(values: NDArray[np.floating], bright: bool, recipe: Recipe) -> Fit:
    threshold = DEFAULT_THRESHOLD if recipe.threshold is None else recipe.threshold
    if not 0.0 <= threshold <= 1.0:
        raise BackfatError(
            f"The fat threshold must lie between 0 and 1 (0 % and 100 %), not {threshold:g}."
        )
    return Fit(float(threshold), voxels=int(values.size))


def _stated_intensity(values: NDArray[np.floating], bright: bool, recipe: Recipe) -> Fit:
    import numpy as np

    if recipe.threshold is None or not np.isfinite(recipe.threshold):
        raise BackfatError(
            "A fixed intensity threshold must be stated, in the units of the image; look at the "
            "intensity of lean muscle and of fat under the mouse."
        )
    # How far a slider at 60 % moves the border: a tenth of the spread inside the muscles.
    low, high = np.percentile(values, (1, 99)) if values.size else (0.0, 1.0)
    return Fit(
        float(recipe.threshold), voxels=int(values.size), details={"spread": float(high - low)}
    )


_ALL = (
    Method(
        "dixon",
        "fat fraction threshold",
        "A voxel is fat where F/(F+W) is at or above a stated share; comparable between people.",
        _stated_fraction,
        on_intensity=False,
        stated=True,
    ),
    Method(
        "ratio",
        "ratio of sums",
        "Sum of F over sum of F+W in the muscle: no threshold, no mask, least moved by noise.",
        _stated_fraction,
        on_intensity=False,
        makes_mask=False,
    ),
    Method(
        "fixed",
        "fixed intensity threshold",
        "A voxel is fat beyond a stated intensity; holds for one scan and one coil setting only.",
        _stated_intensity,
        on_fraction=False,
        stated=True,
    ),
    Method(
        "otsu",
        "Otsu threshold with a test for two classes",
        "Splits where the two classes differ most, and refuses where there is one class only.",
        lambda v, bright, r: fit_otsu(v, bright, r.seed),
        notes=(OTSU_NOTE,),
    ),
    Method(
        "gmm2",
        "Gaussian mixture, 2 components",
        "Two overlapping normal classes; fat is the likelier one.",
        lambda v, bright, r: fit_mixture(v, bright, 2, r.seed),
    ),
    Method(
        "gmm3",
        "Gaussian mixture, 3 components",
        "Three classes, the middle one counted with the nearer end; the default on one contrast.",
        lambda v, bright, r: fit_mixture(v, bright, 3, r.seed),
    ),
    Method(
        "kmeans2",
        "k-means, 2 classes",
        "Two classes of least spread; kept for comparison, it agrees poorly with Dixon.",
        lambda v, bright, r: fit_kmeans(v, bright, 2, r.seed),
        intensity_notes=(TWO_MEANS,),
        notes=("k-means always finds its classes, also where the muscle holds one tissue only.",),
    ),
    Method(
        "kmeans3",
        "k-means, 3 classes",
        "Three classes of least spread, the middle one counted with the nearer end.",
        lambda v, bright, r: fit_kmeans(v, bright, 3, r.seed),
        notes=("k-means always finds its classes, also where the muscle holds one tissue only.",),
    ),
)
METHODS: dict[str, SeparationMethod] = {method.key: method for method in _ALL}


def default_recipe(scan: Scan) -> Recipe:
    """Return what is used unless a person chooses otherwise.

    A Dixon scan is read by its fat fraction at 50 %. A single contrast gets the mixture of three
    classes, which agreed best with Dixon (ICC >= 0.77, NASSJ 2024;17:100313).
    """
    return Recipe("dixon", threshold=DEFAULT_THRESHOLD) if scan.is_dixon else Recipe("gmm3")


def method_of(recipe: Recipe) -> SeparationMethod:
    """Return the method that a recipe names; BackfatError if there is none."""
    try:
        return METHODS[recipe.method]
    except KeyError:
        known = ", ".join(METHODS)
        raise BackfatError(
            f"There is no fat method '{recipe.method}'; there are {known}."
        ) from None


def image_of(scan: Scan, recipe: Recipe) -> str:
    """Return what a recipe classifies in a scan: "fat fraction" or a contrast's value.

    Raises
    ------
    BackfatError
        If the scan does not have it, or the method cannot use it.
    """
    method = method_of(recipe)
    image = recipe.image
    if image == AUTO:
        image = scan.images[0].contrast.value
        if scan.is_dixon:
            image = FAT_FRACTION if method.suits(FAT_FRACTION) else Contrast.WATER.value
    if image == FAT_FRACTION:
        known = scan.is_dixon
    else:
        known = any(v.contrast.value == image for v in scan.images)
    if not known:
        raise BackfatError(f"This scan has no {image} image to tell fat from lean on.")
    if not method.suits(image):
        needs = "a water and a fat image" if image != FAT_FRACTION else "one image's intensities"
        raise BackfatError(f"The method '{method.title}' needs {needs}.")
    return image


def fat_is_bright(image: str) -> bool | None:
    """Whether fat has the higher values; None where the order is not known."""
    return True if image == FAT_FRACTION else FAT_IS_BRIGHT.get(Contrast(image))


def methods_for(scan: Scan) -> list[SeparationMethod]:
    """Return the methods that can be used on a scan, in the order of the table."""
    images = [v.contrast.value for v in scan.images] + [FAT_FRACTION] * scan.is_dixon
    return [m for m in METHODS.values() if any(m.suits(i) for i in images)]
