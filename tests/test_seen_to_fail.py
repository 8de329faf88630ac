"""The tests themselves are tested: each bug they are there for, put in, must make one fail."""

import pytest


@pytest.mark.slow
def test_every_bug_of_the_engine_is_seen(run_seen_to_fail):
    run_seen_to_fail("bugs_of_the_engine")
