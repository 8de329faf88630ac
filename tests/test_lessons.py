"""What is built is what its source gives: what `tinykd build --check` sees without a proof."""

from pathlib import Path

import pytest

from tinykd.classroom.author.build import metadata_of, proof_digest
from tinykd.classroom.author.notebooks import code_digest, dump, make_notebook
from tinykd.classroom.author.read_lesson import read_lesson

SOLUTIONS = Path(__file__).resolve().parents[1] / "solutions"
SOURCES = sorted(SOLUTIONS.glob("[0-9]*.py"))


def test_the_walk_is_whole():
    assert [source.name[:2] for source in SOURCES] == [f"{n:02}" for n in range(19)]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_notebooks_are_what_their_source_gives(source):
    lesson = read_lesson(source)
    student = SOLUTIONS.parent / "lessons" / f"{lesson.name}.ipynb"
    advice = f"tinykd build {lesson.name[:2]}"
    assert student.read_text("utf-8") == dump(make_notebook(lesson, solution=False)), advice
    built = metadata_of(source.with_suffix(".ipynb"))
    assert built["source"] == code_digest(make_notebook(lesson, solution=True)), advice
    assert built["proved"] == proof_digest(lesson), advice
