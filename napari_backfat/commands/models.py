"""`models`: which networks there are, what a folder holds, and adding one made elsewhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_backfat.commands.console import console, error_console, reporting, say, with_bar
from napari_backfat.model.errors import BackfatError

if TYPE_CHECKING:
    from napari_backfat.segment.external.model_folder import ModelFolder

_models = typer.Typer(
    help="Networks that find the muscles: list them, look into a folder, add one.",
    no_args_is_help=True,
)
Folder = Annotated[Path, typer.Argument(help="Folder with the weights")]
LabelMapOption = Annotated[
    str | None, typer.Option(help="Ready-made label map by name, or a TOML or JSON file")
]
AcceptLicence = Annotated[
    bool, typer.Option("--accept-licence", help="Agree to the licence of the weights as shown")
]
AsJson = Annotated[bool, typer.Option("--json", help="For scripts")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(_models, name="models")


@_models.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the networks that 'analyze --model' takes."""
    from napari_backfat.segment.registry import list_backends

    with reporting():
        found = list_backends()
        if as_json:
            _write([vars(info) for info in found])
            return
        for info in found:
            licence = info.licence or "licence not stated"
            weights = f"sha256 {info.sha256[:12]}" if info.sha256 else "hash not known"
            say(f"{info.key}\n    {info.title}; {licence}; {weights}; {info.origin}")


@_models.command("label-maps")
def list_label_maps() -> None:
    """List the label maps that come along, with their sources."""
    from napari_backfat.segment.external.label_map import read_label_map, ready_made

    with reporting():
        for name in ready_made():
            found = read_label_map(name)
            say(f"{name}\n    {found.name}; {found.source}")


@_models.command("check")
def check(folder: Folder, label_map: LabelMapOption = None, as_json: AsJson = False) -> None:
    """Say what a folder holds, which muscles it gives and its hash; nothing of it is run.

    Exit codes: 0 it can be used, 2 it cannot, with the reason.
    """
    from napari_backfat.segment.external.inspect_folder import inspect_folder
    from napari_backfat.segment.external.model_folder import fingerprint
    from napari_backfat.segment.external.store import find_added, read_settings

    with reporting("nothing was changed"):
        model = inspect_folder(folder, label_map)
        sha256 = with_bar(fingerprint(model))
        added = find_added(model.path)
        facts = _facts(model, sha256)
        if model.kind == "nnunet":
            facts["nnunet"] = _nnunet(read_settings().nnunet)
        facts["added"] = bool(added and added.sha256 == sha256)
        if as_json:
            _write(facts)
            return
        _print_facts(facts)
        if added and added.sha256 != sha256:
            say("These are other weights than those that were added; add them again.")
        elif not added:
            say(f"Not added yet: napari-backfat models add '{folder}'")


@_models.command("add")
def add(
    folder: Folder, label_map: LabelMapOption = None, accept_licence: AcceptLicence = False
) -> None:
    """Show a model's licence and remember the model; its weights stay where they are."""
    with reporting("nothing was changed"):
        key = add_folder(folder, label_map, accept_licence)
        say(f"Added. Use it with: napari-backfat analyze --model '{key}' …")


@_models.command("remove")
def remove(folder: Annotated[str, typer.Argument(help="Folder, or name as listed")]) -> None:
    """Forget a model; its folder is left alone."""
    from napari_backfat.segment.external.store import forget
    from napari_backfat.segment.registry import FOLDER

    with reporting("nothing was changed"):
        if not forget(folder.removeprefix(FOLDER)):
            raise BackfatError(f"{folder} is not in the list; see 'napari-backfat models list'.")
        say("Removed from the list; the folder is still there.")


@_models.command("nnunet")
def nnunet(
    program: Annotated[
        str | None,
        typer.Argument(help="Python of an environment with nnunetv2, or its predict program"),
    ] = None,
    forget: Annotated[bool, typer.Option("--forget", help="Search again at each run")] = False,
) -> None:
    """Choose which nnU-Net runs nnU-Net folders; without an argument say which one is used."""
    from napari_backfat.segment.external.nnunet import confirmed_program
    from napari_backfat.segment.external.store import change_settings, read_settings

    with reporting("nothing was changed"):
        if program is not None:
            chosen = confirmed_program(program)[0].path
            change_settings(lambda s: s.model_copy(update={"nnunet": chosen}))
        elif forget:
            change_settings(lambda s: s.model_copy(update={"nnunet": None}))
        say(_nnunet(read_settings().nnunet))


