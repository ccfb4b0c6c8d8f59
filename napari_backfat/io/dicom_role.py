"""What a DICOM series shows, by Image Type and description."""

from __future__ import annotations

import re

from napari_backfat.io.naming import guess_contrast
from napari_backfat.model.volume import Contrast

# Image Type, value 3 and later. Siemens: DIXON\WATER, IN_PHASE, OPP_PHASE. GE: DIXON\WATER or the
# description "WATER: ...". Philips mDIXON: W, F, IP, OP. The rest are spellings seen with others.
_TYPES = {
    "WATER": Contrast.WATER, "W": Contrast.WATER, "WATER_ONLY": Contrast.WATER,
    "FAT": Contrast.FAT, "F": Contrast.FAT, "FAT_ONLY": Contrast.FAT,
    "IN_PHASE": Contrast.IN_PHASE, "INPHASE": Contrast.IN_PHASE, "IP": Contrast.IN_PHASE,
    "OPP_PHASE": Contrast.OPPOSED_PHASE, "OPPOSED_PHASE": Contrast.OPPOSED_PHASE,
    "OUT_PHASE": Contrast.OPPOSED_PHASE, "OUTPHASE": Contrast.OPPOSED_PHASE,
    "OUT_OF_PHASE": Contrast.OPPOSED_PHASE, "OP": Contrast.OPPOSED_PHASE,
}  # fmt: skip
_MAPS = {
    "FAT_FRACTION": "fat fraction map", "FAT_FRAC": "fat fraction map", "FF": "fat fraction map",
    "FATFRACTION": "fat fraction map", "PDFF": "fat fraction map",
    "FAT_PERCENTAGE": "fat fraction map",
    "WATER_FRACTION": "water fraction map", "WATER_FRAC": "water fraction map",
    "WATER_PERCENTAGE": "water fraction map",
    "T2_STAR": "T2* map", "T2STAR": "T2* map", "R2_STAR": "R2* map", "R2STAR": "R2* map",
    "R2_MAP": "R2* map", "T2_MAP": "T2 map", "T1_MAP": "T1 map", "ADC": "ADC map",
    "B0": "field map", "FIELD_MAP": "field map", "P": "phase image", "PHASE": "phase image",
    "PHASE MAP": "phase image", "REAL": "real part", "R": "real part",
    "IMAGINARY": "imaginary part", "I": "imaginary part",
}  # fmt: skip
# In descriptions; the first match wins. GE writes "FatFrac: ..." and "R2*: ...".
_MAPS_IN_WORDS = (
    (re.compile(r"water[ _-]?(fraction|frac|percent)", re.IGNORECASE), "water fraction map"),
    (re.compile(r"fat[ _-]?(fraction|frac|percent)|pdff|(^|[ _-])ff($|[ _-])", re.IGNORECASE),
     "fat fraction map"),
    (re.compile(r"(^|[ _-])r2[ _-]?(\*|star)", re.IGNORECASE), "R2* map"),
    (re.compile(r"(^|[ _-])t2[ _-]?(\*|star)[ _-]?map", re.IGNORECASE), "T2* map"),
    (re.compile(r"field[ _-]?map|b0[ _-]?map", re.IGNORECASE), "field map"),
)  # fmt: skip
_OUT_OF_PHASE = re.compile(r"out[ _-]?of[ _-]?phase", re.IGNORECASE)
_AFTER_DIXON = re.compile(r"dixon[ _-]*\(?(w|f|ip|op|in|opp)\)?(?=$|[ _-])", re.IGNORECASE)
_LETTERS = {
    "w": Contrast.WATER, "f": Contrast.FAT, "ip": Contrast.IN_PHASE, "in": Contrast.IN_PHASE,
    "op": Contrast.OPPOSED_PHASE, "opp": Contrast.OPPOSED_PHASE,
}  # fmt: skip


def role_of(image_type: tuple[str, ...], description: str) -> tuple[Contrast, str, str]:
    """Guess what an image shows.

    Parameters
    ----------
    image_type : tuple of str
        Image Type in upper case.
    description : str
        Series Description.

    Returns
    -------
    contrast : Contrast
        The guess; UNKNOWN if nothing clear is said.
    evidence : str
        What the guess rests on, for example "Image Type WATER"; empty if there is no guess.
    map_name : str
        "phase image", "fat fraction map" and the like where it is not an image of intensities.
    """
    words = image_type[2:]
    if maps := [w for w in words if w in _MAPS]:
        return Contrast.UNKNOWN, f"Image Type {maps[0]}", _MAPS[maps[0]]
    found = {_TYPES[w] for w in words if w in _TYPES}
    if len(found) == 1:
        said = next(w for w in words if w in _TYPES)
        return found.pop(), f"Image Type {said}", ""
    if found:
        return Contrast.UNKNOWN, "", ""
    if not description:
        return Contrast.UNKNOWN, "", ""
    evidence = f'description "{description}"'
    for pattern, map_name in _MAPS_IN_WORDS:
        if pattern.search(description):
            return Contrast.UNKNOWN, evidence, map_name
    plain = description.replace("/", "_").replace("\\", "_").replace(".", "_")
    guess = guess_contrast(_OUT_OF_PHASE.sub("outphase", plain))
    if guess is Contrast.UNKNOWN and (letter := _AFTER_DIXON.search(plain)):
        guess = _LETTERS[letter[1].lower()]
    return guess, evidence if guess is not Contrast.UNKNOWN else "", ""
