"""The one exception whose text is written for the person at the screen."""

from __future__ import annotations


class BackfatError(Exception):
    """A problem the user can act on.

    The message is one clear sentence (or two) that says what is wrong and what to do. Front ends
    show it as it is; anything that is not a `BackfatError` is a defect and is shown as one.
    """
