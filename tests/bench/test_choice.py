"""The benchmark of the choices: every choice is timed on every sample, and the table shows them."""

from bench import choice


def test_each_sample_has_a_row_with_each_choice(monkeypatch):
    monkeypatch.setattr(choice, "ROUNDS", 1)
    monkeypatch.setattr(choice, "WARM_UP", 1)
    monkeypatch.setattr(choice, "ROUND_SECONDS", 1e-9)
    rows = choice.measure()
    assert {row["sample"] for row in rows} == set(choice.SAMPLES)
    for row in rows:
        assert {"serial", "threads", "processes", "auto"} <= row["seconds"].keys()
        others = {name: taken for name, taken in row["seconds"].items() if name != "auto"}
        assert row["best"] == min(others, key=others.__getitem__)
    text = choice.table(rows)
    assert all(row["sample"] in text and row["auto"][0] in text for row in rows)
