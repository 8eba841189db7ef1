"""Results as a table: what is read back is what was measured."""

import csv
import io

from gptcore.experiments import claims, results_table


def test_a_table_holds_every_result_in_both_forms():
    results = [claims.measure(claims.get_claim(name)) for name in ("beta_pushes", "gqa_cache")]
    rows = list(csv.DictReader(io.StringIO(results_table.to_csv(results))))
    assert [(row["name"], row["verdict"]) for row in rows] == [
        ("beta_pushes", "depends"),
        ("gqa_cache", "holds"),
    ]
    assert float(rows[0]["measured"]) == results[0].measured and rows[0]["torch"]
    lines = results_table.to_markdown(results).splitlines()
    assert len({line.count(" | ") for line in lines[:1] + lines[2:4]}) == 1
    assert results[1].claim in lines[3] and "| Holds |" in lines[3] and lines[-1].startswith("Measured on ")


def test_no_results_are_an_empty_table():
    assert results_table.to_csv([]) == "" and len(results_table.to_markdown([]).splitlines()) == 3
