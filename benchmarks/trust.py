"""Everything that shows how far the weights can be trusted: ``python -m benchmarks.trust``.

Fits and measures the quality estimate, tries scans that are no back, turns scans, shows one as
other protocols would, and writes the tables into ``docs/ai-trust.md`` between its markers. The
worst cases have a page of their own: ``python -m napari_backfat.train worst``. Both are to be run
after every training (``make trust``).
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from benchmarks import acquisitions, negatives, orientations, quality

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path("docs/ai-trust.md")


def replaced(page: str, name: str, text: str) -> str:
    """Put a text between the markers of a name; raises ValueError if the page has none."""
    pattern = rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)"
    new, count = re.subn(
        pattern, lambda m: f"{m[1]}\n{text.strip()}\n\n{m[2]}", page, count=1, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"{PAGE} has no place marked {name}")
    return new


def tables(printed: str) -> str:
    """Keep what belongs on the page: table rows, and sentences, without the progress bar."""
    kept = [
        line.rstrip()
        for line in printed.splitlines()
        if "trials" not in line and not line.startswith("written to")
    ]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept))


def main(arguments: list[str]) -> int:
    """Run the four studies, or those that are named; 1 if one of them failed its own check."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trust")
    parser.add_argument(
        "names", nargs="*", help="quality, negatives, orientations, acquisitions; all if none"
    )
    parser.add_argument("--persons", default="36", help="phantom persons of the quality study")
    parser.add_argument("--maps", default="14", help="deformed label maps of the quality study")
    options = parser.parse_args(arguments)
    study = ["--persons", options.persons, "--maps", options.maps]
    runs: dict[str, Callable[[Console], int]] = {
        "quality": lambda console: quality.main(study, console),
        "negatives": negatives.main,
        "orientations": lambda console: orientations.main([], console),
        "acquisitions": acquisitions.main,
    }
    worst = 0
    for name in options.names or runs:
        out = io.StringIO()
        worst = max(worst, runs[name](Console(file=out, width=400, soft_wrap=True)))
        sys.stdout.write(out.getvalue())
        PAGE.write_text(replaced(PAGE.read_text("utf-8"), name, tables(out.getvalue())), "utf-8")
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
