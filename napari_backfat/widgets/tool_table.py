"""Every correction tool with its key, tooltip and options: one table for all that show it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ToolSpec:
    """One button of the palette.

    Attributes
    ----------
    name : str
        Tool of the mouse ("brush", ...; see `layers.edit_tools.Tool`), "pan_zoom", or an action.
    label, key, tip : str
        On the button, on the keyboard, in the tooltip and on the cheat sheet.
    action : bool
        It works at once on a muscle, and not with the mouse.
    options : tuple of str
        Names of the option widgets that belong to it; see `EditPanel`.
    needs_muscle : bool
        It works on a muscle and not on tissue.
    amount : tuple
        (prefix, unit, lowest, highest, step, default) of its number, where it has one.
    """

    name: str
    label: str
    key: str
    tip: str
    action: bool = False
    options: tuple[str, ...] = ()
    needs_muscle: bool = False
    amount: tuple[str, str, float, float, float, float] | None = None

    @property
    def shown_key(self) -> str:
        """The key as it is written on keyboards."""
        return self.key.replace("Shift-", "Shift+")


_BRUSH = ("size", "ball")
_ON_SLICES = ("extent", "slab")

TOOLS: tuple[ToolSpec, ...] = (
    ToolSpec("brush", "Brush", "B",
             "Paint with the chosen muscle or tissue, round in mm; hold Shift to erase",
             options=_BRUSH),
    ToolSpec("erase", "Erase", "E",
             "Erase: a muscle loses the voxels; tissue goes back to the rule; hold Shift to paint",
             options=_BRUSH),
    ToolSpec("range", "Range", "R",
             "Brush that paints only inside a window of image values; Ctrl+click or Ctrl+drag on "
             "the image picks the window",
             options=(*_BRUSH, "image", "window")),
    ToolSpec("edge", "Edge", "K",
             "Brush that stops at edges of the image, such as the fascia",
             options=(*_BRUSH, "strength")),
    ToolSpec("fill", "Fill", "G",
             "Fill the connected region under the cursor, not farther than the limit in mm",
             options=("fill_by", "amount", "ball", "image", "window"),
             amount=("within ", " mm", 1, 400, 5, 60)),
    ToolSpec("pan_zoom", "Move", "Space", "Move the picture; hold Space to move for a moment"),
    ToolSpec("polygon", "Polygon", "P",
             "Click the corners; a double click or Enter closes and paints, Backspace takes the "
             "last corner back, Esc gives up; with Shift it erases"),
    ToolSpec("lasso", "Lasso", "L",
             "Draw around an area and let go to paint it; hold Shift to erase"),
    ToolSpec("redraw", "Redraw", "Shift-L",
             "Draw around the chosen muscle: in this slice it becomes exactly what you enclose; "
             "what it loses goes to its neighbours. A line around two muscles that goes on along "
             "their border draws both; an open line draws a piece of the border",
             needs_muscle=True),
    ToolSpec("border", "Border", "X",
             "Draw the border between two muscles anew: each side of the line goes to one of them; "
             "or join what the line passes to the chosen muscle",
             options=("line", *_ON_SLICES), needs_muscle=True),
    ToolSpec("gaps", "Gaps", "I",
             "Interpolate the chosen muscle (or all) into the slices it lacks; press again or "
             "Enter to accept the preview, Esc to refuse; other muscles are never overwritten",
             action=True, options=("who", "apply"), needs_muscle=True),
    ToolSpec("copy", "Copy", "N",
             "Copy the chosen muscle (or all) to the next slice, moved with the image; go there "
             "(Shift+N: to the previous slice)",
             action=True, options=("who", "apply"), needs_muscle=True),
    ToolSpec("mirror", "Mirror", "M",
             "Replace the chosen muscle by the mirror image of the other side",
             action=True, options=(*_ON_SLICES, "apply"), needs_muscle=True),
    ToolSpec("smooth", "Smooth", "J",
             "Smooth all muscles together, so that no gaps open between them, or one by a median",
             action=True, options=(*_ON_SLICES, "kind", "amount", "apply"),
             amount=("", " mm", 1, 20, 1, 4)),
    ToolSpec("islands", "Islands", "O",
             "Remove separate small parts of the muscles; what surrounds them takes their place",
             action=True, options=(*_ON_SLICES, "who", "amount", "apply"),
             amount=("below ", " ml", 0.1, 50, 0.5, 3)),
    ToolSpec("holes", "Holes", "U", "Fill the background that a muscle encloses in a slice",
             action=True, options=(*_ON_SLICES, "who", "apply")),
    ToolSpec("grow", "Grow", "=",
             "Grow the chosen muscle into the background around it",
             action=True, options=(*_ON_SLICES, "amount", "apply"), needs_muscle=True,
             amount=("by ", " mm", 0.2, 20, 0.5, 2)),
    ToolSpec("shrink", "Shrink", "-", "Take off the rim of the chosen muscle",
             action=True, options=(*_ON_SLICES, "amount", "apply"), needs_muscle=True,
             amount=("by ", " mm", 0.2, 20, 0.5, 2)),
    ToolSpec("spread", "Spread", "9",
             "Carry the corrections of slices drawn by hand into the slices between them, as far "
             "as the number says; press again or Enter to accept the preview, Esc to refuse",
             action=True, options=(*_ON_SLICES, "amount", "apply"),
             amount=("as far as ", " mm", 4, 200, 5, 40)),
    ToolSpec("learn", "Learn", "Shift-Y",
             "Let the network learn from the muscles corrected by hand (in 2 to 6 slices, drawn "
             "right) and outline them anew in the others: about 20 s; press again or Enter to "
             "accept the preview, Esc to refuse. Nothing of it is kept for other cases",
             action=True, options=(*_ON_SLICES, "apply")),
    ToolSpec("next", "Next", "Shift-S",
             "Go to the slice whose correction is expected to help most: the network is unsure "
             "there, it is far from corrected slices, and its muscles are large",
             action=True),
    ToolSpec("right", "Right", "Shift-R",
             "Call this slice right as it stands: Learn takes all its muscles as correct, Spread "
             "and AI here leave it as it is; again takes the mark back",
             action=True),
    ToolSpec("ai_here", "AI here", "Y",
             "Run the AI again and take its muscles in a slab around this slice; slices corrected "
             "by hand stay, and their neighbours follow them as far as the correction spreads",
             action=True, options=("slab", "amount", "apply"),
             amount=("spread ", " mm", 0, 100, 5, 20)),
)  # fmt: skip
BY_NAME: dict[str, ToolSpec] = {spec.name: spec for spec in TOOLS}
SHOWN_FIRST = ("gaps", "spread", "learn")
"""Actions that are always shown before they are written; Enter or the key again accepts."""
MAY_BE_SHOWN_FIRST = (
    "copy", "mirror", "smooth", "islands", "holes", "grow", "shrink", "ai_here",
)  # fmt: skip
"""Actions that are shown first if the person wants it; remembered for each."""
EXTENTS: dict[str, str] = {
    "border": "this slice", "mirror": "slab", "smooth": "all slices", "islands": "all slices",
    "holes": "all slices", "grow": "this slice", "shrink": "this slice", "spread": "all slices",
    "learn": "all slices",
}  # fmt: skip
"""What each tool works on until the person says otherwise; values of `review.edits.Extent`."""
