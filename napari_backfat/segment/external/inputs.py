"""Which images of a scan go into which channel of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.external.label_map import ANY

if TYPE_CHECKING:
    from napari_backfat.model.volume import Scan, Volume

_WORDS = {
    "water": "a water image",
    "fat": "a fat image",
    "in": "an in-phase image",
    "opposed": "an opposed-phase image",
    "t1w": "a T1-weighted image",
    "t2w": "a T2-weighted image",
    "unknown": "an image of unstated contrast",
}


def choose_images(
    scan: Scan, channels: tuple[tuple[str, ...], ...], called: str
) -> tuple[Volume, ...]:
    """Choose one image for each channel, the most wanted contrast first.

    Parameters
    ----------
    scan : Scan
        The images there are.
    channels : tuple of tuple of str
        As in `LabelMap.channels`.
    called : str
        The model's name, for the error.

    Returns
    -------
    tuple of Volume
        One per channel, each used once.

    Raises
    ------
    BackfatError
        If no image of an accepted contrast is left for a channel.
    """
    left = list(scan.images)
    chosen = []
    for number, wanted in enumerate(channels, start=1):
        found = next((v for c in wanted for v in left if c in (ANY, v.contrast.value)), None)
        if found is None:
            names = " or ".join(_WORDS.get(c, "another image") for c in wanted)
            there = ", ".join(v.contrast.value for v in scan.images)
            raise BackfatError(
                f"{called} needs {names} as input {number}; this scan has {there} "
                "only. Open the scan with that image, or choose another model."
            )
        left.remove(found)
        chosen.append(found)
    return tuple(chosen)
