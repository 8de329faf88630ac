"""Reports: what they say, that they hold no more than that, and that no text can break them."""

import copy
import csv
import hashlib
import html
import io
import json
import re
import time
import tomllib
from fnmatch import fnmatch
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tinykd.classroom.reports import exports, write_reports
from tinykd.classroom.reports.class_summary import class_summary
from tinykd.classroom.reports.write_reports import write_class, write_student
from tinykd.classroom.safe_text import safe_name, safe_text

SEED = 918273645
REPORTS = Path(write_reports.__file__).parent
SCHEMA = json.loads((REPORTS / "report.schema.json").read_text("utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
# What XML 1.0 allows (production 2, Char), without what turns or hides text.
FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
    "|[\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]"
)
EVIL = [
    "<script>alert(1)</script>",
    "]]>&amp;\"'><img src=x onerror=alert(1)>",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07\x9b2J",
    "ann\u202egnp.exe\u2066\u200f",
    "nul\x00 bell\x07 \x85",
    "\ud800 half\udc80 \ufffe\U0001ffff",
    "Z" * 10_000,
    '=HYPERLINK("http://example.org";"x")',
    "{{ 7*7 }}{% raw %}",
    "a\r\nb\u2028c\td",
    "<!-- --><![CDATA[ <?xml",
]


def check(name, passed, points=1.0, hidden=False, why="every value is 0", hint="Sum.", mistake=""):
    words = ("", "", "") if passed else (why, hint, mistake)
    about = dict(zip(("why", "hint", "mistake"), words, strict=True))
    known = {"name": name, "hidden": hidden, "points": points, "passed": passed, "seconds": 0.01}
    return known | about


def exercise(name, *checks):
    points = float(sum(one["points"] for one in checks if one["passed"]))
    most = float(sum(one["points"] for one in checks))
    return {"name": name, "points": points, "most": most, "checks": list(checks)}


def digest(text):
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def report(student="ada", lost=("kd_loss.values",), **changes):
    mean = {"hint": "You averaged over classes.", "mistake": "kd_loss.mean"}
    exercises = [
        exercise(
            "kd_loss",
            check("kd_loss.values", "kd_loss.values" not in lost, 2.0, **mean),
            check(
                "kd_loss.secret", "kd_loss.secret" not in lost, 0.5, True, "other inputs", **mean
            ),
        ),
        exercise("entropy", check("entropy.flat", "entropy.flat" not in lost)),
    ]
    key = {"submission": digest(student), "reference": digest("r"), "environment": digest("e")}
    made = {
        "schema": 1,
        "student": student,
        "submission": {"file": f"{student}/02.ipynb", "sha256": key["submission"]},
        "lesson": "02_distillation_loss",
        "status": "graded",
        "reason": "",
        "points": sum(one["points"] for one in exercises),
        "most": sum(one["most"] for one in exercises),
        "exercises": exercises,
        "remarks": ["entropy: 2 answer cells; the last one was graded"],
        "seconds": 2.3456,
        "key": key,
        "seed": SEED,
        "sandbox": "bubblewrap 0.8.0",
        "graded_at": "2026-01-31T13:00:00+01:00",
    }
    return made | changes


def failed(student="bob", reason="02.ipynb is larger than 20 MB; clear its outputs", **changes):
    none = {"status": "not_gradable", "points": 0.0, "exercises": [], "remarks": []}
    return report(student, **none, reason=reason) | changes


def hostile(evil, graded=True):
    made = report(evil, lost=("kd_loss.values", "entropy.flat")) if graded else failed(evil, evil)
    made["submission"]["file"], made["remarks"] = evil, [evil]
    for one in made["exercises"]:
        for lost in (c for c in one["checks"] if not c["passed"]):
            lost["why"] = evil
    return made


def about(**more):
    return {"lesson": "02_distillation_loss", "seed": SEED, "sandbox": "bubblewrap 0.8.0"} | more


def student_files(tmp_path, made):
    write_student(made, tmp_path)
    return {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}


def class_files(tmp_path, made, slugs=(), **more):
    write_class(made, about(**more), tmp_path, slugs)
    with (tmp_path / "class.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    return rows, (tmp_path / "index.html").read_text("utf-8")


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "rect", "line", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes something else"
        if tag in ("th", "td", "dt", "dd"):
            self.words.append(" ")

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return " ".join("".join(self.words).split())


def safe_page(text):
    """The page, once it is known to be whole, to load nothing and to run nothing."""
    page = Page(text)
    assert page.open == []
    allowed = {"a", "bdi", "body", "br", "caption", "code", "dd", "details", "div", "dl", "dt"}
    allowed |= {"figcaption", "figure", "footer", "h1", "h2", "h3", "head", "header", "html", "li"}
    allowed |= {"line", "main", "meta", "nav", "p", "rect", "section", "span", "strong", "style"}
    allowed |= {"summary", "svg", "table", "tbody", "td", "text", "th", "thead", "time", "title"}
    assert {tag for tag, _ in page.tags} <= allowed | {"tr", "ul"}
    for tag, attrs in page.tags:
        assert not [name for name in attrs if name.startswith("on") or name in ("src", "style")]
        if "href" in attrs:
            assert tag == "a"
            assert re.fullmatch(r"#[\w-]+|students/[\w.-]+/report\.html", attrs["href"])
    assert "url(" not in text
    assert "@import" not in text
    policy = [a["content"] for t, a in page.tags if a.get("http-equiv")]
    assert policy == [
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    ]
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a} <= set(ids)
    return page


# ---------------------------------------------------------------- report.json


@pytest.mark.parametrize("made", [report(), report(lost=()), failed()], ids=["lost", "all", "none"])
def test_report_json_is_the_dict_and_fits_the_schema(tmp_path, made):
    Draft202012Validator.check_schema(SCHEMA)
    kept = json.loads(student_files(tmp_path, made)["report.json"])
    assert kept == made
    VALIDATOR.validate(kept)


def every_object(schema):
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for value in schema.values():
            yield from every_object(value)


def test_the_schema_allows_nothing_it_does_not_name():
    found = list(every_object(SCHEMA))
    assert len(found) == 6
    for one in found:
        if "propertyNames" in one:  # the measured numbers, by any name
            assert one["additionalProperties"] == {"type": "number"}
            continue
        assert one["additionalProperties"] is False
        assert set(one["properties"]) - set(one["required"]) <= {"measured"}


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.update(schema=2),
        lambda r: r.update(status="error"),
        lambda r: r.update(reason="x"),
        lambda r: r.update(points=-1),
        lambda r: r.update(points="3"),
        lambda r: r.update(seed=None),
        lambda r: r.update(more=1),
        lambda r: r.pop("sandbox"),
        lambda r: r.update(graded_at="yesterday"),
        lambda r: r.update(exercises=[]),
        lambda r: r["key"].update(reference="abc"),
        lambda r: r["submission"].update(file="a\u202eb"),
        lambda r: r["submission"].update(file="a\n"),
        lambda r: r["remarks"].append("\x1b[31m"),
        lambda r: r["remarks"].append("x" * 501),
        lambda r: r["exercises"][0]["checks"][0].pop("mistake"),
        lambda r: r["exercises"][0]["checks"][0].update(source="x = 1"),
        lambda r: r["exercises"][1]["checks"][0].update(why="passed, and yet"),
        lambda r: r.update(status="not_gradable", reason="x"),
        lambda r: r.update(status="not_gradable", reason="", exercises=[], points=0),
    ],
)
def test_the_schema_refuses(change):
    made = copy.deepcopy(report())
    VALIDATOR.validate(made)
    change(made)
    assert not VALIDATOR.is_valid(made)