def add_folder(folder: Path, label_map: str | None, accept: bool) -> str:
    """Inspect, hash, show the licence, ask, remember; returns the backend's key.

    Raises
    ------
    BackfatError
        If the licence was not agreed to, or the folder holds no usable model.
    """
    from napari_backfat.segment.external.inspect_folder import inspect_folder
    from napari_backfat.segment.external.model_folder import fingerprint
    from napari_backfat.segment.external.own_weights import KIND as OWN
    from napari_backfat.segment.external.store import remember
    from napari_backfat.segment.registry import FOLDER

    model = inspect_folder(folder, label_map)
    sha256 = with_bar(fingerprint(model))
    _print_facts(_facts(model, sha256), error_console)
    say(f"\n{model.licence.text.strip()}\n", error_console)
    if not accept and model.kind != OWN:  # tuned here, or trained: no foreign licence to agree to
        if not sys.stdin.isatty():
            raise BackfatError(
                f"The licence of {model.title} (above) has not been agreed to. Read it, and give "
                "--accept-licence if you may use the weights."
            )
        accept = typer.confirm("May these weights be used under this licence?", err=True)
    if not accept and model.kind != OWN:
        raise BackfatError("Without agreement to its licence the model is not used.")
    remember(model, sha256, label_map)
    return FOLDER + str(model.path)


def choose(model: str | None, label_map: str | None, accept_licence: bool) -> str:
    """Turn what was given as --model into the key of a backend.

    Parameters
    ----------
    model : str or None
        A key, a folder (added here if it was not yet), or None for the bundled network.
    label_map, accept_licence
        As in `add_folder`.
    """
    from napari_backfat.segment.backend import DEFAULT_BACKEND
    from napari_backfat.segment.external.store import find_added
    from napari_backfat.segment.registry import FOLDER

    if model is None:
        if label_map is not None:
            raise BackfatError("--label-map belongs to --model FOLDER.")
        return DEFAULT_BACKEND
    folder = Path(model.removeprefix(FOLDER))
    if not model.startswith(FOLDER) and not folder.expanduser().is_dir():
        return model
    added = find_added(folder)
    if added is not None and label_map in (None, added.label_map):
        return FOLDER + added.folder
    return add_folder(folder, label_map, accept_licence)


def _facts(model: ModelFolder, sha256: str) -> dict[str, Any]:
    from napari_backfat.model.anatomy import MuscleGroup
    from napari_backfat.model.combined import COMBINED

    meaning = model.label_map
    absent = [g.value for g in MuscleGroup if g not in meaning.groups]
    remarks = [COMBINED[key].text for key in meaning.combined]
    if absent:
        remarks.append(f"Not outlined by this model: {', '.join(absent)}.")
    if meaning.remark:
        remarks.append(meaning.remark)
    return {
        "name": model.title,
        "kind": model.kind,
        "folder": str(model.path),
        "licence": model.licence.name,
        "sha256": sha256,
        "files": list(model.files),
        "label_map": model.label_map_from,
        "labels": {
            str(n): f"{label.muscle}, {label.side}" for n, label in sorted(meaning.labels.items())
        },
        "inputs": [list(channel) for channel in meaning.channels],
        "combined": list(meaning.combined),
        "remarks": remarks,
    }


def _print_facts(facts: dict[str, Any], where: Any = console) -> None:
    for title, key in (
        ("Model", "name"),
        ("Kind", "kind"),
        ("Folder", "folder"),
        ("Licence", "licence"),
        ("sha256", "sha256"),
        ("Labels from", "label_map"),
        ("nnU-Net", "nnunet"),
    ):
        if key in facts:
            say(f"{title}: {facts[key]}", where)
    for number, meaning in facts["labels"].items():
        say(f"    {number} is {meaning}", where)
    for position, channel in enumerate(facts["inputs"], start=1):
        say(f"Input {position}: {' or '.join(channel)}", where)
    for remark in facts["remarks"]:
        say(f"Note: {remark}", where)


def _nnunet(chosen: str | None) -> str:
    """Say which nnU-Net runs, or why none."""
    from napari_backfat.segment.external.nnunet import find_program, probe

    try:
        program = find_program(chosen)
    except BackfatError as error:
        return str(error)
    return f"{program.path} ({probe(program)})"


def _write(data: Any) -> None:
    typer.echo(json.dumps(data, indent=2))
