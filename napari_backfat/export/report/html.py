"""The report as one HTML file that needs nothing else: pictures and plots are inside."""

from __future__ import annotations

import base64
import importlib.resources
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup
from reportlab.graphics import renderSVG

from napari_backfat.export.report.fonts import register
from napari_backfat.export.report.legend import legend
from napari_backfat.export.report.plots import draw

if TYPE_CHECKING:
    from napari_backfat.export.report.plots import Profile
    from napari_backfat.export.report.write import Composed

_PLOT_POINTS = (260.0, 96.0)


def html_bytes(composed: Composed) -> bytes:
    """Return the report as UTF-8 HTML; it prints on one A4 page."""
    source = importlib.resources.files("napari_backfat.export.report") / "page.html"
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string(source.read_text(encoding="utf-8"))
    tissue = composed.spare and len(composed.rows) > 1
    text = template.render(
        page=composed.page,
        pictures=[
            [
                {
                    "data": base64.b64encode(p.jpeg).decode(),
                    "caption": p.caption,
                    "ratio": p.width / p.height,
                }
                for p in row
            ]
            for row in composed.rows
        ],
        plots=[_svg(p) for p in composed.profiles if not p.empty],
        legend=[{"colors": entry.colors, "name": entry.name} for entry in legend(tissue)],
    )
    return text.encode()


def _svg(profile: Profile) -> Markup:
    """Return a plot as inline SVG; every text in it was written by this program."""
    register()
    text = renderSVG.drawToString(draw(profile, *_PLOT_POINTS))
    # Written as "None", which programs that mind the case do not know; they fill it black.
    text = text.replace("fill: None", "fill: none")
    start = text.index("<svg")
    return Markup(text[start:])
