"""What pip installs is what the repository holds, and napari finds the plugin in it."""

from __future__ import annotations

import ast
import configparser
import pkgutil
import subprocess
import sys
import zipfile
from email.parser import BytesParser
from importlib.metadata import entry_points, packages_distributions

import pytest
import yaml
from npe2 import PluginManifest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import napari_backfat
from tests.shared_data import REPOSITORY

PACKAGE = REPOSITORY / "napari_backfat"


def test_root_manifest_is_the_packaged_one() -> None:
    # npe2 reads the manifest only from inside the package; the copy at the root is for readers.
    root, packaged = REPOSITORY / "napari.yaml", PACKAGE / "napari.yaml"
    assert root.read_text(encoding="utf-8") == packaged.read_text(encoding="utf-8")
    assert packaged.is_file()
    assert not packaged.is_symlink()


def test_manifest_is_found_through_the_entry_point() -> None:
    (entry,) = [e for e in entry_points(group="napari.manifest") if e.name == "napari-backfat"]
    manifest = PluginManifest.from_distribution("napari-backfat")
    assert entry.value == "napari_backfat:napari.yaml"
    assert manifest.name == "napari-backfat"
    assert manifest.package_version == napari_backfat.__version__


def test_every_python_name_of_the_manifest_exists() -> None:
    manifest = PluginManifest.from_distribution("napari-backfat")
    commands = manifest.contributions.commands
    assert commands
    for command in commands:
        assert callable(pkgutil.resolve_name(command.python_name)), command.python_name


def test_every_contribution_names_a_declared_command() -> None:
    contributions = yaml.safe_load((PACKAGE / "napari.yaml").read_text(encoding="utf-8"))[
        "contributions"
    ]
    declared = {command["id"] for command in contributions.pop("commands")}
    menus = contributions.pop("menus", {})
    used = {entry["command"] for entries in contributions.values() for entry in entries}
    used |= {entry["command"] for entries in menus.values() for entry in entries}
    assert used == declared


def test_constraints_pin_every_requirement() -> None:
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    extras = config["options.extras_require"].values()
    wanted = "\n".join([config["options"]["install_requires"], *extras]).splitlines()
    names = {_name(line) for line in wanted if line.strip() and not line.startswith("#")}
    text = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8")
    pinned = {
        _name(line) for line in text.splitlines() if "==" in line and not line.startswith("#")
    }
    # nnU-Net runs in an environment of its own, which is the user's.
    assert names - pinned == {"nnunetv2"}


def _name(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement.strip()).name)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build the wheel from a copy, so that no build folder is left in the repository."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        original, copy = REPOSITORY / name, source / name
        if not original.exists():
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        if original.is_symlink():
            copy.symlink_to(original.readlink())
        else:
            copy.write_bytes(original.read_bytes())
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, source],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    (path,) = target.glob("*.whl")
    return zipfile.ZipFile(path)


def _tracked(folder: str) -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", folder],
        cwd=REPOSITORY, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return {name for name in listed.stdout.split("\0") if name and (REPOSITORY / name).is_file()}


def test_wheel_holds_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    tracked = _tracked("napari_backfat")
    assert {"napari_backfat/napari.yaml", "napari_backfat/py.typed"} <= tracked
    assert tracked - set(wheel.namelist()) == set()


def test_wheel_holds_the_sample_case(wheel: zipfile.ZipFile) -> None:
    # In the repository the package has a link to the folder; pip must install the files themselves.
    sample = {f"napari_backfat/{name}" for name in _tracked("sample_data")}
    assert len(sample) >= 4
    assert sample - set(wheel.namelist()) == set()


def test_wheel_metadata_names_framework_and_entry_points(wheel: zipfile.ZipFile) -> None:
    (metadata,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    fields = BytesParser().parsebytes(wheel.read(metadata))
    assert "Framework :: napari" in fields.get_all("Classifier", [])
    assert fields["License-Expression"] == "BSD-3-Clause"
    (scripts,) = [name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt")]
    text = wheel.read(scripts).decode()
    assert "napari-backfat = napari_backfat:napari.yaml" in text
    assert "napari-backfat = napari_backfat.cli:main" in text


def test_every_imported_package_is_required() -> None:
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    required = {_name(line) for line in config["options"]["install_requires"].split("\n") if line}
    providers = packages_distributions()
    # The import that an optional extra or the development tools provide, and the part that has it.
    optional = {"onnxruntime": "segment/external", "matplotlib": "train"}
    undeclared = {}
    for module in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            for imported in _imported(node) - sys.stdlib_module_names - {"napari_backfat"}:
                if optional.get(imported, "-") in module.as_posix():
                    continue
                if not required & {canonicalize_name(n) for n in providers.get(imported, ())}:
                    undeclared[imported] = module.relative_to(REPOSITORY).as_posix()
    assert undeclared == {}


def _imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").split(".")[0]}
    return set()
