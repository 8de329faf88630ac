"""The board of a class, from reports that are made up."""

import json

import pytest

from tinykd.classroom.reports.board import NoBoard, board, board_text, write_board


def report(
    student, number=None, seed=5, sandbox="bubblewrap 0.8.0", name="digits right, %", **more
):
    measured = {} if number is None else {"measured": {name: number}}
    checks = [{"name": "model.opens"}, {"name": "model.right"} | measured]
    return {
        "student": student,
        "status": "graded",
        "lesson": "18_your_own",
        "exercises": [{"name": "model", "checks": checks}],
        "submission": {"file": f"{student}.ipynb"},
        "seed": seed,
        "sandbox": sandbox,
    } | more


@pytest.fixture
def folder(tmp_path):
    def write(*reports):
        for n, one in enumerate(reports):
            path = tmp_path / "students" / f"s{n}" / "report.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(one if isinstance(one, str) else json.dumps(one))
        return tmp_path

    return write


def test_the_best_come_first_and_equal_numbers_share_a_rank(folder):
    made = [report("bob", 91.5), report("Ada", 91.5), report("cy", 97.0), report("dan", 80.25)]
    made += [report("eve"), report("fay", float("nan")), "{", json.dumps({"status": "graded"})[:-3]]
    found = board(folder(*made))
    ranks = [(row["rank"], row["student"], row["number"]) for row in found["rows"]]
    assert ranks == [(1, "cy", 97.0), (2, "Ada", 91.5), (2, "bob", 91.5), (4, "dan", 80.25)]
    assert found["without"] == ["eve", "fay"]
    assert (found["seeds"], found["unsafe"]) == (1, False)
    text = board_text(found)
    assert ["2", "bob", "91.50"] in [line.split() for line in text.splitlines()]
    assert "without a number: eve, fay" in text
    assert "several seeds" not in text


def test_a_board_of_several_seeds_or_without_a_sandbox_says_so(folder):
    made = folder(report("ada", 1.0), report("bob", 2.0, seed=6, sandbox="none: --unsafe"))
    found = board(made)
    assert (found["seeds"], found["unsafe"]) == (2, True)
    assert "graded under several seeds" in board_text(found)


def test_one_number_is_named_by_a_part_of_its_name(folder):
    made = folder(report("ada", 1.0), report("bob", 2.0, name="sentences, rank correlation"))
    assert board(made, "sent")["rows"][0]["student"] == "bob"
    assert board(made, "digits")["without"] == ["bob"]
    for measure in ("", "t", "words"):
        with pytest.raises(NoBoard, match="there are 'digits right, %', 'sentences, rank"):
            board(made, measure)
    with pytest.raises(NoBoard, match="no check of this lesson measures anything"):
        board(folder(report("ada"), report("bob")))


def test_a_page_runs_nothing_of_a_student_s(folder):
    made = folder(report("<script>ada</script>\u202e", 1.0), report("<b>", None))
    page = write_board(board(made), made).read_text("utf-8")
    assert "<script" not in page
    assert "<b>" not in page
    assert "\u202e" not in page
