"""The report: one readable page with the right numbers, as PDF and as HTML."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from napari_backfat.export.report.keys import key_slices
from napari_backfat.export.report.page import page_of
from napari_backfat.export.report.pictures import axial_pictures, overview
from napari_backfat.export.report.write import ReportOptions, write_report
from napari_backfat.model.anatomy import MUSCLES, Muscle, MuscleGroup
from napari_backfat.model.colors import muscle_rgb
from napari_backfat.model.context import PersonalContext
from napari_backfat.model.errors import BackfatError
from napari_backfat.model.levels import SpineRange
from napari_backfat.model.patient import Patient
from napari_backfat.model.results import CorrectedMean, CorrectedMuscles
from napari_backfat.model.risk_results import RESEARCH_USE_ONLY
from napari_backfat.model.vertebrae import VertebralLevels
from napari_backfat.model.volume import Contrast
from napari_backfat.review.restore import ai_result
from tests.export.contents import content_from, dicom_pair, open_dicom, session_of, some_muscles
from tests.io.files import affine_for
from tests.phantom import make_case

if TYPE_CHECKING:
    from pathlib import Path

    from napari_backfat.export.content import Content


def a_case(**changes: Any) -> Content:
    """A corrected AI result with levels and a person."""
    made = make_case((12, 60, 120), (16.0, 1.5, 1.5), 0.25, pattern="voxels",
                     groups=tuple(MuscleGroup), noise=20.0)  # fmt: skip
    session = session_of(made.scan, made.muscles)
    case = session.case
    assert case is not None
    former = made.muscles.copy()
    former[3, former[3] == Muscle.MULTIFIDUS_LEFT] = 0
    case.ai = ai_result(
        case.masks, former, (former > 0).astype(np.uint8), 0.5,
        {"backend": "dixon-unet 1.2", "weights_sha256": "ab" * 32, "threshold": 0.5,
         "finished": "2026-01-02T00:00:00", "flags": []},
    )  # fmt: skip
    session.set_levels(SpineRange("L1", "L5", 1, 10))
    session.set_patient(Patient(age_years=61, sex="female", met_min_per_week=900))
    return replace(content_from(session), **changes)


@pytest.fixture(scope="module")
def content() -> Content:
    return a_case()


def pdf_of(content: Content, folder: Path, **options: Any) -> tuple[Any, str]:
    pdfium = pytest.importorskip("pypdfium2")
    path = write_report(content, folder / "r.pdf", ReportOptions(**options))
    document = pdfium.PdfDocument(path)
    text = document[0].get_textpage().get_text_range()
    return document, " ".join(text.split())


class Text(HTMLParser):
    """The words of a page, and every address it loads something from."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.addresses: list[str] = []
        self._hidden = False
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden = tag in ("style", "title")
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def html_of(content: Content, folder: Path, **options: Any) -> Text:
    path = write_report(content, folder / "r.html", ReportOptions(**options))
    return Text(path.read_text(encoding="utf-8"))


def check_words(text: str, content: Content) -> None:
    assert text.count("Research use only") == 1
    assert RESEARCH_USE_ONLY in text
    for muscle in MUSCLES:
        assert f"{content.measurement.muscles[muscle].volume_ml:.1f}" in text
    assert content.risk is not None
    assert content.risk.relative.value is not None
    assert f"Relative odds {content.risk.relative.value:.2f} (95 % interval" in text
    assert "Evidence: borrowed" in text
    assert "volume × mean fat fraction" in text  # or two amounts of fat would contradict each other
    assert "dixon-unet 1.2" in text
    assert "abababababababab" in text
    assert f"{content.risk.model_id} {content.risk.model_version}" in text
    before = content.ai_measurement
    assert before is not None
    change = before.muscles[Muscle.MULTIFIDUS_LEFT].volume_ml
    now = content.measurement.muscles[Muscle.MULTIFIDUS_LEFT].volume_ml
    assert f"Multifidus L: AI {change:.1f} ml, now {now:.1f} ml" in text
    assert "Reader: Dr. Grün" in text
    assert "61 years, female" in text
    assert "L1\u2013L5, slices 1 to 10" in text


def test_pdf_is_one_page_with_everything_inside(content: Content, tmp_path: Path) -> None:
    document, text = pdf_of(content, tmp_path, reader="Dr. Grün")
    assert len(document) == 1
    check_words(text, content)
    page = document[0]
    width, height = page.get_size()
    assert (round(width), round(height)) == (595, 842)  # A4
    letters = page.get_textpage()
    for i in range(letters.count_chars()):
        left, bottom, right, top = letters.get_charbox(i)
        assert left >= 30
        assert right <= width - 30
        assert bottom >= 25
        assert top <= height - 25
    assert document.get_metadata_value("Author") == "Dr. Grün"


def test_html_needs_nothing_else(content: Content, tmp_path: Path) -> None:
    page = html_of(content, tmp_path, reader="Dr. Grün")
    check_words(page.text, content)
    assert page.addresses
    assert all(a.startswith("data:image/jpeg;base64,") for a in page.addresses)
    source = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<script" not in source
    assert not re.search(r"(src|href)=[\"']?https?:|@import|url\((?!#)", source)
    assert source.count("<svg") == 2
    curves = re.findall(r"<polyline[^>]*>", source)
    assert len(curves) >= 16
    assert all("fill: none" in curve for curve in curves)  # else they are filled black


