from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.check_data.currency import about_currencies
from pipeline.check_data.found_files import find_tables
from pipeline.domain import load_domain

TINY = Path(__file__).parents[1] / "fixtures" / "tiny"


@pytest.mark.parametrize(
    ("amounts", "told"),
    [
        (["€ 3", "$ 4"], True),
        (["3 EUR", "4 GBP", "5 EUR"], True),
        (["£3", "4 €", "5"], True),
        (["3 CHF", "€4"], True),
        (["US$ 3", "CA$ 4"], True),
        (["€ 3", "4 EUR", "5 eur"], False),
        (["$3", "US$ 4", "5 USD"], False),
        (["3 kr", "4 kr."], False),
        (["3", "€ 4", ""], False),
        (["3", "4 %"], False),
    ],
)
def test_a_column_of_several_currencies_is_told(tmp_path, amounts, told) -> None:
    shop = Path(shutil.copytree(TINY, tmp_path / "shop"))
    rows = [f"{at},Book {at},{amount},a/b" for at, amount in enumerate(amounts)]
    (shop / "candidates.csv").write_text("\n".join(["isbn,name,pages,shelves", *rows]) + "\n")
    declaration = load_domain(str(shop)).declaration
    tables, _ = find_tables(declaration, str(shop))
    findings = list(about_currencies(declaration, tables))
    assert [finding.about for finding in findings] == (["candidates column pages"] if told else [])
