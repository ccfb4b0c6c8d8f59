"""The page "Review": what is worked with, in the order of the work, all of it in sight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_backfat.widgets.low_window import is_low
from napari_backfat.widgets.pages import Page

if TYPE_CHECKING:
    from napari_backfat.widgets.review_widget import ReviewWidget


def work_page(review: ReviewWidget) -> Page:
    """Put the panels of a review into groups.

    "Case" and then "View" are folded where the window has no room for the palette of tools beside
    them. What is needed all the time stays in the titles: Save, undo and redo, and what the AI says
    of its result.

    Parameters
    ----------
    review : ReviewWidget
        Its panels and its message exist.

    Returns
    -------
    Page
        With the groups "Case", "AI", "View" and "Correct".
    """
    groups = (
        ("Case", review.case_panel),
        ("AI", review.segment_panel),
        ("View", review.view_panel),
        ("Correct", review.brush_panel),
    )

    def case_is_open() -> bool:
        """Until then "Case" says how to begin, and nothing is corrected."""
        return review.session.case is not None

    spared = {"Case": case_is_open, "View": lambda: case_is_open() or is_low(review)}
    beside = {"Case": review.case_panel.save, "Correct": review.brush_panel.history}
    always = ("AI", "Correct")  # they tell of progress and refusals
    page = Page(groups, always, spared, beside, lambda: review.message.height_taken)
    review.segment_panel.told.connect(page.groups["AI"].tell)
    return page
