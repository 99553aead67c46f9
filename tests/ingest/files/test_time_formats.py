from __future__ import annotations

import pytest

from components.ingest.files.time_formats import advice_on_times, propose_formats


@pytest.mark.parametrize(
    ("values", "formats"),
    [
        (["25/12/2021 18:30", "01/02/2021 07:00"], ["%d/%m/%Y %H:%M"]),
        (["12/25/2021", "1/2/2021"], ["%m/%d/%Y"]),
        (["25.12.2021 18:30:11"], ["%d.%m.%Y %H:%M:%S"]),
        (["25-12-99", "31-12-99"], ["%d-%m-%y"]),
        ([20211225, 20211226, None], ["%Y%m%d"]),
        (["20211225183011"], ["%Y%m%d%H%M%S"]),
        (["Dec 25, 2021 6:30 PM"], ["%b %d, %Y %I:%M %p"]),
        (["December 25, 2021"], ["%B %d, %Y"]),
        (["25-Dec-2021 18:30"], ["%d-%b-%Y %H:%M"]),
        (["Sat Dec 25 18:30:11 +0000 2021"], ["%a %b %d %H:%M:%S %z %Y"]),
        (["12/25/2021 6:30:11 am"], ["%m/%d/%Y %I:%M:%S %p"]),
        (["25/12/2021 18:30:11.123"], ["%d/%m/%Y %H:%M:%S.%f"]),
        (["25/12/2021T18:30+0200"], ["%d/%m/%YT%H:%M%z"]),
        (["03/04/2021", "05/06/2021"], ["%d/%m/%Y", "%m/%d/%Y"]),
    ],
)
def test_what_fits_all_values_is_proposed(values, formats) -> None:
    proposals = propose_formats(values)
    full = [proposal for proposal in proposals if proposal.fits == proposal.of]
    assert sorted(proposal.format for proposal in full) == sorted(formats)
    assert full[0] == proposals[0] and full[0].decided == (len(formats) == 1)


@pytest.mark.parametrize("values", [[], [None, ""], ["soon", "later"], [1_700_000_000], ["99/99/2021"], [17]])
def test_nothing_is_proposed_for_what_is_no_time(values) -> None:
    assert propose_formats(values) == []
    assert advice_on_times(values, "interactions.timestamp") is None


def test_of_two_orders_that_fit_the_one_that_covers_less_time_comes_first() -> None:
    assert propose_formats(["09/01/2021", "09/02/2021", "09/12/2021"])[0].format == "%m/%d/%Y"
    assert propose_formats(["01/09/2021", "02/09/2021", "12/09/2021"])[0].format == "%d/%m/%Y"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["25/12/2021", "01/02/2021"], "format: '%d/%m/%Y' (day first; 1 of 2 values can be nothing else"),
        (["12/25/2021", "01/02/2021"], "format: '%m/%d/%Y' (month first; 1 of 2 values can be nothing else"),
        (["03/04/2021"], "no value decides"),
        (["25/12/2021", "12/25/2021", "01/02/2021"], "No one format fits"),
        (["25/12/21"], "69 to 99 are 1969 to 1999"),
        ([44264.5, 44265.25], "interactions.timestamp.unit: excel_days"),
    ],
)
def test_advice_names_the_key_and_the_evidence(values, said) -> None:
    assert said in str(advice_on_times(values, "interactions.timestamp"))
