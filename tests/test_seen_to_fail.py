"""The tests themselves are tested: each bug they are there for, put in, must make one fail."""

import runpy
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.mark.parametrize("bugs", ["bugs_of_the_engine", "bugs_of_grading"])
def test_every_bug_is_of_code_that_stands(bugs):
    """In seconds, what putting them in finds out in minutes: code that a bug changes has moved."""
    for name, source, right, _, tests in runpy.run_path(str(HERE / f"{bugs}.py"))["BUGS"]:
        assert right in (HERE.parent / "tinykd" / source).read_text("utf-8"), (name, source)
        assert (HERE / f"test_{tests.partition(':')[0]}.py").exists(), (name, tests)


@pytest.mark.slow
def test_every_bug_of_the_engine_is_seen(run_seen_to_fail):
    run_seen_to_fail("bugs_of_the_engine")
