"""What the tests of `westwork init` share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.propose.shop import events, items, users, write_csv


@pytest.fixture
def shop(tmp_path: Path) -> tuple[Path, Path, Path]:
    return (
        write_csv(tmp_path / "events.csv", events()),
        write_csv(tmp_path / "items.csv", items()),
        write_csv(tmp_path / "users.csv", users()),
    )
