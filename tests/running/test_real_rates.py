"""The learning rates of scale real are those that its recorded search chose."""

from pathlib import Path

from benchmarks.methods.listing import JOINING
from benchmarks.records.collected import read_rows
from benchmarks.records.names import RATES as SEARCH
from benchmarks.records.names import REAL_ARCHITECTURES
from benchmarks.worlds.real import RATES
from reports.tables.rates import chosen_rates, rates_frame

COMMITTED = Path(__file__).parents[2] / "results" / "real"


def test_every_method_has_the_rate_that_was_best_on_validation_data() -> None:
    rows = read_rows(COMMITTED)
    found = chosen_rates(rates_frame(rows[rows["suite"] == SEARCH]), REAL_ARCHITECTURES[0])
    assert found == RATES
    assert len(found) == 5 + len(JOINING), "the head, PAINT and three readings of Delta beside those that join"
