"""The small JSON file that makes a TorchScript or ONNX network a model for this program."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from napari_backfat.segment.external.label_map import Channels, Codes, LabelMap, Labels, Record

MANIFEST = "backfat-model.json"
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Size = Annotated[int, Field(ge=1, le=4096)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Licence(Record):
    """Under which terms the weights may be used.

    Attributes
    ----------
    name : str
        Short name, such as "CC-BY-NC-4.0".
    file : str, optional
        A text file in the folder with the whole licence.
    text : str
        The licence itself, or what there is to say about it.
    """

    name: str
    file: str | None = None
    text: str = ""


class Normalisation(Record):
    """How intensities are scaled, each channel for itself, before the network sees them.

    Attributes
    ----------
    kind : {"zscore", "percentile", "fixed", "none"}
        Zero mean and unit spread; `low` to `high` percentile scaled to 0..1 and clipped;
        (value - mean) / std; or as they are.
    nonzero : bool
        Whether only voxels that are not 0 are counted and changed (zscore and percentile).
    scope : {"volume", "slice"}
        Over the whole scan or over each slice (2D networks only).
    low, high : float
        Percentiles.
    mean, std : float
        For "fixed".
    """

    kind: Literal["zscore", "percentile", "fixed", "none"] = "zscore"
    nonzero: bool = False
    scope: Literal["volume", "slice"] = "volume"
    low: Annotated[float, Field(ge=0, lt=100)] = 0.5
    high: Annotated[float, Field(gt=0, le=100)] = 99.5
    mean: float = 0.0
    std: _Positive = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> Normalisation:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        return self


class NetworkInput(Record):
    """What the network takes: an array (1, channel, axis, axis[, axis]), float32.

    Attributes
    ----------
    dimensions : {2, 3}
        2: slices across the body, one at a time; 3: blocks.
    channels : tuple of tuple of str
        As in `LabelMap.channels`.
    orientation : str
        Directions in which the array's axes grow, such as "RAS". A 2D network gets the two axes
        that are left without S or I, in this order.
    spacing_mm : tuple of float or None
        Voxel size along each of the three axes; None keeps that of the scan.
    patch : tuple of int, optional
        Size of the blocks (2 or 3 numbers); None gives the whole slice or volume at once.
    multiple : int
        Sizes are padded with zeros to a multiple of this, where `patch` is None.
    overlap : float
        Share by which neighbouring blocks overlap.
    normalisation : Normalisation
        Scaling of the intensities, after resampling.
    """

    dimensions: Literal[2, 3]
    channels: Channels
    orientation: Codes = "RAS"
    spacing_mm: tuple[_Positive | None, _Positive | None, _Positive | None] = (None, None, None)
    patch: tuple[_Size, ...] | None = None
    multiple: _Size = 1
    overlap: Annotated[float, Field(ge=0, le=0.9)] = 0.5
    normalisation: Normalisation = Normalisation()

    @model_validator(mode="after")
    def _sizes_fit(self) -> NetworkInput:
        if self.patch is not None and len(self.patch) != self.dimensions:
            raise ValueError(f"patch needs {self.dimensions} numbers")
        if self.normalisation.scope == "slice" and self.dimensions == 3:
            raise ValueError("normalisation per slice is for 2D networks")
        return self


class NetworkOutput(Record):
    """What the network gives: an array (1, class, axis, axis[, axis]) of the input's size.

    Attributes
    ----------
    activation : {"softmax", "sigmoid", "none"}
        What still has to be done to get probabilities.
    labels : dict of int to Label
        Meaning of the classes by their position; others, and 0, are background.
    """

    activation: Literal["softmax", "sigmoid", "none"] = "softmax"
    labels: Labels


class Manifest(Record):
    """A network with everything that is needed to run it.

    Attributes
    ----------
    format : {"torchscript", "onnx"}
        Kind of file.
    name, version : str
        For people and for provenance.
    file : str
        The network's file, in the folder of the manifest.
    sha256 : str
        Of that file. A file with another hash is not run.
    licence : Licence
        Shown before the first use.
    source : str
        Where the network comes from.
    remark : str
        What a user must know.
    input, output : NetworkInput, NetworkOutput
        As described there.
    """

    format: Literal["torchscript", "onnx"]
    name: str = Field(min_length=1, max_length=120)
    version: str = ""
    file: str
    sha256: Sha256
    licence: Licence
    source: str = ""
    remark: str = ""
    input: NetworkInput
    output: NetworkOutput

    @field_validator("file")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if PurePosixPath(name).name != name or Path(name).name != name or name in ("", ".", ".."):
            raise ValueError("file must be the name of a file in this folder")
        return name

    @property
    def label_map(self) -> LabelMap:
        """The output as a label map."""
        return LabelMap(
            name=self.name,
            source=self.source,
            licence=self.licence.name,
            labels=self.output.labels,
            channels=self.input.channels,
            orientation=self.input.orientation,
            remark=self.remark,
        )
