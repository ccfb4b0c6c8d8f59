"""What file names say about images: their contrast, and the other half of a Dixon pair."""

from __future__ import annotations

import re
from pathlib import Path

from napari_backfat.model.volume import Contrast

_ENDINGS = (".nii.gz", ".nii")

# Words that may stand anywhere in a name. Those of one letter ("W", "F") and "in" count only at
# the end of it, where scanners and converters put them.
_WORDS = {
    "water": Contrast.WATER,
    "wat": Contrast.WATER,
    "wateronly": Contrast.WATER,
    "fat": Contrast.FAT,
    "fatonly": Contrast.FAT,
    "inphase": Contrast.IN_PHASE,
    "opp": Contrast.OPPOSED_PHASE,
    "opposed": Contrast.OPPOSED_PHASE,
    "opposedphase": Contrast.OPPOSED_PHASE,
    "outphase": Contrast.OPPOSED_PHASE,
    "outofphase": Contrast.OPPOSED_PHASE,
}
_LAST_WORDS = {
    "w": Contrast.WATER,
    "f": Contrast.FAT,
    "in": Contrast.IN_PHASE,
    "ip": Contrast.IN_PHASE,
    "op": Contrast.OPPOSED_PHASE,
    "oop": Contrast.OPPOSED_PHASE,
    "out": Contrast.OPPOSED_PHASE,
}
_BEFORE_PHASE = {
    "in": Contrast.IN_PHASE,
    "out": Contrast.OPPOSED_PHASE,
    "opposed": Contrast.OPPOSED_PHASE,
}
_WEIGHTINGS = {"t1": Contrast.T1W, "t1w": Contrast.T1W, "t2": Contrast.T2W, "t2w": Contrast.T2W}

# "fat sat", "fat fraction", "water excitation" name a technique or a map, not the image.
_NOT_AN_IMAGE = re.compile(
    r"(sat|sup|suppress|fraction|frac|percent|excitation|exc|shift|signal|map)", re.IGNORECASE
)

_COUNTERPARTS = (
    ("water", "fat"),
    ("Water", "Fat"),
    ("WATER", "FAT"),
    ("wateronly", "fatonly"),
    ("WaterOnly", "FatOnly"),
    ("w", "f"),
    ("W", "F"),
)


def guess_contrast(path: str | Path) -> Contrast:
    """Guess from a file name what the image shows.

    Only whole words count ("sub1_water", "t2_tse", "dixon_W"), never parts of words. A name that
    says two different things is not guessed.

    Parameters
    ----------
    path : str or Path
        File; only its name is looked at.

    Returns
    -------
    Contrast
        The guess; UNKNOWN if the name says nothing clear.
    """
    words = [w.lower() for w in re.split(r"[^A-Za-z0-9]+", _stem(Path(path).name)[0]) if w]
    found, technique = set(), False
    for position, word in enumerate(words):
        following = words[position + 1] if position + 1 < len(words) else ""
        if following.startswith("phase") and word in _BEFORE_PHASE:
            found.add(_BEFORE_PHASE[word])
        elif word in _WORDS:
            if _NOT_AN_IMAGE.match(following):
                technique = True
            else:
                found.add(_WORDS[word])
        elif word in _LAST_WORDS and not following:
            found.add(_LAST_WORDS[word])
    if len(found) == 1:
        return found.pop()
    if found:
        return Contrast.UNKNOWN
    weightings = {_WEIGHTINGS[w] for w in words if w in _WEIGHTINGS}
    # A fat fraction map of a T1 sequence is no T1 image; fat saturation leaves the weighting.
    fraction = technique and any(w.startswith(("frac", "percent", "map")) for w in words)
    return weightings.pop() if len(weightings) == 1 and not fraction else Contrast.UNKNOWN


def find_partner(path: str | Path) -> Path | None:
    """Find the fat image beside a water image, or the water image beside a fat image.

    The partner's name must be the same but for the one word that names the contrast, in the same
    spelling; its ending may be .nii or .nii.gz.

    Parameters
    ----------
    path : str or Path
        Water or fat image.

    Returns
    -------
    Path or None
        The only such file, or None.
    """
    path = Path(path)
    if guess_contrast(path) not in (Contrast.WATER, Contrast.FAT):
        return None
    stem, ending = _stem(path.name)
    parts = re.split(r"([^A-Za-z0-9]+)", stem)
    exchange = dict(_COUNTERPARTS) | {b: a for a, b in _COUNTERPARTS}
    found = set()
    for position in range(0, len(parts), 2):
        word = parts[position]
        is_last = position == len(parts) - 1
        if word not in exchange or (len(word) == 1 and not is_last):
            continue
        other = "".join([*parts[:position], exchange[word], *parts[position + 1 :]])
        for other_ending in (ending, *_ENDINGS):
            candidate = path.with_name(other + other_ending)
            if candidate.is_file():
                found.add(candidate)
                break
    return found.pop() if len(found) == 1 else None


def _stem(name: str) -> tuple[str, str]:
    for ending in _ENDINGS:
        if name.lower().endswith(ending):
            return name[: -len(ending)], name[-len(ending) :]
    return Path(name).stem, Path(name).suffix
