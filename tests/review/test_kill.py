"""A short version of `benchmarks.kill`: killed at random, at most two seconds are lost."""

from __future__ import annotations

import os

import pytest

from benchmarks.kill import ALLOWED_S, kills


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_no_kill_costs_more_than_two_seconds() -> None:
    found = list(kills(8, seed=7, longest_s=1.5))
    assert [kill.fault for kill in found] == [""] * 8
    assert max(kill.missing_s for kill in found) <= ALLOWED_S
    assert sum(kill.changes for kill in found) > 20
