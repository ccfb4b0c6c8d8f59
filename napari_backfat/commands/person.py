"""Who was scanned, on the command line: a patient file, the header of the scan, or both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_backfat.commands.console import say
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from napari_backfat.review.session import ReviewSession

PatientFile = Annotated[Path | None, typer.Option(help="patient.json, as the window saves it")]
PersonFromScan = Annotated[
    bool,
    typer.Option(
        "--person-from-scan",
        help="Enter age, sex, height and weight of the DICOM header; --patient goes first",
    ),
]
_WORDS = {"age_years": "age", "sex": "sex", "height_cm": "height", "weight_kg": "weight"}


def enter_person(session: ReviewSession, patient: Path | None, from_scan: bool) -> None:
    """Enter what is known about the person into the open case.

    The header is used only if asked for, as the window waits for a button. Without that, what it
    could fill in is named, without the values, which may be read by others in a log.

    Parameters
    ----------
    session : ReviewSession
        With an open case.
    patient : Path or None
        A patient file; what it states stays.
    from_scan : bool
        Whether the header fills what the file leaves open.

    Raises
    ------
    BackfatError
        If the file cannot be used, or the header was asked for and says nothing usable.
    """
    from napari_backfat.model.patient import Patient

    assert session.case is not None
    known = Patient()
    if patient is not None:
        try:
            text = patient.read_bytes()
        except OSError as error:
            raise BackfatError(f"{patient} could not be read: {error.strerror}.") from error
        known = Patient.from_json(text)
    person = session.case.scan.person
    stated = known.model_dump(mode="json")
    offered = {} if person is None else person.entries
    missing = {name: value for name, value in offered.items() if stated[name] is None}
    if not from_scan:
        if missing:
            words = ", ".join(_WORDS[name] for name in missing)
            say(f"Note: the DICOM header also has {words}; --person-from-scan enters that.")
    elif not offered:
        raise BackfatError(
            "The headers of these images agree on no age, sex, height or weight, so there is "
            "nothing to enter; leave out --person-from-scan, or give --patient."
        )
    else:
        known = Patient.parse(stated | missing)
        if missing:
            words = ", ".join(f"{_WORDS[n]} {_shown(n, v)}" for n, v in missing.items())
            say(f"From the DICOM header: {words}.")
        for name, value in offered.items():
            if name not in missing and not _alike(stated[name], value):
                say(
                    f"Note: the DICOM header has {_WORDS[name]} {_shown(name, value)}, the patient "
                    f"file {_shown(name, stated[name])}; the file's is used."
                )
    if patient is not None or from_scan:
        session.set_patient(known)


def _shown(name: str, value: float | str) -> str:
    unit = {"age_years": " y", "height_cm": " cm", "weight_kg": " kg"}.get(name, "")
    return f"{value:.4g}{unit}" if isinstance(value, float) else f"{value}{unit}"


def _alike(stated: object, offered: float | str) -> bool:
    """Whether two entries say the same; ages are completed or decimal years."""
    if isinstance(offered, str) or not isinstance(stated, float | int):
        return stated == offered
    return abs(stated - offered) < 1
