"""Lesson 17's numbers that carry a preference: a tiny run, and nothing of it twice."""

import pytest


@pytest.mark.slow
def test_every_way_to_be_taught_runs_once_from_each_start(runs_once):
    runs = runs_once("subliminal_words")["runs"]
    ways = {(run["start"], run["method"]) for run in runs}
    assert len(runs) == len(ways) == 6
    for run in runs:
        assert 0 < run["students_say_it"] < 1
        assert run["carried"] == pytest.approx(run["students_apart"] / run["teachers_apart"])
    # of a teacher's text the animals' probabilities are in no loss: the students differ in numbers
    assert len({run["teachers_apart"] for run in runs}) == 1
