"""Damage to data, domain, schemas and command lines ends in a clear message, never in a traceback."""

from __future__ import annotations

import pytest

from tests.pipeline.mutations import damage

COUNT, SEED = 200, 17
GROUPS = 8


@pytest.mark.parametrize("group", range(GROUPS))
def test_no_damage_ends_in_a_traceback(group, tmp_path):
    said = []
    for number in range(group, COUNT, GROUPS):
        folder = tmp_path / str(number)
        folder.mkdir()
        said.append(damage(number, SEED, folder))
    assert not [message for message in said if "Traceback" in message or "Input should" in message]
    # Some damage is none, and most is found: a harness that damages nothing proves nothing.
    assert any(message not in ("ok", "") for message in said)