@pytest.mark.parametrize("evil", EVIL, ids=range(len(EVIL)))
def test_report_json_of_anything_is_ascii_and_fits_the_schema(tmp_path, evil):
    text = student_files(tmp_path, hostile(evil))["report.json"]
    assert text.isascii()
    kept = json.loads(text)
    VALIDATOR.validate(kept)
    assert kept["student"] == evil, "how a student is known must not change"


# ---------------------------------------------------------------- junit.xml


def test_junit_has_a_case_a_check_and_words_for_what_was_lost(tmp_path):
    files = student_files(tmp_path, report(lost=("kd_loss.values", "kd_loss.secret")))
    root = ElementTree.fromstring(files["junit.xml"])
    (suite,) = root
    visible = sum(float(case.get("time")) for case in suite.iter("testcase"))
    assert suite.attrib == {
        "name": "02_distillation_loss: ada",
        "timestamp": "2026-01-31T13:00:00+01:00",
    } | {"tests": "3", "failures": "2", "errors": "0", "skipped": "0", "time": f"{visible:.3f}"}
    assert {p.get("name"): p.get("value") for p in suite.iter("property")} == {
        "status": "graded",
        "points": "1",
        "most": "3.5",
        "points.kd_loss.values": "0 of 2",
        "points.kd_loss.secret": "0 of 0.5",
        "points.entropy.flat": "1 of 1",
    }
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert list(cases) == ["kd_loss.values", "kd_loss.secret", "entropy.flat"]
    assert cases["kd_loss.values"].get("classname") == "02_distillation_loss.kd_loss"
    (lost,) = cases["kd_loss.values"]
    assert lost.tag == "failure"
    assert lost.get("message") == "every value is 0. Hint: You averaged over classes."
    assert len(cases["entropy.flat"]) == 0
    half = ElementTree.fromstring(student_files(tmp_path, report())["junit.xml"])
    assert {p.get("value") for p in half.iter("property") if p.get("name") == "points"} == {"1.5"}


