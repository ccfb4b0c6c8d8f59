"""Real series of several vendors, as far as the shared scans are there."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from highdicom.seg import segread
from pydicom import dcmread

from napari_backfat.export.formats import export
from napari_backfat.export.options import Options
from napari_backfat.io.dicom_series import list_series
from napari_backfat.review.session import ReviewSession, run_to_end
from tests.export.contents import LPS, content_from, some_muscles, world_points
from tests.shared_data import shared_data_folder

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real_data


@pytest.mark.parametrize(
    "name",
    [
        "dicom/siemens",
        "dicom/ge",
        "dicom/philips",
        "dicom/philips_enhanced",
        "dicom/siemens_multiframe",
        "dicom/compressed",
    ],
)
def test_real_series(name: str, tmp_path: Path) -> None:
    folder = shared_data_folder() / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not in the shared scans")
    usable = [s for s in list_series(folder) if not s.problem]
    assert usable
    session = ReviewSession()
    case = session.accept_loaded(run_to_end(session.load_job([usable[0].address])))
    geometry = case.scan.geometry
    z, y, x = (min(n // 2, 4) for n in geometry.shape)
    small = some_muscles((z, y, x))
    muscle = np.zeros(geometry.shape, np.uint8)
    # In the corners of the volume, where a wrong step or orientation shows most.
    for corner in itertools.product(*((slice(0, n), slice(-n, None)) for n in small.shape)):
        muscle[corner] = small
    session.accept_muscles(muscle)
    content = content_from(session)
    for options in (Options(), Options(de_identify=True)):
        out = tmp_path / str(options.de_identify)
        export(content, ["sr"], out, options)
        volume = segread(out / "muscles.seg.dcm").get_volume(combine_segments=True)
        for label in (1, 8):
            found = np.array(world_points(volume.array, volume.affine, label))
            expected = np.array(world_points(muscle, LPS @ geometry.affine, label))
            gap = np.linalg.norm(found[:, None] - expected[None], axis=2).min(axis=1)
            assert len(found) == len(expected)
            assert gap.max() < 0.02  # headers round positions; voxels are hundreds of times larger
    original = dcmread(usable[0].frames[0].path)
    person = str(original.get("PatientName", "")).encode()
    identity = str(original.get("PatientID", "")).encode()
    for path in (tmp_path / "True").rglob("*.dcm"):
        header = path.read_bytes()[:4000]
        assert not (len(person) > 3 and person in header)
        assert not (len(identity) > 3 and identity in header)
    assert not list_series(tmp_path / "True" / "series")[0].problem
