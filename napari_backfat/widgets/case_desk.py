"""Opens and saves cases for the window, and asks what only a person can decide."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer, Signal

from napari_backfat.io.dicom_series import SeriesNeeded
from napari_backfat.io.inputs import InputsChanged
from napari_backfat.io.manifest import MANIFEST
from napari_backfat.io.naming import find_partner
from napari_backfat.io.pairing import PairingNeedsConsent
from napari_backfat.io.scan import RolesNeeded
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.volume import Contrast
from napari_backfat.review.autosave import find_recovery, is_aside, put_aside, put_back
from napari_backfat.review.occupied import occupied_by
from napari_backfat.review.preview import preview_job
from napari_backfat.review.saved_tables import full_save_job
from napari_backfat.review.session import Loaded, ReviewSession
from napari_backfat.widgets.role_question import ask_for_roles, with_roles
from napari_backfat.worklist.sources import scan_in

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from napari_backfat.io.roles import RoleGuess
    from napari_backfat.model.progress import Progress
    from napari_backfat.review.autosave import Recovery
    from napari_backfat.review.preview import Preview
    from napari_backfat.widgets.autosaver import Autosaver
    from napari_backfat.widgets.dialogs import Dialogs
    from napari_backfat.widgets.jobs import JobRunner


@dataclass(frozen=True)
class Question:
    """Something only the person can decide, found by a job (a worker cannot ask)."""

    error: BackfatError


@dataclass(frozen=True)
class Request:
    """What is to be opened, with the person's answers so far."""

    files: tuple[str, ...]
    contrasts: Sequence[Contrast] | None = None
    accept_mismatch: bool = False
    roles: tuple[RoleGuess, ...] = ()


