"""The rules that keep the parts apart: imports, start-up, length of modules."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shared_data import REPOSITORY

PACKAGE = REPOSITORY / "napari_backfat"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST_MODULE = 400


def _name(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


def _is_light(name: str) -> bool:
    """Say whether the application may import a module before inference starts."""
    return not name.startswith("train/") and not re.match(r"segment/.*torch.*\.py", name)


LIGHT_MODULES = [module for module in MODULES if _is_light(_name(module))]


def _imported_by(statement: str) -> set[str]:
    """Return the top-level names in sys.modules after a statement in a fresh interpreter."""
    code = (
        f"{statement}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


def test_import_contracts_hold() -> None:
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=REPOSITORY, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("module", MODULES, ids=_name)
def test_module_is_short_enough_to_read(module: Path) -> None:
    lines = module.read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST_MODULE


@pytest.mark.parametrize("module", LIGHT_MODULES, ids=_name)
def test_torch_is_imported_inside_functions_only(module: Path) -> None:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    heavy = {"torch", "monai", "matplotlib"}
    found = [name for node in _run_at_import(tree) for name in _names(node) if name in heavy]
    assert found == []


def _run_at_import(node: ast.AST) -> list[ast.AST]:
    """Return the nodes that run on import: not function bodies, not TYPE_CHECKING."""
    nodes: list[ast.AST] = [node]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return []
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        return [inner for child in node.orelse for inner in _run_at_import(child)]
    for child in ast.iter_child_nodes(node):
        nodes += _run_at_import(child)
    return nodes


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [(node.module or "").split(".")[0]]
    return []


HEAVY = {"torch", "monai", "matplotlib"}
WINDOW = {"napari", "qtpy", "vispy", "superqt", "magicgui", "PyQt5", "PyQt6"}


def test_model_needs_numpy_and_signals_only() -> None:
    names = [_name(m)[:-3].replace("/", ".") for m in MODULES if _name(m).startswith("model/")]
    loaded = _imported_by("import " + ", ".join(f"napari_backfat.{name}" for name in names))
    assert loaded & (HEAVY | WINDOW | {"nibabel", "sklearn", "skimage"}) == set()


def test_session_needs_no_window() -> None:
    assert _imported_by("import napari_backfat.review.session") & (HEAVY | WINDOW) == set()


def test_manifest_functions_load_nothing_heavy() -> None:
    loaded = _imported_by("import napari_backfat.contributions")
    assert loaded & (HEAVY | WINDOW | {"nibabel", "numpy"}) == set()
