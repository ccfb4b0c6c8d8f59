"""Validated short questionnaires by name, with the range of their total score.

Names, ranges and citations only. The texts of the items belong to their owners and are not here:
the questionnaire is filled in and scored elsewhere, and its total is entered by hand.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Instrument:
    """A questionnaire.

    Attributes
    ----------
    name : str
        As it is cited.
    about : str
        What it asks about.
    low, high : float
        Range of the total score.
    source : str
        Citation with DOI.
    unverified : str
        What of this entry could not be checked against another text; empty if all of it was. The
        checks of November 2026 compared name, citation, DOI and range with public pages
        (bibliographic records, publishers' abstracts, scoring instructions), not with the papers.
    """

    name: str
    about: str
    low: float
    high: float
    source: str
    unverified: str = ""


INSTRUMENTS: tuple[Instrument, ...] = (
    Instrument(
        "PHQ-2",
        "depressed mood",
        0,
        6,
        "Kroenke 2003, Med Care 41:1284. doi:10.1097/01.MLR.0000093487.78664.3C",
    ),
    Instrument(
        "GAD-2",
        "anxiety",
        0,
        6,
        "Kroenke 2007, Ann Intern Med 146:317. doi:10.7326/0003-4819-146-5-200703060-00004",
    ),
    Instrument(
        "PHQ-4",
        "depressed mood and anxiety",
        0,
        12,
        "Kroenke 2009, Psychosomatics 50:613. doi:10.1176/appi.psy.50.6.613",
    ),
    Instrument(
        "PSS-4",
        "perceived stress",
        0,
        16,
        "Cohen 1983, J Health Soc Behav 24:385. doi:10.2307/2136404",
    ),
    Instrument(
        "STarT Back (9 items)",
        "prognosis of low back pain",
        0,
        9,
        "Hill 2008, Arthritis Rheum 59:632. doi:10.1002/art.23563",
    ),
    Instrument(
        "Örebro short form (ÖMPSQ-SF)",
        "prognosis of musculoskeletal pain",
        0,
        100,
        "Linton 2011, Spine 36:1891. doi:10.1097/BRS.0b013e3181f8f775",
        unverified="range of the total (ten items of 0 to 10 each)",
    ),
    Instrument(
        "TSK-11",
        "fear of movement",
        11,
        44,
        "Woby 2005, Pain 117:137. doi:10.1016/j.pain.2005.05.029",
        unverified="volume, page and DOI",
    ),
    Instrument(
        "PCS",
        "catastrophising",
        0,
        52,
        "Sullivan 1995, Psychol Assess 7:524. doi:10.1037/1040-3590.7.4.524",
    ),
    Instrument(
        "PSEQ-2",
        "self-efficacy in pain",
        0,
        12,
        "Nicholas 2015, J Pain 16:153. doi:10.1016/j.jpain.2014.11.002",
        unverified="range of the total (two items of 0 to 6 each)",
    ),
    Instrument(
        "FABQ physical activity",
        "fear-avoidance beliefs",
        0,
        24,
        "Waddell 1993, Pain 52:157. doi:10.1016/0304-3959(93)90127-B",
    ),
    Instrument(
        "FABQ work",
        "fear-avoidance beliefs",
        0,
        42,
        "Waddell 1993, Pain 52:157. doi:10.1016/0304-3959(93)90127-B",
    ),
    Instrument(
        "PEG",
        "pain intensity and interference",
        0,
        10,
        "Krebs 2009, J Gen Intern Med 24:733. doi:10.1007/s11606-009-0981-1",
    ),
    Instrument(
        "RMDQ",
        "disability from back pain",
        0,
        24,
        "Roland and Morris 1983, Spine 8:141. doi:10.1097/00007632-198303000-00004",
        unverified="DOI (seen in one secondary source only)",
    ),
    Instrument(
        "ISI",
        "insomnia",
        0,
        28,
        "Bastien 2001, Sleep Med 2:297. doi:10.1016/S1389-9457(00)00065-4",
    ),
)
"""Offered in the form; any other name may be entered, without a check of its range."""
BY_NAME = {i.name: i for i in INSTRUMENTS}