def test_junit_of_what_could_not_be_graded_is_one_error(tmp_path):
    root = ElementTree.fromstring(student_files(tmp_path, failed())["junit.xml"])
    (case,) = root.iter("testcase")
    (error,) = case
    assert error.tag == "error"
    assert error.get("message").startswith("could not be graded: 02.ipynb is larger than 20 MB")
    assert root[0].get("tests") == root[0].get("errors") == "1"
    assert "points" not in {p.get("name") for p in root.iter("property")}


# ---------------------------------------------------------------- results.json


GRADESCOPE = {  # as Gradescope's documentation of results.json lays it down
    "type": "object",
    "additionalProperties": False,
    "required": ["score", "tests"],
    "properties": {
        "score": {"type": "number"},
        "execution_time": {"type": "integer"},
        "output": {"type": "string"},
        "output_format": {"enum": ["text", "simple_format", "html", "md", "ansi"]},
        "test_output_format": {"enum": ["text", "simple_format", "html", "md", "ansi"]},
        "test_name_format": {"enum": ["text", "simple_format", "html", "md", "ansi"]},
        "visibility": {"enum": ["hidden", "after_due_date", "after_published", "visible"]},
        "stdout_visibility": {"enum": ["hidden", "after_due_date", "after_published", "visible"]},
        "extra_data": {"type": "object"},
        "tests": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "score": {"type": "number"},
                    "max_score": {"type": "number"},
                    "status": {"enum": ["passed", "failed"]},
                    "name": {"type": "string"},
                    "number": {"type": "string"},
                    "output": {"type": "string"},
                    "visibility": {"enum": ["visible"]},
                },
            },
        },
    },
}


@pytest.mark.parametrize("made", [report(), report(lost=()), failed()], ids=["lost", "all", "none"])
def test_gradescope_gets_what_it_documents(tmp_path, made):
    results = json.loads(student_files(tmp_path, made)["results.json"])
    Draft202012Validator(GRADESCOPE).validate(results)
    assert results["score"] == made["points"]
    assert results["score"] == sum(test.get("score", 0) for test in results["tests"])
    formats = ("output_format", "test_output_format", "test_name_format")
    assert [results[name] for name in formats] == ["text"] * 3, "else names would be read as HTML"
    assert results["stdout_visibility"] == "hidden"
    assert results["extra_data"]["status"] == made["status"]