class CaseDesk(QObject):
    """Where scans and case folders come in and go out.

    Parameters
    ----------
    session : ReviewSession
        Receives what was read.
    jobs : JobRunner
        Reads and writes in the background.
    autosaver : Autosaver
        Holds the recovery copy of the open case.
    dialogs : Dialogs
        Asks the person.

    Signals
    -------
    message(str)
        One sentence for the person; empty clears the former one.
    saved(str)
        The folder that now holds the case.
    """

    message = Signal(str)
    saved = Signal(str)

    def __init__(
        self, session: ReviewSession, jobs: JobRunner, autosaver: Autosaver, dialogs: Dialogs
    ) -> None:
        super().__init__(jobs)
        self.session = session
        self.jobs = jobs
        self.autosaver = autosaver
        self.dialogs = dialogs
        self._gathered: list[str] = []

    # ------------------------------------------------------------------ open

    def ask_for_scan(self) -> None:
        """Let the person choose images and open them."""
        paths = self.dialogs.images()
        if paths:
            self.open_scan(paths)

    def ask_for_dicom(self) -> None:
        """Let the person choose a DICOM folder and open a scan of it."""
        folder = self.dialogs.folder("Open a DICOM folder")
        if folder:
            self.open_scan([folder])

    def open_scan(
        self,
        paths: Sequence[str | Path],
        contrasts: Sequence[Contrast] | None = None,
        accept_mismatch: bool = False,
        roles: tuple[RoleGuess, ...] = (),
    ) -> None:
        """Open one image, or the images of a Dixon scan; asks where something is not clear.

        `roles` is what the person saw and said of them; it goes into the record of the case.
        """
        files = [str(p) for p in paths]
        if not self.may_leave_case():
            return
        if len(files) == 1 and contrasts is None and Path(files[0]).is_file():
            partner = find_partner(files[0])
            if partner is not None and self.dialogs.yes(
                "Second Dixon image",
                f"{Path(partner).name} lies beside {Path(files[0]).name} and looks like its water "
                "or fat partner. Open both, so that fat fractions can be measured?",
            ):
                files.append(str(partner))
        self._load(Request(tuple(files), contrasts, accept_mismatch, roles))

    def _load(self, request: Request) -> None:
        """Read what was asked for; an answered question changes the request and reads again."""
        self.message.emit("")

        def job() -> Generator[Progress, None, Loaded | Question]:
            # A worker cannot ask, so questions come back as a result.
            try:
                return (
                    yield from self.session.load_job(
                        request.files, request.contrasts, request.accept_mismatch
                    )
                )
            except (PairingNeedsConsent, RolesNeeded, SeriesNeeded) as error:
                return Question(error)

        def done(result: Loaded | Question) -> None:
            if isinstance(result, Loaded):
                self._on_loaded(with_roles(result, request.roles))
            else:
                self._ask(request, result.error)

        self.jobs.start("Opening the scan", job(), done)

    def _ask(self, request: Request, error: BackfatError) -> None:
        """Put the question of a load to the person, and load again with the answer."""
        if isinstance(error, PairingNeedsConsent):
            if self.dialogs.yes("Do these images belong together?", error.question):
                self._load(replace(request, accept_mismatch=True))
            else:
                self.message.emit("The scan was not opened: the images' positions disagree.")
        elif isinstance(error, SeriesNeeded):
            chosen = self.dialogs.series(error.series)
            if chosen:
                self._load(replace(request, files=tuple(chosen), contrasts=None))
            else:
                self.message.emit("The scan was not opened: no series was chosen.")
        else:
            ask_for_roles(self, request.files)

    def _on_loaded(self, loaded: Loaded) -> None:
        loaded = self._with_contrast(loaded)
        if not self._offer_recovery(loaded):
            self.session.accept_loaded(loaded)
            self.message.emit(" ".join((*loaded.notes, *self.autosaver.keeper.notes)))

    def _with_contrast(self, loaded: Loaded) -> Loaded:
        """Ask what a single new image shows if neither its name nor its header says so."""
        image = loaded.scan.reference
        single = len(loaded.scan.images) == 1 and loaded.files is None
        if not single or image.contrast is not Contrast.UNKNOWN:
            return loaded
        shown = self.dialogs.contrast(image.source.path)
        if shown is None:
            return loaded
        image = replace(image, contrast=shown)
        scan = replace(loaded.scan, images=(image,), reference=image)
        return replace(loaded, scan=scan)

    def _offer_recovery(self, loaded: Loaded) -> bool:
        """Offer unsaved work on these images; whether it is being opened instead."""
        found = find_recovery(loaded.scan)
        if found is None:
            return False

        def job() -> Generator[Progress, None, Preview | Question]:
            try:
                return (yield from preview_job(found, loaded))
            except BackfatError as error:
                return Question(error)

        def done(result: Preview | Question) -> None:
            if isinstance(result, Question):
                self._open_without(found, loaded, f"Unsaved work cannot be read. {result.error}")
                return
            name = Path(loaded.scan.reference.source.path).name
            text = (
                f"There is unsaved work on {name} from {found.saved:%d %B %Y, %H:%M}. "
                f"{found.summary} Restore it? If not, it is kept aside in {found.folder.parent}."
            )
            if self.dialogs.restore(text, result):
                self._open_restored(found, result.loaded)
            else:
                self._open_without(found, loaded, "")

        self.jobs.start("Reading unsaved work", job(), done)
        return True

    def _open_restored(self, found: Recovery, restored: Loaded) -> None:
        self.autosaver.keeper.goes_on = found
        case = self.session.accept_loaded(restored)
        case.revision += 1
        case.saved = False
        notes = ("Unsaved work was restored; save it to keep it.", *restored.notes)
        self.message.emit(" ".join((*notes, *self.autosaver.keeper.notes)))

    def _open_without(self, found: Recovery, loaded: Loaded, why: str) -> None:
        try:
            aside = put_aside(found)
            kept = (
                f"{'It' if why else 'The unsaved work'} is kept in {aside}; Open case… with that "
                "folder brings it back."
            )
        except BackfatError as error:
            kept = str(error)
        self.session.accept_loaded(loaded)
        notes = (why, kept, *loaded.notes, *self.autosaver.keeper.notes)
        self.message.emit(" ".join(filter(None, notes)))

    def open_loaded(self, loaded: Loaded) -> None:
        """Open what was read ahead."""
        if self.may_leave_case():
            self.message.emit("")
            self._on_loaded(loaded)

    def ask_for_case(self) -> None:
        """Let the person choose a case folder and open it."""
        folder = self.dialogs.folder("Open a case folder")
        if folder:
            self.open_case(folder)

    def open_case(self, folder: str | Path, images: Sequence[str] = ()) -> None:
        """Open a saved case; asks for the images if they moved.

        Work that was kept aside is put back; it is offered when its images are opened.
        """
        if is_aside(Path(folder)):
            self._put_back(Path(folder))
            return
        if not self.may_leave_case():
            return
        self.message.emit("")

        def job() -> Generator[Progress, None, Loaded | Question]:
            try:
                return (yield from self.session.open_case_job(folder, images))
            except InputsChanged as error:
                return Question(error)

        def done(result: Loaded | Question) -> None:
            if isinstance(result, Loaded):
                self._on_loaded(result)
            elif not images and self.dialogs.yes(
                "The images moved or changed", f"{result.error} Choose the image files now?"
            ):
                chosen = self.dialogs.images()
                if chosen:
                    self.open_case(folder, chosen)
            else:
                self.message.emit(str(result.error))

        self.jobs.start("Opening the case", job(), done)

    def _put_back(self, folder: Path) -> None:
        try:
            put_back(folder)
        except BackfatError as error:
            self.message.emit(str(error))
            return
        self.message.emit(
            "The work that was kept aside is ready again: open its images, and it is offered."
        )

    def may_leave_case(self) -> bool:
        """Whether the open case may be closed; offers to save it."""
        if self.jobs.busy:
            self.message.emit("Another job is running; wait for it or cancel it first.")
            return False
        if self.session.case is None or self.session.case.saved:
            return True
        answer = self.dialogs.save_first()
        if answer == "save":
            folder = self.session.case.folder or self.dialogs.folder("Save the case to a folder")
            if not folder or not self._may_replace(folder):
                return False
            try:
                self.session.save(folder)
            except BackfatError as error:
                self._on_save_failed(error)
                return False
        if answer == "cancel":
            return False
        self.autosaver.drop()  # saved, or discarded by the person's own word
        return True

    # ------------------------------------------------------------------ save

    def save(self) -> None:
        """Save to the case's folder, or ask for one."""
        case = self.session.case
        if case is None:
            self.message.emit("No case is open; there is nothing to save.")
            return
        self._save_to(case.folder or self.dialogs.folder("Save the case to a folder"))

    def save_as(self) -> None:
        """Ask for a folder and save there."""
        if self.session.case is not None:
            self._save_to(self.dialogs.folder("Save the case to another folder"))

    def _may_replace(self, folder: str) -> bool:
        """Ask before a saving takes another saved case's place."""
        assert self.session.case is not None
        other = occupied_by(folder, self.session.case)
        if not other or self.dialogs.yes(
            "Replace a saved case?", f"{other} Yes replaces it for good; No saves nothing."
        ):
            return True
        self.message.emit(f"Nothing was saved. {other}")
        return False

    def _save_to(self, folder: str | None) -> None:
        self.message.emit("")
        if not folder or not self._may_replace(folder):
            return
        saving = full_save_job(self.session, folder)  # copies the case now

        def job() -> Generator[Progress, None, tuple[str, int] | Question]:
            try:
                return (yield from saving)
            except BackfatError as error:
                return Question(error)

        def done(result: tuple[str, int] | Question) -> None:
            if isinstance(result, Question):
                self._on_save_failed(result.error)
            else:
                self._on_saved(result)

        if not self.jobs.start("Saving", job(), done):
            self.message.emit("Another job is running; save again when it has ended.")

    def _on_save_failed(self, error: BackfatError) -> None:
        """Say why, and where the work is meanwhile."""
        self.message.emit(f"{error} {self.autosaver.keeper.secure()}".strip())

    def _on_saved(self, saved: tuple[str, int]) -> None:
        self.session.accept_saved(saved)
        if self.session.case is not None and self.session.case.saved:
            self.autosaver.drop()
        self.saved.emit(saved[0])

    def open_paths(self, paths: Sequence[str]) -> None:
        """Open a case folder, images, or a folder of them, whichever these are."""
        if len(paths) == 1 and (Path(paths[0]) / MANIFEST).is_file():
            self.open_case(paths[0])
        elif paths:
            try:
                inside = scan_in(paths[0]) if len(paths) == 1 and Path(paths[0]).is_dir() else ()
            except BackfatError as error:
                self.message.emit(str(error))
                return
            self.open_scan(inside or paths)

    def gather_paths(self, paths: Sequence[str]) -> None:
        """Open these together with others that come in the same moment.

        napari hands several dropped files to a reader one by one.
        """
        if not self._gathered:
            QTimer.singleShot(0, self._open_gathered)
        self._gathered.extend(paths)

    def _open_gathered(self) -> None:
        paths, self._gathered = self._gathered, []
        self.open_paths(paths)
