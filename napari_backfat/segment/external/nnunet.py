"""Runs a trained nnU-Net v2 in a process of its own, in any Python environment that has it.

nnU-Net's checkpoints are Python pickles, and opening one can run code. They are never opened in
this process: only the child process does, and it is ended with all its children on cancel.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.segment.external.exchange import read_numbers, write_image
from napari_backfat.segment.external.inputs import choose_images
from napari_backfat.segment.external.network_backend import checked_weights, within
from napari_backfat.segment.external.orientation import Turn
from napari_backfat.segment.external.process import Child
from napari_backfat.segment.external.result import segmentation_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_backfat.model.volume import Scan
    from napari_backfat.segment.backend import Segmentation
    from napari_backfat.segment.external.model_folder import ModelFolder

PROGRAM = "nnUNetv2_predict_from_modelfolder"
_ENTRY = (
    "from nnunetv2.inference.predict_from_raw_data import predict_entry_point_modelfolder as run; "
    "run()"
)
_PROBE = (
    "import torch; print('cuda' if torch.cuda.is_available() else "
    "'mps' if torch.backends.mps.is_available() else 'cpu')"
)
_LOOK_S = 0.1
_PROBE_S = 60.0
_LAST_WORDS = 1200
_ERROR = re.compile(r"[\w.]*(Error|Exception|Exit|Interrupt)\b")
_PERCENT = re.compile(r"(\d{1,3})%\|")


@dataclass(frozen=True)
class NnunetProgram:
    """How nnU-Net is called.

    Attributes
    ----------
    path : str
        A Python interpreter that has nnunetv2, or the program `nnUNetv2_predict_from_modelfolder`.
    """

    path: str

    @property
    def is_python(self) -> bool:
        """Whether it is an interpreter."""
        return bool(re.fullmatch(r"python[\d.w]*(\.exe)?", Path(self.path).name.lower()))

    @property
    def command(self) -> tuple[str, ...]:
        """Begin of the command line."""
        # -I would keep user site packages out, where some people have their nnU-Net.
        return (self.path, "-c", _ENTRY) if self.is_python else (self.path,)

    @property
    def python(self) -> str | None:
        """The interpreter: itself, or the one beside the program."""
        if self.is_python:
            return self.path
        beside = (Path(self.path).with_name(name) for name in ("python", "python3", "python.exe"))
        return next((str(p) for p in beside if p.is_file()), None)


def find_program(chosen: str | None = None) -> NnunetProgram:
    """Find nnU-Net.

    Parameters
    ----------
    chosen : str, optional
        Interpreter or program that the person chose; otherwise the environment variable
        BACKFAT_NNUNET, the program on the search path, or this environment.

    Raises
    ------
    BackfatError
        If there is none, with what to do.
    """
    for candidate in (chosen, os.environ.get("BACKFAT_NNUNET")):
        if candidate:
            found = shutil.which(candidate)
            if found is None:
                raise BackfatError(
                    f"{candidate} is no program that can be started. Choose the Python interpreter "
                    f"of the environment that has nnunetv2, or its {PROGRAM}."
                )
            return NnunetProgram(str(Path(found).absolute()))
    on_path = shutil.which(PROGRAM)
    if on_path is not None:
        return NnunetProgram(on_path)
    if importlib.util.find_spec("nnunetv2") is not None:
        return NnunetProgram(sys.executable)
    raise BackfatError(
        "This model needs nnU-Net, which is not installed here. Either install it "
        "(pip install napari-backfat[nnunet]) or choose the Python interpreter of an environment "
        "that has nnunetv2."
    )


def confirmed_program(chosen: str) -> tuple[NnunetProgram, str]:
    """Find a chosen nnU-Net and ask it for its version; up to a minute.

    Any other program would be started only when a scan is segmented, and fail there.

    Parameters
    ----------
    chosen : str
        Interpreter or program that the person chose.

    Returns
    -------
    tuple of (NnunetProgram, str)
        And what `probe` says of it.

    Raises
    ------
    BackfatError
        If it is not what runs nnU-Net.
    """
    program = find_program(chosen)
    found = probe(program)
    right = program.is_python or Path(chosen).stem == PROGRAM
    if not right or (program.python is not None and not found.startswith("nnunetv2 ")):
        raise BackfatError(
            f"{chosen} is no Python with nnU-Net v2, and nothing was changed. Choose the Python "
            f"interpreter of the environment in which nnunetv2 is installed, or its {PROGRAM}."
        )
    return program, found


@dataclass(frozen=True)
class NnunetBackend:
    """Segmentation by an nnU-Net v2 training folder, in a process of its own.

    Attributes
    ----------
    model : ModelFolder
        What `inspect_folder` found.
    expected_sha256 : str or None
        Other weights are refused.
    program : str or None
        As in `find_program`.
    """

    model: ModelFolder
    expected_sha256: str | None = None
    program: str | None = None
    chooses_device = True

    @property
    def name(self) -> str:
        """Name and version."""
        return self.model.title

    def run(self, scan: Scan, device: str = "auto") -> Generator[Progress, None, Segmentation]:
        """Segment a scan; see `SegmentationBackend.run`."""
        started = time.perf_counter()
        model, details = self.model, self.model.details
        program = find_program(self.program)
        images = choose_images(scan, model.label_map.channels, model.title)
        sha256 = yield from within(checked_weights(model, self.expected_sha256), 0.0, 0.04)
        turn = Turn(details["orientation"])
        spacing = scan.geometry.spacing_mm
        with tempfile.TemporaryDirectory(
            prefix="backfat-nnunet-", ignore_cleanup_errors=True
        ) as name:
            folder = Path(name)
            (folder / "in").mkdir()
            for number, volume in enumerate(images):
                yield Progress(0.05, "Writing the images for nnU-Net")
                path = folder / "in" / f"case_{number:04d}{details['ending']}"
                write_image(path, volume.voxels, turn, spacing)
            if device == "auto":
                device = yield from within(_best_device(program, folder), 0.06, 0.07)
            command = self._command(program, folder, device)
            yield from within(self._predict(command, folder), 0.07, 0.97)
            written = folder / "out" / f"case{details['ending']}"
            if not written.is_file():
                raise BackfatError(f"nnU-Net ended without a result for {model.title}.")
            yield Progress(0.98, "Reading the labels")
            numbers = read_numbers(written, turn, scan.geometry.shape, spacing)
        result = segmentation_of(
            model,
            model.label_map,
            scan,
            numbers,
            sha256=sha256,
            device=device,
            started=started,
            about={
                "inputs": [v.contrast.value for v in images],
                "program": program.path,
                "folds": list(details["folds"]),
                "checkpoint": details["checkpoint"],
                "orientation": turn.codes,
                "options": model.label_map.nnunet.model_dump(mode="json"),
            },
        )
        yield Progress(1.0, "Done")
        return result

    def _command(self, program: NnunetProgram, folder: Path, device: str) -> list[str]:
        options = self.model.label_map.nnunet
        command = [*program.command]
        command += ["-i", str(folder / "in"), "-o", str(folder / "out"), "-m", str(self.model.path)]
        command += ["-f", *self.model.details["folds"], "-chk", self.model.details["checkpoint"]]
        command += ["-step_size", str(options.step_size), "-npp", "1", "-nps", "1"]
        command += ["-device", device]
        return command if options.mirroring else [*command, "--disable_tta"]

    def _predict(self, command: list[str], folder: Path) -> Generator[Progress, None, None]:
        """Run the prediction; whatever ends this generator ends the process."""
        folds = len(self.model.details["folds"])
        child = Child.start(command, folder, _environment(folder))
        try:
            past, last = 0, 0
            while child.running:
                shown = _PERCENT.findall(child.said(child.err)[-400:])
                now = int(shown[-1]) if shown else 0
                if now < last and past < folds - 1:  # each fold begins a bar of its own
                    past += 1
                last = now
                text = "nnU-Net is starting"
                if shown or past:
                    text = f"nnU-Net, fold {past + 1} of {folds}" if folds > 1 else "nnU-Net"
                yield Progress(0.05 + 0.9 * (past + min(now, 100) / 100) / folds, text)
                time.sleep(_LOOK_S)
            if child.process.returncode != 0:
                raise BackfatError(_why(child, self.model.title))
        finally:
            child.kill()


def _environment(folder: Path) -> dict[str, str | None]:
    """Keep nnU-Net quiet about folders it does not need, and our own paths out of its Python."""
    unused = {name: str(folder) for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}
    return {
        **unused,
        "MPLBACKEND": "agg",
        "PYTHONPATH": None,
        "PYTHONHOME": None,
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": None,
    }


def _best_device(program: NnunetProgram, folder: Path) -> Generator[Progress, None, str]:
    """Ask the other environment's torch for its best device; "cpu" if it does not answer."""
    if program.python is None:
        return "cpu"
    child = Child.start([program.python, "-c", _PROBE], folder, _environment(folder))
    began = time.monotonic()
    try:
        while child.running and time.monotonic() - began < _PROBE_S:
            yield Progress(0.5, "Asking nnU-Net's environment for its devices")
            time.sleep(_LOOK_S)
        answer = child.said(child.out).split()
    finally:
        child.kill()
    return answer[-1] if answer and answer[-1] in ("cuda", "mps", "cpu") else "cpu"


