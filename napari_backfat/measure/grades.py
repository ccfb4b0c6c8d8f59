"""A grade from a fat share, named for what it is: Goutallier-like."""

from __future__ import annotations

GOUTALLIER_LIKE_CUTS = (0.05, 0.20, 0.45, 0.55)
"""Lower ends of grades 1 to 4, as fat share of the cross-section.

A convention of this program, not a published mapping. The grades are words for a reader's eye: 0
normal, 1 some fat streaks, 2 less fat than muscle, 3 as much fat as muscle, 4 more fat than muscle
(Goutallier 1994 for the shoulder on CT; worded so for the multifidus on MR in J Orthop Surg Res
2019, doi 10.1186/s13018-019-1323-6, Fig. 1). "As much" is taken as 45 to 55 %, so that only
grades 3 and 4 have a place of their own. The step from streaks to "less fat than muscle" is put at
20 %, where a three-grade scale for the multifidus begins to count fat (0: below 20 %, 1: 20 to
50 %, 2: above 50 % of the cross-section; BMC Musculoskelet Disord 2017, doi
10.1186/s12891-017-1505-5, Fig. 2); 5 % is ours. Readers agree on the grades only moderately (Gwet's
AC1 0.33 between readers, Eur Radiol Exp 2022, doi 10.1186/s41747-022-00284-y), and the grade
followed spectroscopic fat only weakly in the shoulder (rank correlation 0.35, PMC4994387).
"""


def goutallier_like(fat_share: float | None) -> int | None:
    """Return the Goutallier-like grade 0 to 4 of a fat share 0..1; a cut belongs to the higher.

    Parameters
    ----------
    fat_share : float or None
        Fat over lean plus fat, 0..1.

    Returns
    -------
    int or None
        None without a fat share.
    """
    if fat_share is None:
        return None
    return sum(fat_share >= cut for cut in GOUTALLIER_LIKE_CUTS)
