"""Filling a worklist, claims and leases, the AI's run, and the commands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_backfat.cli import app
from napari_backfat.export.collect import is_done
from napari_backfat.io.annotate import annotate_case
from napari_backfat.io.labels import read_mask
from napari_backfat.io.scan import open_scan
from napari_backfat.io.session import open_case, save_case
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.progress import Progress
from napari_backfat.review.session import ReviewSession, run_to_end
from napari_backfat.segment import backend as backends
from napari_backfat.worklist.claims import LeaseLost, claim, claim_next, finish, renew, set_state
from napari_backfat.worklist.entry import AiState, Entry, ReadingState, State
from napari_backfat.worklist.prerun import run_waiting
from napari_backfat.worklist.sources import add_cases, find_cases
from napari_backfat.worklist.store import Settings, Worklist
from tests.export.cases import dixon_on_disk
from tests.io.files import affine_for, some_image, write_nifti
from tests.review.backends import LeanBox
from tests.worklist.cases import SHAPE, files_of, painted, scan_folder

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from click.testing import Result

    from napari_backfat.worklist.claims import Claim


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(w) for w in words])


@pytest.fixture
def worklist(tmp_path: Path) -> Worklist:
    made = Worklist.create(tmp_path / "list")
    add_cases(made, find_cases(scan_folder(tmp_path / "scans", 3))[0])
    return made


def save(held: Claim, stroke: int = 1) -> None:
    scan = open_scan(held.images)
    save_case(held.folder, painted(scan, stroke), scan)


# ---------------------------------------------------------------------- sources


def test_a_folder_with_everything(tmp_path: Path) -> None:
    root = scan_folder(tmp_path / "in", 1)
    affine = affine_for("LAS")
    for name in ("t2_tse", "pain_T1w", "muscles_seg", "something", "dixon_in"):
        write_nifti(root / "p00" / f"{name}.nii.gz", some_image(SHAPE, 5), affine)
    scan = open_scan([root / "p00" / "dixon_water.nii.gz", root / "p00" / "dixon_fat.nii.gz"])
    save_case(root / "saved", painted(scan, 1), scan)
    found, notes = find_cases(root)
    assert [(c.label, len(c.images), c.case is not None) for c in found] == [
        ("p00/dixon_water", 2, False),
        ("p00/pain_T1w", 1, False),
        ("p00/t2_tse", 1, False),
        ("saved", 0, True),
    ]
    assert len(notes) == 1
    assert "something" in notes[0]


def test_a_bids_data_set(tmp_path: Path) -> None:
    affine = affine_for("LAS")
    (tmp_path / "dataset_description.json").write_text("{}")
    for place in ("sub-01/ses-a/anat", "sub-02/ses-a/anat", "derivatives/x/sub-01/anat"):
        (tmp_path / place).mkdir(parents=True)
        stem = "_".join(place.split("/")[-3:-1])
        for word in ("acq-water_T1w", "acq-fat_T1w"):
            write_nifti(tmp_path / place / f"{stem}_{word}.nii.gz", some_image(SHAPE, 1), affine)
    found, notes = find_cases(tmp_path)
    assert [c.label for c in found] == ["sub-01 ses-a T1w", "sub-02 ses-a T1w"]
    assert all([i.value for i in c.contrasts] == ["water", "fat"] for c in found)
    assert notes == []


def test_a_table_and_its_faults(tmp_path: Path) -> None:
    scan_folder(tmp_path, 2)
    table = tmp_path / "cases.csv"
    table.write_text(
        "label,water,fat,image,contrast,note\n"
        "second,p01/dixon_water.nii.gz,p01/dixon_fat.nii.gz,,,urgent\n"
        "first,,,p00/dixon_water.nii.gz,t1w,\n"
    )
    found, _ = find_cases(table)
    worklist = Worklist.create(tmp_path / "list")
    assert len(add_cases(worklist, found)[0]) == 2
    assert [e.label for e in worklist.entries()] == ["second", "first"]  # the table's order
    assert worklist.entries()[0].note == "urgent"
    assert worklist.entries()[1].contrasts == ["t1w"]
    for text, words in (
        ("image\nnothing.nii.gz\n", "there is no"),
        ("image,contrast\np00/dixon_fat.nii.gz,blue\n", "no contrast"),
        ("water\np00/dixon_water.nii.gz\n", "water and fat"),
        ("picture\nx\n", "unknown column"),
    ):
        table.write_text(text)
        with pytest.raises(BackfatError, match=words):
            find_cases(table)


def test_nothing_is_filed_twice_and_everything_moves_along(tmp_path: Path) -> None:
    scan_folder(tmp_path / "share" / "scans", 3)
    worklist = Worklist.create(tmp_path / "share" / "list", Settings(readings=2))
    cases = find_cases(tmp_path / "share" / "scans")[0]
    assert [len(x) for x in add_cases(worklist, cases)] == [3, 0]
    assert [len(x) for x in add_cases(worklist, cases)] == [0, 3]
    (tmp_path / "share").rename(tmp_path / "elsewhere")  # another mount point
    moved = Worklist(tmp_path / "elsewhere" / "list")
    again = find_cases(tmp_path / "elsewhere" / "scans")[0]
    assert [len(x) for x in add_cases(moved, again)] == [0, 3]
    held = claim_next(moved, "anna")
    assert held is not None
    assert all(i.is_file() for i in held.images)
    with pytest.raises(BackfatError, match="other settings"):
        Worklist.create(tmp_path / "elsewhere" / "list", Settings(readings=1))


# ---------------------------------------------------------------------- claims


def test_one_reading_belongs_to_one_reader(worklist: Worklist) -> None:
    held = claim_next(worklist, "Anna")
    assert held is not None
    with pytest.raises(BackfatError, match="all the readers"):
        claim(worklist, held.entry_id, "bert")
    with pytest.raises(BackfatError, match="is open as anna"):
        claim(worklist, held.entry_id, "anna")
    other = claim_next(worklist, "bert")
    assert other is not None
    assert other.entry_id != held.entry_id
    with pytest.raises(BackfatError, match="never saved"):
        finish(worklist, held, ReadingState.DONE)
    save(held)
    renew(worklist, held, 90.0)
    finish(worklist, held, ReadingState.DONE, note="fine", seconds=30.0)
    entry = worklist.entry(held.entry_id)
    assert entry.state(1) is State.DONE
    assert entry.readings["anna"].seconds == 120.0
    review = open_case(held.folder).files.provenance["review"]
    assert (review["state"], review["reader"], review["note"]) == ("done", "anna", "fine")
    with pytest.raises(LeaseLost):
        renew(worklist, held)
    for bad in ("ai", "consensus", "a/b", "", "über", ".x"):
        with pytest.raises(BackfatError, match="reader's name"):
            claim_next(worklist, bad)


def test_a_lost_case_is_taken_over_and_its_folder_stays(
    worklist: Worklist, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = claim_next(worklist, "anna")
    assert held is not None
    save(held)
    for _ in range(2):
        assert claim_next(worklist, "bert") is not None
    assert claim_next(worklist, "carl") is None  # all three are held
    later = worklist.now() + 60 * worklist.settings.lease_minutes + 1
    monkeypatch.setattr(Worklist, "now", lambda self: later)
    taken = claim_next(worklist, "carl")
    assert taken is not None
    assert taken.entry_id == held.entry_id
    with pytest.raises(LeaseLost, match="still in"):
        finish(worklist, held, ReadingState.DONE)
    assert not is_done(open_case(held.folder))  # the case folder was not touched either
    entry = worklist.entry(held.entry_id)
    assert entry.readings["anna"].state is ReadingState.GIVEN_BACK
    assert "no sign of life" in entry.history[-2].what
    assert taken.folder != held.folder


def test_own_open_cases_come_first_after_a_crash(worklist: Worklist) -> None:
    entries = worklist.entries()
    held = claim(worklist, entries[2].id, "anna")
    save(held, 2)
    with worklist.change(held.entry_id) as entry:  # as if its process had ended
        lease = entry.readings["anna"].lease
        assert lease is not None
        lease.process_started = 1.0
    again = claim_next(worklist, "anna")
    assert again is not None
    assert again.entry_id == held.entry_id
    assert again.begin_from == held.folder
    assert open_case(again.begin_from).files.muscles.any()


def test_flagged_and_given_back(worklist: Worklist) -> None:
    entry_id = worklist.entries()[0].id
    held = claim(worklist, entry_id, "anna", minutes=60)
    set_state(worklist, entry_id, "anna", ReadingState.FLAGGED, note="metal")
    assert worklist.entry(entry_id).state(1) is State.FLAGGED
    assert (following := claim_next(worklist, "anna")) is not None
    assert following.entry_id != held.entry_id
    set_state(worklist, entry_id, "anna", ReadingState.GIVEN_BACK)
    assert worklist.entry(entry_id).state(1) is State.NEW
    assert claim(worklist, entry_id, "bert").reader == "bert"
    with pytest.raises(BackfatError, match="all the readers"):
        set_state(worklist, entry_id, "anna", ReadingState.IN_REVIEW)
    with pytest.raises(BackfatError, match="open in a window"):
        set_state(worklist, entry_id, "bert", ReadingState.DONE)


def test_a_damaged_file_is_told_and_the_rest_goes_on(worklist: Worklist) -> None:
    first = worklist.entries()[0].id
    (worklist.folder / "entries" / f"{first}.json").write_text("{")
    entries, problems = worklist.read_all()
    assert len(entries) == 2
    assert len(problems) == 1
    assert claim_next(worklist, "anna") is not None


# ---------------------------------------------------------------------- the AI before reading


def test_one_failure_does_not_stop_the_rest(worklist: Worklist) -> None:
    bad = worklist.entries()[1].id

    def work(entry: Entry, target: Path) -> Generator[Progress, None, None]:
        yield Progress(0.5, "half")
        if entry.id == bad:
            raise RuntimeError("no memory")
        scan = open_scan([worklist.place(i) for i in entry.images])
        save_case(target, painted(scan, 1), scan)

    taken = claim(worklist, worklist.entries()[2].id, "anna")
    outcome = run_to_end(run_waiting(worklist, work))  # type: ignore[var-annotated]
    assert outcome.done == [worklist.entries()[0].id]
    assert "no memory" in outcome.failed[bad]
    assert worklist.entry(taken.entry_id).ai.state is AiState.WAITING  # a reader was faster
    assert run_to_end(run_waiting(worklist, work)).done == []  # type: ignore[var-annotated]
    retried = run_to_end(run_waiting(worklist, work, retry=True))  # type: ignore[var-annotated]
    assert list(retried.failed) == [bad]
    stopped = run_waiting(worklist, work, retry=True)
    next(stopped)
    assert worklist.entry(bad).ai.state is AiState.RUNNING
    assert run_to_end(run_waiting(worklist, work, retry=True)).failed == {}  # type: ignore[var-annotated]
    stopped.close()
    assert worklist.entry(bad).ai.state is AiState.WAITING
    following = claim_next(worklist, "bert")
    assert following is not None
    assert following.begin_from == worklist.ai_folder(following.entry_id)


# ---------------------------------------------------------------------- commands


def test_two_readers_by_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backends.BACKENDS, "bundled", LeanBox)
    for number in range(3):
        dixon_on_disk(tmp_path / "scans" / f"p{number}", number, shape=(5, 30, 60))
    folder = tmp_path / "list"
    assert run("worklist", "add", folder, tmp_path / "scans", "--readings", 2).exit_code == 0
    result = run("worklist", "run-ai", folder, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "3 cases done, 0 failed" in result.stdout
    listed = run("worklist", "list", folder, "--json", "--state", "ai-done").stdout
    ids = [json.loads(line)["id"] for line in listed.splitlines()]
    assert len(ids) == 3
    for number, entry_id in enumerate(ids):
        for reader, rows in (("anna", 1), ("bert", 2)):
            taken = run("worklist", "next", folder, "--reader", reader, "--case", entry_id)
            assert taken.exit_code == 0, taken.output
            places = dict(line.split(": ", 1) for line in taken.stdout.splitlines())
            assert places["Open"].endswith("ai")  # never the other reader's
            session = ReviewSession()
            session.accept_loaded(run_to_end(session.open_case_job(places["Open"])))
            assert session.case is not None
            muscle = session.case.masks.muscle.copy()
            muscle[number, : 10 + rows] = 0
            session.accept_muscles(muscle)
            session.save(places["Save to"])
            words = ("set", folder, entry_id, "--reader", reader, "--state", "done")
            done = run("worklist", *words, "--note", f"secret {reader}")
            assert done.exit_code == 0, done.output
            if reader == "anna":
                own = folder / "cases" / entry_id
                early = run("readers", "compare", own / "anna", own / "ai")
                assert early.exit_code == 2
                assert "blindly" in early.stderr
                hidden = run("worklist", "list", folder, "--contains", entry_id).stdout
                assert entry_id in hidden
                assert "secret" not in hidden
                mine = ("--contains", entry_id, "--reader", "anna")
                assert "secret anna" in run("worklist", "list", folder, *mine).stdout
    assert run("worklist", "next", folder, "--reader", "anna").exit_code == 3
    assert "secret bert" in run("worklist", "list", folder, "--state", "done").stdout

    own = folder / "cases" / ids[0]
    out = tmp_path / "compared"
    result = run("readers", "compare", own / "anna", own / "bert", "--out", out)
    assert result.exit_code == 0, result.output
    assert (out / "agreement.csv").is_file()
    opened = open_case(own / "anna"), open_case(own / "bert")
    grid = opened[0].scan.reference.file_grid
    differing = read_mask(out / "disagreement.nii.gz", grid, 3).array
    assert np.array_equal(differing > 0, opened[0].files.muscles != opened[1].files.muscles)
    other = folder / "cases" / ids[1] / "bert"
    assert "different images" in run("readers", "compare", own / "anna", other).stderr

    result = run("readers", "icc", folder, "--out", tmp_path / "icc")
    assert result.exit_code == 0, result.output
    assert "anna and bert: 3 cases" in result.stdout
    assert "icc_2_1" in (tmp_path / "icc" / "icc.csv").read_text()

    out = own / "consensus"
    words = ("--out", out, "--take", "erector_spinae_left=B")
    result = run("readers", "consensus", own / "anna", own / "bert", *words)
    assert result.exit_code == 0, result.output
    made = open_case(out)
    assert is_done(made)
    assert made.files.provenance["review"]["of"] == ["anna", "bert"]
    for muscle, source in ((3, 1), (4, 0)):
        expected = opened[source].files.muscles == muscle
        assert np.array_equal(made.files.muscles == muscle, expected)
    assert made.files.measurements
    for method in ("majority", "staple"):
        words = ("--out", tmp_path / method, "--method", method)
        result = run("readers", "consensus", own / "anna", own / "bert", *words)
        assert result.exit_code == 0, result.output
    assert run("check-labels", own / "anna").exit_code in (0, 4)


def test_a_readers_word_outlives_saving_again(tmp_path: Path) -> None:
    scan = dixon_on_disk(tmp_path, 1, shape=(3, 20, 40))[0]
    muscles = np.zeros(scan.geometry.shape, np.uint8)
    muscles[:, 5:9, 5:9] = 2
    save_case(tmp_path / "case", files_of(muscles), scan)
    before = (tmp_path / "case" / "muscles.nii.gz").read_bytes()
    annotate_case(tmp_path / "case", {"review": {"state": "done"}})
    assert (tmp_path / "case" / "muscles.nii.gz").read_bytes() == before
    assert is_done(open_case(tmp_path / "case"))
    assert open_case(tmp_path / "case").notes == ()
    session = ReviewSession()
    session.accept_loaded(run_to_end(session.open_case_job(tmp_path / "case")))
    session.save(tmp_path / "case")
    assert is_done(open_case(tmp_path / "case"))
    with pytest.raises(BackfatError, match="not a saved case"):
        annotate_case(tmp_path, {"review": {}})
