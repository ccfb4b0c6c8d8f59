"""Run the benchmarks: python -m benchmarks [name ...]; without names, all but the long ones."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from rich.console import Console

from benchmarks.record import Record, table_of, write_records

# Each module has a function records() that yields Record; the order is that of the table.
BENCHMARKS = (
    "stroke",
    "edit_tools",
    "correction",
    "plots",
    "fluid",
    "threshold",
    "fat_accuracy",
    "open_case",
    "open_dicom",
    "worklist",
    "start_up",
    "network",
    "cohort",
)
# Minutes each; measured only when named.
LONG = ("fuzz",)
RESULT = Path("out/bench.json")


def main(names: list[str]) -> int:
    """Run the named benchmarks, print the table and write the file; 2 for an unknown name."""
    console = Console(width=140 if not sys.stdout.isatty() else None)
    known = (*BENCHMARKS, *LONG)
    unknown = [name for name in names if name not in known]
    if unknown:
        console.print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(known)}")
        return 2
    records: list[Record] = []
    for name in names or BENCHMARKS:
        console.print(f"measuring: {name}")
        records += import_module(f"benchmarks.{name}").records()
        # After each one, so that a later failure does not lose what has been measured.
        write_records(records, RESULT)
    console.print(table_of(records))
    console.print(f"written to {RESULT}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