def test_gradescope_shows_hidden_checks_by_authored_words_alone(tmp_path):
    files = student_files(tmp_path, report(lost=("kd_loss.values", "kd_loss.secret")))
    tests = json.loads(files["results.json"])["tests"]
    assert tests[1] == {
        "name": "kd_loss.secret (not in your notebook)",
        "number": "1.2",
        "score": 0.0,
        "max_score": 0.5,
        "status": "failed",
        "visibility": "visible",
        "output": "other inputs.\nHint: You averaged over classes.",
    }
    assert tests[2]["output"] == ""


def test_gradescope_is_told_that_the_zero_is_no_score(tmp_path):
    results = json.loads(student_files(tmp_path, failed())["results.json"])
    assert "could not be graded: 02.ipynb is larger" in results["output"]
    assert "The 0 is no score" in results["output"]
    assert [test["status"] for test in results["tests"]] == ["failed"]


# ---------------------------------------------------------------- report.html


def test_a_reason_that_asks_needs_no_full_stop(tmp_path):
    made = report()
    made["exercises"][0]["checks"][0]["why"] = "it is None: is there a return?"
    told = json.loads(student_files(tmp_path, made)["results.json"])["tests"][0]["output"]
    assert told == "it is None: is there a return?\nHint: You averaged over classes."


def test_a_student_reads_points_reasons_and_hints(tmp_path):
    files = student_files(tmp_path, report(lost=("kd_loss.values", "kd_loss.secret")))
    page = safe_page(files["report.html"])
    assert "ada 1 of 3.5 points" in page.text
    assert "kd_loss 0 of 2.5" in page.text
    assert "kd_loss.values −2 points every value is 0" in page.text
    assert "kd_loss.secret −0.5 points not in your notebook other inputs" in page.text
    assert page.text.count("Hint: You averaged over classes.") == 1, "one mistake, one hint"
    assert "entropy: 2 answer cells; the last one was graded" in page.text
    assert "1 check passed" in page.text
    assert "2026-01-31 12:00 UTC" in page.text
    folded = files["report.html"].partition("<details>")[2].partition("</details>")[0]
    assert "entropy.flat" in folded
    assert "kd_loss.values" not in folded


def test_a_student_with_all_points_reads_so(tmp_path):
    page = safe_page(student_files(tmp_path, report(lost=()))["report.html"])
    assert "3.5 of 3.5 points" in page.text
    assert "Nothing was lost" in page.text
    assert "Hint" not in page.text


def test_what_could_not_be_graded_shows_no_score(tmp_path):
    page = safe_page(student_files(tmp_path, failed())["report.html"])
    assert "could not be graded 02.ipynb is larger than 20 MB; clear its outputs" in page.text
    assert "not a score of 0" in page.text
    assert "of 3.5" not in page.text


def test_the_seed_is_in_no_file_a_student_gets(tmp_path):
    files = student_files(tmp_path, report())
    assert sorted(files) == ["junit.xml", "report.html", "report.json", "results.json"]
    assert [name for name, text in files.items() if str(SEED) in text] == ["report.json"]
    keys = [digest("r"), digest("e")]
    assert [n for n, t in files.items() if any(key[:8] in t for key in keys)] == ["report.json"]


@pytest.mark.parametrize("graded", [True, False], ids=["graded", "not"])
@pytest.mark.parametrize("evil", EVIL, ids=range(len(EVIL)))
def test_nothing_a_student_writes_breaks_a_file_of_theirs(tmp_path, evil, graded):
    files = student_files(tmp_path, hostile(evil, graded))
    page = safe_page(files["report.html"])
    assert " ".join(safe_text(evil)[:100].split()) in page.text
    assert "{{ 7*7 }}" in page.text or "7*7" not in evil
    ElementTree.fromstring(files["junit.xml"].encode())
    results = json.loads(files["results.json"])
    for text in (html.unescape(files["report.html"]), files["junit.xml"], words(results)):
        assert not FORBIDDEN.search(text)
        assert "Z" * 501 not in text


def words(value):
    if isinstance(value, dict):
        value = list(value.values())
    return "".join(map(words, value)) if isinstance(value, list) else str(value)


