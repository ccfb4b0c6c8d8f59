"""Every backend there is: built in, of other packages, and of folders a person has added.

Another package adds one by an entry point of the group ``napari_backfat.backends``; the name is
what the person chooses, the object a callable without arguments that returns a
`segment.backend.SegmentationBackend`::

    [project.entry-points."napari_backfat.backends"]
    my-model = "my_package.backend:MyBackend"
"""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.backend import BACKENDS, DEFAULT_BACKEND
from napari_backfat.segment.weights import find_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_backfat.segment.backend import SegmentationBackend

GROUP = "napari_backfat.backends"
FOLDER = "folder:"
"""Keys of added folders begin so."""


@dataclass(frozen=True)
class BackendInfo:
    """A backend as a list shows it; nothing of it has been loaded.

    Attributes
    ----------
    key : str
        What `make_backend` takes.
    title : str
        For people.
    origin : str
        "built in", "package …" or "folder …".
    licence : str
        Licence of the weights, if known.
    sha256 : str
        Hash of the weights, if known.
    """

    key: str
    title: str
    origin: str
    licence: str = ""
    sha256: str = ""


def list_backends() -> list[BackendInfo]:
    """List what can be chosen, the bundled network first.

    Raises
    ------
    BackfatError
        If the list of added models is damaged.
    """
    from napari_backfat.segment.external.store import read_settings

    found = [_built_in(key) for key in BACKENDS]
    found += [
        BackendInfo(p.name, p.name, f"package {_package(p)}")
        for p in _entry_points()
        if p.name not in BACKENDS
    ]
    found += [
        BackendInfo(
            FOLDER + m.folder,
            m.title,
            f"folder {m.folder}",
            m.licence,
            m.sha256,
        )
        for m in read_settings().models
    ]
    return found


def make_backend(key: str = DEFAULT_BACKEND) -> SegmentationBackend:
    """Make a backend.

    Parameters
    ----------
    key : str
        As in `BackendInfo.key`.

    Raises
    ------
    BackfatError
        If there is none of this key, or it cannot be made.
    """
    if key in BACKENDS:
        return BACKENDS[key]()
    if key.startswith(FOLDER):
        return folder_backend(key.removeprefix(FOLDER))
    point = next((p for p in _entry_points() if p.name == key), None)
    if point is None:
        known = ", ".join(info.key for info in list_backends())
        raise BackfatError(f"There is no model '{key}'. Choose one of {known}.")
    try:
        factory: Callable[[], SegmentationBackend] = point.load()
        return factory()
    except BackfatError:
        raise
    except Exception as error:  # whatever a foreign package does must become a sentence
        raise BackfatError(
            f"The model '{key}' of the package {_package(point)} could not be started "
            f"({type(error).__name__}: {error}). Update or remove that package."
        ) from error


def folder_backend(folder: str | Path) -> SegmentationBackend:
    """Make the backend of an added folder.

    Raises
    ------
    BackfatError
        If the folder was not added, so that its licence was never shown.
    """
    from napari_backfat.segment.external.network_backend import NetworkBackend
    from napari_backfat.segment.external.nnunet import NnunetBackend
    from napari_backfat.segment.external.own_weights import KIND as OWN
    from napari_backfat.segment.external.store import find_added, open_added, read_settings

    added = find_added(folder)
    if added is None:
        raise BackfatError(
            f"The model folder {folder} has not been added yet: its licence must be seen first. "
            "Add it in the window, or with 'napari-backfat models add'."
        )
    model = open_added(added)
    if model.kind == OWN:
        from napari_backfat.segment.torch_backend import TorchBackend

        if model.promised != added.sha256:
            raise BackfatError(
                f"{folder} holds other weights than those that were added; add them again."
            )
        return TorchBackend(model.path)
    if model.kind == "nnunet":
        return NnunetBackend(model, added.sha256, read_settings().nnunet)
    return NetworkBackend(model, added.sha256)


def _built_in(key: str) -> BackendInfo:
    if key != DEFAULT_BACKEND:
        return BackendInfo(key, key, "built in")
    try:
        weights = find_weights()
    except BackfatError:  # listing must not fail because one entry cannot run
        return BackendInfo(key, "Bundled network (weights missing)", "built in")
    return BackendInfo(key, weights.name, "built in", "BSD-3-Clause", weights.sha256)


def _entry_points() -> list[importlib.metadata.EntryPoint]:
    return sorted(importlib.metadata.entry_points(group=GROUP), key=lambda p: p.name)


def _package(point: importlib.metadata.EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value
