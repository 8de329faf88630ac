"""A file of its own, so that it runs beside `test_seen_to_fail.py`: each takes minutes."""

import pytest


@pytest.mark.slow
def test_every_bug_of_grading_is_seen(run_seen_to_fail):
    run_seen_to_fail("bugs_of_grading")