@given(st.text(st.characters(categories=None), max_size=30))
def test_any_text_at_all_gives_whole_files(text):
    shown = write_reports._for_display(write_reports._cleaned(hostile(text)))
    ElementTree.fromstring(exports.junit(shown).encode())
    for kept in (safe_text(text), safe_name(text)):
        assert not FORBIDDEN.search(kept)
    rows = list(csv.reader(io.StringIO(exports.class_csv([shown])[1:], newline="")))
    assert [len(row) for row in rows] == [12, 12]
    assert not [cell for cell in rows[1] if runs(cell)]


def runs(cell):
    """Whether a spreadsheet would take some part of `cell` for a formula."""
    parts = re.split(r"[;|\t\r]", cell)
    return any(part.lstrip(' "').startswith(("=", "+", "-", "@", "＝")) for part in parts)


# ---------------------------------------------------------------- cleaning


def test_plain_text():
    assert safe_text("\x1b[1;31mred\x1b[0m and\n\tblue\u202e \x1b]8;;http://x\x1b\\link") == (
        "red and blue link"
    )
    assert safe_text("a\ufdd0\ufdef\ufffe\U0001fffe\U0010ffffb") == "ab", "noncharacters"
    assert safe_text("a" * 600) == "a" * 499 + "…"
    family = "👩\u200d👧"
    assert safe_text(family) == family, "joined emoji stay joined"
    assert safe_text("می\u200cروم") == "می\u200cروم", "and so do Persian words"


def test_no_name_passes_for_another():
    names = ["bob", "bob\u200b", "bob\u200d", "b\x00ob", "\u202ebob", "bob\ufeff", "bob\x1b[0m"]
    assert [safe_name(name) for name in names].count("bob") == 1
    assert safe_name("bob\u200b") == "bob\ufffd"
    for filler in "\u3164\u115f\u2800\u034f\ufe0f\u200d\U000e0101":  # letters and marks, to Unicode
        assert safe_name(f"bo{filler}b") == "bo\ufffdb"
    assert safe_name("\u674e\u96f7\u200d") == "\u674e\u96f7\ufffd", "it joins nothing"
    assert safe_name("") == "\ufffd"


# ---------------------------------------------------------------- class.csv


def test_class_csv_has_a_row_a_student_and_no_zero_by_accident(tmp_path):
    made = [report("zoe"), failed("bob"), report("Ada", lost=())]
    rows, _ = class_files(tmp_path, made)
    text = (tmp_path / "class.csv").read_bytes()
    assert text.startswith(b'\xef\xbb\xbf"student","status"'), "Excel needs the mark"
    assert text.count(b"\r\n") == text.count(b"\n") == 4
    assert list(rows[0]) == [
        *("student", "status", "points", "most", "percent", "kd_loss", "entropy"),
        *("reason", "remarks", "file", "report", "graded_at"),
    ]
    assert [row["student"] for row in rows] == ["Ada", "bob", "zoe"]
    ada, bob, zoe = rows
    assert (ada["points"], ada["most"], ada["percent"]) == ("3.5", "3.5", "100")
    assert (zoe["points"], zoe["kd_loss"], zoe["percent"]) == ("1.5", "0.5", "42.86")
    assert [bob[name] for name in ("points", "percent", "kd_loss", "entropy")] == [""] * 4
    assert bob["status"] == "not_gradable"
    assert bob["reason"].startswith("02.ipynb is larger")
    assert (bob["file"], bob["graded_at"]) == ("bob/02.ipynb", "2026-01-31T13:00:00+01:00")


def test_class_csv_has_every_exercise_and_every_remark(tmp_path):
    """Also where the first of the class has none; students in the order of a dictionary."""
    made = [failed("abe"), report("Carl"), report("bob", remarks=["one", "two"])]
    rows, _ = class_files(tmp_path, made)
    assert [row["student"] for row in rows] == ["abe", "bob", "Carl"]
    assert [row["kd_loss"] for row in rows] == ["", "0.5", "0.5"]
    assert rows[1]["remarks"] == "one / two"


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", "\t=", "\r=", " =", '"=', "＝", "x;=", "x|@"]
)
def test_no_cell_is_a_formula(tmp_path, start):
    rows, _ = class_files(tmp_path, [hostile(start + "1+1"), failed("eve", start + "1+1")])
    assert not [cell for row in rows for cell in row.values() if runs(cell)]
    assert runs(start + "1+1")


