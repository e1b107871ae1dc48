"""Exchange rates for tests: written as the file has them."""

from __future__ import annotations

from scoring.core.features.rates import Rates
from scoring.core.features.rates_file import load_rates

HEAD = "from,currency,reference,rate\n"


def rates_of(**by_code: object) -> Rates:
    """Rates to EUR: `JPY="0.006"` always was, `USD=[("2026-11-30", "0.87")]` begins."""
    rows = [
        f"{day},{code},EUR,{rate}\n"
        for code, given in by_code.items()
        for day, rate in (given if isinstance(given, list) else [("1970-01-01", given)])
    ]
    return load_rates(HEAD + "".join(rows), reference="EUR", name="rates.csv")


# They change while the streams of `streams.py` run; the first payments in yens and
# dinars have none.
DAYS: dict[str, list[tuple[str, str]]] = {
    "JPY": [("2020-09-14", "0.006"), ("2021-01-22", "0.0071234"),
            ("2021-02-01", "0.004")],
    "KWD": [("2020-10-07", "3.05"), ("2021-01-24", "3.1")],
}  # fmt: skip
DATED = rates_of(**DAYS)