def test_names_from_outside_are_text_not_markup(content: Content, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script> & <b>"
    page = html_of(content, tmp_path, reader=evil, label=evil)
    assert page.text.count(evil) == 2
    assert "<script" not in (tmp_path / "r.html").read_text(encoding="utf-8")
    _, text = pdf_of(content, tmp_path, reader=evil, label=evil)
    assert text.count(evil) == 2


def test_a_long_story_still_fits_on_the_page(tmp_path: Path) -> None:
    flags = [
        {"muscle": None, "kind": "x", "text": f"Remark {n}: " + "word " * 30} for n in range(14)
    ]
    plain = a_case()
    ai = {**(plain.ai or {}), "flags": flags}
    long = replace(plain, provenance={**plain.provenance, "ai": ai})
    document, text = pdf_of(long, tmp_path)
    assert len(document) == 1
    assert "Remark 0" in text
    assert "further notes are kept with the case" in text
    assert "assumed: a stated judgement, no data" in text  # the last line of the estimate
    heights = [b[3] - b[1] for b in map(document[0].get_textpage().get_charbox, range(300, 2000))]
    assert float(np.median([h for h in heights if h > 0])) > 2.5  # points: small, but legible


def test_case_without_ai_levels_person_or_fat(tmp_path: Path) -> None:
    made = make_case((4, 40, 64), contrast=Contrast.OPPOSED_PHASE)
    session = session_of(made.scan, made.muscles)
    content = content_from(session)
    _, text = pdf_of(content, tmp_path)
    assert "not made by this program's AI" in text
    page = html_of(content, tmp_path)
    assert "not made by this program's AI" in page.text
    assert "Levels stated: not stated" in page.text


def test_the_water_image_is_shown_and_named(content: Content) -> None:
    """Also where the fat image is the reference, because only that kept its position."""
    water, fat = content.scan.images
    assert (water.contrast, fat.contrast) == (Contrast.WATER, Contrast.FAT)
    turned = replace(content, scan=replace(content.scan, reference=fat))
    keys = key_slices(content, [5])
    assert axial_pictures(turned, keys)[0].jpeg == axial_pictures(content, keys)[0].jpeg
    assert overview(turned, keys, axial_pictures(turned, keys)[0]).jpeg == (
        overview(content, keys, axial_pictures(content, keys)[0]).jpeg
    )
    facts = dict(page_of(turned).facts)
    assert facts["Images"].startswith("water (shown) + fat, ")


def test_a_reader_can_tell_which_slices_a_number_is_of(content: Content) -> None:
    """Levels are stated for the estimate; the table is of everything outlined."""
    held = np.flatnonzero(content.muscle.any(axis=(1, 2)))
    levels = content.levels
    assert levels is not None
    assert held[0] < levels.first_slice, "the case has to reach beyond its levels"
    notes = " ".join(page_of(content).footnotes)
    assert f"everything outlined, slices {held[0]} to {held[-1]}; the estimate is of" in notes
    assert f"alone, slices {levels.first_slice} to {levels.last_slice}." in notes
    inside = content.muscle.copy()
    inside[: levels.first_slice] = inside[levels.last_slice + 1 :] = 0
    notes = " ".join(page_of(replace(content, muscle=inside)).footnotes)
    assert "and so is the estimate" in notes


def test_cut_muscles_are_told_once(content: Content) -> None:
    flags = [
        {"muscle": None, "kind": "continues beyond the scan", "text": "Psoas major L goes on."},
        {"muscle": None, "kind": "small", "text": "Psoas major L is small."},
    ]
    ai = {**(content.ai or {}), "flags": flags}
    page = page_of(replace(content, provenance={**content.provenance, "ai": ai}))
    assert "Psoas major L is small." in page.limits
    assert "Psoas major L goes on." not in page.limits
    assert any("cut: " in note for note in page.footnotes)


def test_empty_masks_make_a_report(tmp_path: Path) -> None:
    made = make_case((4, 40, 64))
    content = content_from(session_of(made.scan, np.zeros_like(made.muscles)))
    document, text = pdf_of(content, tmp_path)
    assert len(document) == 1
    blank = content.risk.relative.blank.text if content.risk and content.risk.relative.blank else ""
    assert (blank or "No estimate") in text
    assert "0.0" not in text.split("Asymmetry")[1].split("Fat:")[0]  # absent is not zero


@pytest.mark.parametrize("muscle", [Muscle.PSOAS_MAJOR_RIGHT, Muscle.PSOAS_MAJOR_LEFT])
def test_outlines_are_at_the_muscle_with_its_colour(content: Content, muscle: Muscle) -> None:
    key = key_slices(content, [5])[0]
    (picture,) = axial_pictures(content, [key])
    pixels = np.asarray(Image.open(io.BytesIO(picture.jpeg))).astype(float)
    color = 255 * np.array(muscle_rgb(muscle))
    near = np.abs(pixels - color).max(axis=2) < 40
    assert near.sum() > 50
    # The patient's right is at the left of the picture.
    centre = np.argwhere(near)[:, 1].mean() / pixels.shape[1]
    assert bool(centre < 0.5) is (muscle is Muscle.PSOAS_MAJOR_RIGHT)


def test_slices_shown(content: Content) -> None:
    assert [k.index for k in key_slices(content)] == [2, 6, 9]
    assert key_slices(content)[1].label == "middle third of L1\u2013L5, slice 6"
    assert [k.index for k in key_slices(content, [9, 0, 9])] == [0, 9]
    with pytest.raises(BackfatError, match="0 to 11"):
        key_slices(content, [12])


def test_disc_lines_choose_the_middle_of_each_level(tmp_path: Path) -> None:
    lines = VertebralLevels((-0.5, 1.5, 4.0, 6.5, 9.0, 11.5), "T12")
    content = a_case(vertebrae=lines)
    shown = key_slices(content)
    assert [k.label for k in shown] == [
        f"middle of L{n}, slice {z}" for n, z in ((1, 0), (2, 3), (3, 5), (4, 8), (5, 10))
    ]
    for k, level in zip(shown, lines.levels, strict=True):
        top, bottom = lines.bounds(level)
        assert abs(k.index - (top + bottom) / 2) <= 0.5
    document, text = pdf_of(content, tmp_path)
    assert len(document) == 1
    assert text.count("Middle of L") == 5


def test_identifiers_are_printed_only_when_asked(tmp_path: Path) -> None:
    affine = affine_for("LPS")
    dicom_pair(tmp_path / "Doe_Jane", affine, (16, 14, 5))
    session = open_dicom(tmp_path / "Doe_Jane", some_muscles((16, 14, 5)), affine)
    content = content_from(session)
    for text in (pdf_of(content, tmp_path)[1], html_of(content, tmp_path).text):
        assert "Doe" not in text
        assert "4711" not in text
    _, text = pdf_of(content, tmp_path, with_identifiers=True)
    assert "Patient: Doe^Jane" in text
    assert "PATIENT-4711" in text


def test_personal_context_stands_beside_the_estimate(content: Content, tmp_path: Path) -> None:
    """Factors and scores, the reason why they are not computed with, and no remarks."""
    context = PersonalContext.model_validate(
        {
            "factors": [{"group": "lifestyle", "name": "Smoking", "value": "10 pack-years"}],
            "instruments": [{"name": "PHQ-4", "score": 5, "date": "2026-01-02"}],
            "remarks": "neighbour of Jane Doe",
        }
    )
    page = page_of(replace(content, context=context))
    assert page.risk == page_of(content).risk
    for text in (
        pdf_of(replace(content, context=context), tmp_path)[1],
        write_report(
            replace(content, context=context), tmp_path / "r.html", ReportOptions()
        ).read_text("utf-8"),
    ):
        assert "10 pack-years" in text
        assert "PHQ-4: 5 (0 to 12)" in text
        assert "not computed with" in text
        assert "Jane" not in text
    assert "Personal context" not in pdf_of(content, tmp_path)[1]
    many = [{"group": "lifestyle", "name": f"Factor {n}", "value": ""} for n in range(20)]
    lines = page_of(
        replace(content, context=PersonalContext.model_validate({"factors": many}))
    ).context
    assert lines[-1] == "13 further entries are kept with the case."


def test_wrong_ending_is_told(content: Content, tmp_path: Path) -> None:
    with pytest.raises(BackfatError, match=r"\.pdf or \.html"):
        write_report(content, tmp_path / "r.docx", ReportOptions())
    assert list(tmp_path.iterdir()) == []


def test_the_corrected_mean_stands_beside_the_plain_one_or_its_absence_is_explained() -> None:
    plain = a_case()
    mean = CorrectedMean(0.1234, 0.118, 0.131, 900.0)
    some = dict.fromkeys(MUSCLES, mean)
    some[Muscle.PSOAS_MAJOR_LEFT] = CorrectedMean(None, voxels=90, why="too few voxels")
    page = page_of(replace(plain, known_corrected=CorrectedMuscles(some, mean, mean)))
    place = page.measures.index("Corr. FF (%)")
    assert page.measures[place - 1] == "Mean FF (%)"
    cells = {row.name: row.cells[place] for row in page.rows}
    assert cells["Multifidus"] == ("12.3", "12.3")
    assert cells["Psoas major"] == ("12.3", "")
    assert cells["All, both sides"] == ("12.3", "")
    assert all(len(row.cells) == len(page.measures) for row in page.rows)
    (note,) = (n for n in page.footnotes if n.startswith("Corr. FF"))
    assert "11.8 to 13.1 %" in note
    assert "too few voxels" in note
    none = CorrectedMean(None, why="no noise was found")
    nothing = CorrectedMuscles(dict.fromkeys(MUSCLES, none), none, none)
    page = page_of(replace(plain, known_corrected=nothing))
    assert "Corr. FF (%)" not in page.measures
    assert any("no noise was found" in n for n in page.footnotes)
