"""Finds or opens the review of a window."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import napari

    from napari_backfat.widgets.review_widget import ReviewWidget


def open_review_in(viewer: napari.Viewer) -> ReviewWidget:
    """Return the review panel of a window, opened as from the Plugins menu if need be.

    A program asked for it, so the tour is not offered.
    """
    _, widget = viewer.window.add_plugin_dock_widget("napari-backfat", "Back-fat review")
    review: ReviewWidget = widget
    review.tour.held = True
    return review
