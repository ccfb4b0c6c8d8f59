"""The models a person has added, remembered in one small file; never the weights themselves."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import platformdirs
from pydantic import ValidationError

from napari_backfat.model.errors import BackfatError
from napari_backfat.segment.external.inspect_folder import inspect_folder
from napari_backfat.segment.external.label_map import Record, read_label_map, ready_made
from napari_backfat.segment.external.manifest import Sha256  # noqa: TC001 - pydantic needs it

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_backfat.segment.external.model_folder import ModelFolder

_WAIT_S = 5


class Added(Record):
    """A model that was added, as remembered.

    Attributes
    ----------
    folder : str
        Where its weights are.
    title : str
        Name and version when it was added.
    kind, licence : str
        As in `ModelFolder`.
    sha256 : str
        Hash of the weights when it was added; others are refused until it is added again.
    label_map : str, optional
        Ready-made label map by name, or a file; None: the one found in the folder.
    licence_seen : str
        When its licence was shown and agreed to; UTC, ISO 8601.
    """

    folder: str
    title: str
    kind: str
    licence: str
    sha256: Sha256
    label_map: str | None = None
    licence_seen: str = ""


class Settings(Record):
    """What is remembered.

    Attributes
    ----------
    models : tuple of Added
        In the order in which they were added.
    nnunet : str, optional
        Interpreter or program that runs nnU-Net.
    chosen : str
        Key of the backend that the window offers first.
    """

    models: tuple[Added, ...] = ()
    nnunet: str | None = None
    chosen: str = ""


def settings_path() -> Path:
    """File of the settings; the environment variable BACKFAT_MODELS moves it."""
    chosen = os.environ.get("BACKFAT_MODELS")
    return Path(chosen or platformdirs.user_config_path("napari-backfat") / "models.json")


def read_settings() -> Settings:
    """Read what is remembered; nothing, if there is no file yet.

    Raises
    ------
    BackfatError
        If the file is damaged.
    """
    path = settings_path()
    try:
        return Settings.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Settings()
    except (OSError, ValidationError) as error:
        raise BackfatError(
            f"The list of models {path} is damaged; delete it and add the models again."
        ) from error


def change_settings(change: Callable[[Settings], Settings]) -> Settings:
    """Read, change and write the settings while nobody else does.

    Parameters
    ----------
    change : callable
        From the present settings to the new ones.

    Raises
    ------
    BackfatError
        If the file cannot be written.
    """
    path = settings_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_name(path.name + ".lock"), timeout=_WAIT_S):
            settings = change(read_settings())
            handle, name = tempfile.mkstemp(prefix=".models-", dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as stream:
                    text = json.dumps(settings.model_dump(mode="json"), indent=2)
                    stream.write(text.encode() + b"\n")
                os.replace(name, path)
            finally:
                with contextlib.suppress(OSError):
                    Path(name).unlink(missing_ok=True)
    except (OSError, filelock.Timeout) as error:
        raise BackfatError(f"The list of models {path} could not be written: {error}.") from error
    return settings


def remember(model: ModelFolder, sha256: str, label_map: str | None) -> Added:
    """Add a model whose licence was agreed to; an entry of the same folder is replaced.

    Parameters
    ----------
    model : ModelFolder
        What was inspected.
    sha256 : str
        Its fingerprint.
    label_map : str or None
        As given to `inspect_folder`; a file is remembered by its full path.
    """
    if label_map is not None and label_map not in ready_made():
        label_map = str(Path(label_map).expanduser().absolute())
    added = Added(
        folder=str(model.path),
        title=model.title,
        kind=model.kind,
        licence=model.licence.name,
        sha256=sha256,
        label_map=label_map,
        licence_seen=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    )
    change_settings(lambda s: s.model_copy(update={"models": (*_without(s, added.folder), added)}))
    return added


def forget(folder: str | Path) -> bool:
    """Remove a model from the list; its folder is left alone. Returns whether it was there."""
    path = str(Path(folder).expanduser().absolute())
    before = read_settings()
    if not any(path in (m.folder, m.title) or str(folder) == m.title for m in before.models):
        return False
    keep = tuple(m for m in before.models if m.folder != path and m.title != str(folder))
    change_settings(lambda s: s.model_copy(update={"models": keep}))
    return True


def _without(settings: Settings, folder: str) -> tuple[Added, ...]:
    return tuple(m for m in settings.models if m.folder != folder)


def find_added(folder: str | Path) -> Added | None:
    """Return the entry of a folder (or of the model inside it), or None."""
    path = str(Path(folder).expanduser().absolute())
    models = read_settings().models
    exact = next((m for m in models if m.folder == path), None)
    inside = [m for m in models if Path(m.folder).is_relative_to(path)]
    return exact or (inside[0] if len(inside) == 1 else None)


def open_added(added: Added) -> ModelFolder:
    """Inspect a remembered folder again.

    Raises
    ------
    BackfatError
        If it is gone or no longer what it was.
    """
    if added.label_map is not None:
        read_label_map(added.label_map)  # its absence is the clearer sentence
    return inspect_folder(added.folder, added.label_map)