def test_honest_names_stay_what_they_are(tmp_path):
    names = ["Jürgen Müller-Lüdenscheidt", "O'Brien, Ann", "山田太郎", "ada@uni.example", "x+y=z"]
    rows, _ = class_files(tmp_path, [report(name) for name in names])
    assert {row["student"] for row in rows} == set(names)


# ---------------------------------------------------------------- index.html


def test_an_instructor_reads_who_what_and_how(tmp_path):
    both = ("kd_loss.values", "kd_loss.secret")
    made = [report(f"s{i}", lost=both if i < 11 else ()) for i in range(14)]
    made += [failed("late", "no notebook in its folder")]
    slugs = [one["student"] for one in made]
    more = {"seconds": 31.44, "jobs": 2, "limits": {"cell": 30}, "versions": {"torch": "2.13.0"}}
    _, text = class_files(tmp_path, made, slugs, **more)
    page = safe_page(text)
    assert "15 students: 14 graded, 1 could not be" in page.text
    assert "11 students You averaged over classes. kd_loss.mean" in page.text
    assert "kd_loss.values 11 of 14" in page.text
    assert "kd_loss.secret (hidden) 11 of 14" in page.text
    assert "1 of 3 checks were lost by nobody" in page.text
    assert page.text.index("late: no notebook in its folder") < page.text.index("You averaged")
    assert f"Seed {SEED} Sandbox bubblewrap 0.8.0" in page.text
    assert "31.4 s by the clock, 2 at a time" in page.text
    assert "torch 2.13.0" in page.text
    assert "--unsafe" not in text
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert links.count("students/s3/report.html") == 1
    assert links.count("students/late/report.html") == 2


def test_a_zero_is_a_score_and_the_worst_comes_first():
    everything = ("kd_loss.values", "kd_loss.secret", "entropy.flat")
    made = [report("zero", lost=everything), report("most", lost=everything[2:])]
    made += [report("half", lost=everything[1:], graded_at="2026-01-31T11:00:00+00:00"), failed()]
    for one in (made[0], made[1], made[2]):
        lost = one["exercises"][1]["checks"][0]
        lost |= {"hint": "You took log2.", "mistake": "entropy.base_2"}
    told = class_summary([write_reports._for_display(one) for one in made], about())
    assert [one["student"] for one in told["not_gradable"]] == ["bob"]
    total, kd_loss, entropy = told["histograms"]
    assert (total["full"], total["none"], total["mean"]) == (0, 1, 1.5)
    assert (kd_loss["full"], kd_loss["none"], entropy["none"]) == (1, 1, 3)
    lost = [(one["name"], one["count"]) for one in told["lost"]]
    assert lost == [("entropy.flat", 3), ("kd_loss.secret", 2), ("kd_loss.values", 1)]
    known = [(one["mistake"], one["count"]) for one in told["mistakes"]]
    assert known == [("entropy.base_2", 3), ("kd_loss.mean", 2)]
    assert told["times"] == ["2026-01-31T11:00:00+00:00", "2026-01-31T13:00:00+01:00"]


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="time zones as POSIX has them")
def test_a_page_tells_the_time_in_utc_wherever_it_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert "2026-01-31 12:00 UTC" in student_files(tmp_path, report())["report.html"]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_histograms_count_every_student(tmp_path):
    made = [report(f"s{i}", lost=("kd_loss.values",) * (i % 3 == 0)) for i in range(9)]
    shown = [write_reports._for_display(write_reports._cleaned(one)) for one in made]
    told = class_summary(shown, about())
    total, kd_loss, entropy = told["histograms"]
    assert {bar["label"]: bar["count"] for bar in kd_loss["bars"] if bar["count"]} == {
        "0.5": 3,
        "2.5": 6,
    }
    assert [bar["label"] for bar in entropy["bars"]] == ["0", "0.5", "1"][::2]
    assert kd_loss["tallest"] == entropy["tallest"] == 9, "one scale"
    assert (total["full"], total["none"], kd_loss["mean"]) == (6, 0, pytest.approx(11 / 6))
    _, text = class_files(tmp_path, made)
    assert "Students by points in kd_loss. 0.5 points: 3. 2.5 points: 6. " in text


