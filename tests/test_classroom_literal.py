"""Answers that are data: what is read as a literal, what is refused, and which cell counts."""

import ast

import pytest

from tinykd.classroom.grading.choose_literal import literal_cell
from tinykd.classroom.literal import (
    MAX_CHARACTERS,
    NotLiteral,
    from_lines,
    in_lines,
    read_literal,
    written,
)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("x = 'a'", "a"),
        ("# a comment\nx = (\n  'a'\n  'b'\n)\n", "ab"),
        ("x = {'seeds': [0, 1], 'low': -0.5, 'it': (True, None)}", None),
        ("x = None", None),
        ("x = -3", -3),
        ('x = """a\nb"""', "a\nb"),
    ],
)
def test_a_literal_is_read(source, value):
    expected = ast.literal_eval(ast.parse(source).body[-1].value)
    assert read_literal("x", source) == expected
    assert value in (None, expected)


def test_what_is_written_anew_is_the_same_value():
    value = {"a": ["'\"\\\n%!?{}", "\ud800", -1.5, (1,)], "b": None}
    assert read_literal("x", written("x", value)) == value


ATTACKS = {
    "call": "x = __import__('os').system('true')",
    "name": "x = check",
    "f-string": "x = f'{1}'",
    "implicit f-string": "x = 'a' f'{open(0)}'",
    "sum": "x = 'a' * 1000000000",
    "power": "x = 9**9**9",
    "attribute": "x = ''.join",
    "comprehension": "x = [1 for _ in (1,)]",
    "lambda": "x = lambda: 1",
    "walrus": "x = (y := 1)",
    "star": "x = [*[1]]",
    "double star": "x = {**{}}",
    "set": "x = {1}",
    "number as key": "x = {1: 2}",
    "key twice": "x = {'a': 1, 'a': 2}",
    "bytes": "x = b'a'",
    "complex": "x = 1j",
    "ellipsis": "x = ...",
    "infinity": "x = 1e999",
    "huge number": "x = " + "9" * 4000,
    "huger number": "x = " + "9" * 5000,
    "if": "x = 1 if 1 else 2",
    "second statement": "x = 1\nimport os",
    "one line": "x = 1; import os",
    "other name": "y = 1",
    "two names": "x = y = 1",
    "unpacking": "x, y = 1, 2",
    "annotated": "x: print() = 1",
    "added": "x += 1",
    "attribute as target": "x.y = 1",
    "function": "def x():\n    return 1",
    "decorator": "@print\nclass x: pass",
    "magic": "%load x.py\nx = 1",
    "shell": "x = !ls",
    "encoding": "# -*- coding: utf-7 -*-\nx = +AC8-",
    "text": "hello there",
    "empty": "",
    "cut off": "x = (\n'abc'",
    "null byte": "x = 'a\0b'",
    "parentheses": "x = " + "(" * 300 + "1" + ")" * 300,
    "lists": "x = " + "[" * 60 + "]" * 60,
    "dicts": "x = " + "{'a':" * 60 + "1" + "}" * 60,
    "minuses": "x = " + "-" * 50_000 + "1",
    "minus a text": "x = -'a'",
    "many values": "x = [" + "0," * 100_000 + "]",
    "long": "x = '" + "a" * MAX_CHARACTERS + "'",
}


@pytest.mark.parametrize("source", ATTACKS.values(), ids=ATTACKS)
def test_anything_else_is_refused_in_words(source):
    with pytest.raises(NotLiteral) as refused:
        read_literal("x", source)
    assert 10 < len(str(refused.value)) < 200
    assert "\n" not in str(refused.value)


def test_a_file_survives_its_lines():
    for data in (b"", b"a", bytes(range(256)) * 9):
        text = read_literal("x", f"x = {in_lines(data)}")
        assert from_lines(text) == data
        assert from_lines(text[:10] + "\n  " + text[10:]) == data
        assert all(len(line) < 100 for line in in_lines(data).splitlines())
    for text in ("a b\"'", 3, None, "ab\u00e4"):
        with pytest.raises(NotLiteral):
            from_lines(text)


def cell(source, name="x", role="answer", kind="code", **more):
    metadata = {"role": role, "name": name} if role else {}
    return {"cell_type": kind, "source": source, "metadata": metadata} | more


OURS = cell("x = 'right'", id="x")


def chosen(*cells):
    return literal_cell(OURS, [{"metadata": {}} | one for one in cells])


def test_the_last_cell_with_a_value_counts():
    assert chosen(cell("x = 'a'"), cell("x = 'b'"), cell("x = None")) == ("x = 'b'", [])
    assert chosen(cell("# -*- nothing\nx = ('b' 'c')")) == ("x = 'bc'", [])  # written anew
    bare = cell("x = 'c'", role="")
    assert chosen(cell("x = 'a'"), bare)[0] == "x = 'a'"
    source, [remark] = chosen(cell("x = None"), bare)
    assert source == "x = 'c'"
    assert "of your own" in remark
    assert chosen(cell("y = 1", role=""), {"id": "x", "cell_type": "code", "source": "x = 2"}) == (
        "x = 2",
        [],
    )


def test_a_cell_of_the_lesson_s_own_is_no_answer():
    for role in ("show", "check"):
        assert chosen(cell("x = None"), cell("x = 'a'", role=role)) == ("x = None", [])
    assert chosen(cell("x == 'a'", role=""))[0] == "x = None"


def test_nothing_of_a_refused_cell_is_left():
    source, remarks = chosen(cell("x = __import__('os').system('rm secret')"))
    assert source.startswith("raise ValueError('no code is run here")
    assert "secret" not in source
    assert remarks == []
    assert chosen(cell("x = print()"), cell("x = 'a'", role=""))[0] == "x = 'a'"


def test_a_missing_cell_and_one_that_is_text():
    source, [remark] = chosen()
    assert source == "x = None"
    assert "missing" in remark
    assert "no longer a code cell" in chosen(cell("x = 'a'", kind="markdown"))[1][0]
    assert chosen(cell("x = None")) == ("x = None", [])
