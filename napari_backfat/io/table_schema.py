"""The published form of a case's tables; the JSON schema beside it is made from these models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_ID = "backfat-tables/2"
SCHEMA_FILE = Path(__file__).parent / "schema" / "backfat-tables-2.json"

Share = Annotated[float, Field(ge=0, le=1)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Row(_Record):
    """One value: a measure of some muscles on a side within a part of the spine."""

    muscle: str = Field(description="multifidus, erector spinae, ... back muscles, all muscles")
    side: Literal["left", "right", "both"] = Field(description="The patient's side")
    level: str = Field(description="L3, L3/L4 (slab around that disc), slice 12, or all")
    measure: str = Field(description="Key of an entry of `measures`")
    unit: str
    value: float | None = Field(description="null where the measure does not exist")
    sd: Annotated[float, Field(ge=0)] | None = Field(
        description="Standard deviation from the border's position, in the same unit"
    )
    low: float | None = Field(None, description="Lower end of a 95 % interval; null without one")
    high: float | None = Field(None, description="Its upper end")
    coverage: Share = Field(description="Share of the level that lies within the scan")
    note: str


class MeasureDefinition(_Record):
    """What a measure means."""

    key: str
    label: str
    unit: str
    meaning: str


class Method(_Record):
    """How the numbers were made; two tables compare only if `settings` agree."""

    fat_kind: str
    fat_method: str
    threshold: Share
    settings: dict[str, Any] = Field(description="What was chosen, without what was fitted")
    parameters: dict[str, Any] = Field(description="All parameters of the fat map")
    notes: list[str]
    muscles: list[str] = Field(description="Muscles with at least one voxel, with their side")
    segmentation: str = Field(description="Origin of the muscle masks")
    edits: Annotated[int, Field(ge=0)]
    uncertainty: str
    correction: str = Field("", description="How corrected mean fat fractions were made")


class Levels(_Record):
    """The disc lines behind the levels."""

    discs: list[float] = Field(description="Continuous slice index of each disc's middle")
    discs_mm: list[float] = Field(description="The same in mm from the middle of the first slice")
    disc_names: list[str]
    above: str
    t13: bool
    l6: bool
    source: str
    edited: bool
    numbering_stated: bool
    localiser: str = Field("", description="Sagittal scan the lines were placed on, and why there")


class ScanRecord(_Record):
    """The grid the numbers were taken on."""

    shape: tuple[int, int, int] = Field(description="Voxels along (Z, Y, X); Z from head to foot")
    spacing_mm: tuple[float, float, float]
    images_sha256: list[str]


class TableDocument(_Record):
    """Tables of one case by level, slice, disc or for the whole scan."""

    schema_id: Literal["backfat-tables/1", "backfat-tables/2"] = Field(
        default="backfat-tables/2",
        alias="schema",
        description="Version 1 has no intervals and no corrected means; it can still be read",
    )
    disclaimer: str
    program: str
    created: str = Field(description="UTC, ISO 8601")
    by: Literal["level", "slice", "disc", "whole"]
    slab_mm: float | None = Field(description="Thickness of disc-centred slabs, else null")
    scan: ScanRecord
    method: Method
    levels: Levels | None
    measures: list[MeasureDefinition]
    rows: list[Row]

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


def json_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of `TableDocument`."""
    schema = TableDocument.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:napari-backfat:{SCHEMA_ID}",
        **schema,
    }


def schema_bytes() -> bytes:
    """Return the text of the committed schema file."""
    return (json.dumps(json_schema(), indent=2) + "\n").encode()


def table_json(document: TableDocument) -> bytes:
    """Return a document as JSON text that fits the schema."""
    return (document.model_dump_json(by_alias=True, indent=2) + "\n").encode()


def read_table(path: str | Path) -> TableDocument:
    """Read a document that `table_json` wrote.

    Raises
    ------
    BackfatError
        If the file cannot be read or does not fit the schema.
    """
    from pydantic import TypeAdapter

    from napari_backfat.io.tables import read_json

    return read_json(Path(path), TypeAdapter(TableDocument))


if __name__ == "__main__":
    SCHEMA_FILE.write_bytes(schema_bytes())