def _why(child: Child, called: str) -> str:
    """One sentence, then the end of what nnU-Net said."""
    said = child.said(child.err)
    # A progress bar rewrites its line; only its last state is worth anything.
    lines = [line for raw in said.split("\n") if (line := raw.split("\r")[-1].rstrip())]
    end = "\n".join(lines)[-_LAST_WORDS:]
    # The last error is often "a worker died"; what killed the worker stands further up.
    causes = [line for line in lines if _ERROR.match(line) and line not in end]
    end = "\n".join([*dict.fromkeys(causes[-3:]), *(["…"] if causes else []), end])
    code = child.process.returncode
    reason = f"exit code {code}"
    if code in (-9, 137) or "outofmemory" in said.lower().replace(" ", ""):
        reason += "; it probably ran out of memory: close other programs or crop the scan"
    elif "No module named 'nnunetv2'" in said:
        reason += "; this Python has no nnunetv2: choose the interpreter of one that has"
    elif "trainer class" in said.lower():
        reason += "; this model was trained by a program of its own, which must be installed there"
    return f"nnU-Net could not run {called} ({reason}). It said:\n{end}"


def probe(program: NnunetProgram) -> str:
    """Return the nnunetv2 version behind a program, or a sentence why there is none.

    Starts the interpreter and waits for it, up to a minute.
    """
    if program.python is None:
        return "version unknown"
    question = "import importlib.metadata as m; print(m.version('nnunetv2'))"
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        asked = subprocess.run(
            [program.python, "-c", question],
            capture_output=True,
            text=True,
            timeout=_PROBE_S,
            stdin=subprocess.DEVNULL,
        )
        if asked.returncode == 0:
            return f"nnunetv2 {asked.stdout.strip()}"
    return "no nnunetv2 there"