@pytest.mark.parametrize("most", [40.0, 0.75, 1e-3])
def test_many_different_points_are_drawn_in_ranges(most):
    def scored(points):
        one = report(points=points, most=most)
        one["exercises"] = [{"name": "f", "points": points, "most": most, "checks": []}]
        return one

    told = class_summary([scored(most * i / 20) for i in range(21)], about())
    bars = told["histograms"][1]["bars"]
    assert len(bars) == 10
    assert [bar["count"] for bar in bars] == [2] * 9 + [3]


def test_a_class_without_a_sandbox_says_so_first(tmp_path):
    made = [report("ada", sandbox="none: --unsafe"), report("bob")]
    _, text = class_files(tmp_path, made, sandbox="none: --unsafe")
    page = safe_page(text)
    assert "Graded without a sandbox (--unsafe) The code of 1 student ran" in page.text
    assert text.index("without a sandbox") < text.index('id="points"')
    assert "Sandbox bubblewrap 0.8.0, none: --unsafe" in page.text


@pytest.mark.parametrize("made", [[], [failed()], [report(lost=())]], ids=["0", "none", "one"])
def test_small_classes(tmp_path, made):
    rows, text = class_files(tmp_path, made)
    safe_page(text)
    assert len(rows) == len(made)


def test_nothing_students_write_breaks_the_class(tmp_path):
    made = [hostile(evil) for evil in EVIL] + [hostile(evil, False) for evil in EVIL]
    slugs = [f"s{i}" for i in range(len(made))]
    rows, text = class_files(tmp_path, made, slugs)
    page = safe_page(text)
    assert len(rows) == len(made)
    assert not FORBIDDEN.search(html.unescape(text))
    assert not FORBIDDEN.search(words([list(row.values()) for row in rows]))
    links = [a["href"] for t, a in page.tags if t == "a" and a["href"].startswith("students/")]
    assert set(links) == {f"students/{slug}/report.html" for slug in slugs}


def test_a_slug_for_every_report(tmp_path):
    with pytest.raises(ValueError, match="1 slugs for 2 reports"):
        write_class([report(), report("bob")], about(), tmp_path, ["ada"])


# ---------------------------------------------------------------- files


def test_the_same_dicts_give_the_same_bytes(tmp_path):
    made = [report("zoe"), failed("bob"), report("Ada")]
    before = copy.deepcopy(made)
    for folder, some in (("one", made), ("two", made[::-1])):
        write_class(some, about(), tmp_path / folder)
        for one in some:
            write_student(one, tmp_path / folder / "students" / one["student"])
    assert made == before, "reports are read, never changed"
    one, two = tmp_path / "one", tmp_path / "two"
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(files) == 14
    assert all((one / path).read_bytes() == (two / path).read_bytes() for path in files)


def test_report_json_is_there_only_when_the_others_are(tmp_path, monkeypatch):
    write = write_reports.write

    def full_disk(path, text):
        if path.name == "results.json":
            raise OSError(28, "No space left on device")
        write(path, text)

    monkeypatch.setattr(write_reports, "write", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_student(report(), tmp_path)
    assert not (tmp_path / "report.json").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_write_that_is_cut_short_leaves_the_old_files(tmp_path, monkeypatch):
    write_student(report(), tmp_path)
    write_class([report()], about(), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def torn(path, data):
        with path.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", torn)
    for write in (write_student, lambda made, folder: write_class([made], about(), folder)):
        with pytest.raises(OSError, match="No space"):
            write(report(lost=()), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_pages_and_schema_are_package_data():
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text("utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["*"]
    files = [*(REPORTS / "templates").iterdir(), REPORTS / "report.schema.json"]
    assert len(files) == 7
    for path in files:
        assert any(fnmatch(path.name, pattern) for pattern in patterns), path
