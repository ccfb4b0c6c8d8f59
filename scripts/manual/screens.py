"""Writes docs/screens.md: all pictures of the panels, from what lies in docs/images/panels."""

from __future__ import annotations

from scripts.manual.panels import SIZES, THEMES
from scripts.manual.pictures import IMAGES

_TITLES = {
    "review": "Review",
    "linked": "Review with the other planes",
    "correct": "Correct",
    "levels": "Levels and disc lines, sagittal view",
    "person": "Person",
    "fat-method": "Fat method",
    "plots": "Plots",
    "worklist": "Worklist",
    "estimate-what-if": "Estimate: what if",
    "estimate-context": "Estimate: personal context",
    "estimate-notes": "Estimate: notes",
    "explanation": "Where a number comes from",
    "fat-compare": "Fat methods side by side",
    "earlier": "Changes since an earlier scan",
    "keys": "Keys and mouse",
    "export": "Export",
    "report": "Report",
    "tour": "Tour",
}
_HEAD = """# Every panel

Both themes, the main window at 1280 x 800 and 1600 x 1000 pixels. `make manual` takes the pictures
from the running program on the bundled synthetic case and writes this page.
"""


def write() -> None:
    """Write the page."""
    parts = [_HEAD]
    for name, title in _TITLES.items():
        pictures = [
            (f"{theme}, {size}", f"panels/{name}-{theme}{tail}.png")
            for theme in THEMES
            for size, tail in [
                ("", ""),
                *((f"{w} x {h}", f"-{w}") for w, h in SIZES),
            ]
        ]
        there = [(text.rstrip(", "), path) for text, path in pictures if (IMAGES / path).is_file()]
        if there:
            parts.append(f"## {title}\n")
            parts += [f"{text}:\n\n![{title}, {text}](images/{path})\n" for text, path in there]
    page = IMAGES.parent / "screens.md"
    page.write_text("\n".join(parts), encoding="utf-8")
