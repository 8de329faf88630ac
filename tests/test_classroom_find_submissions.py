"""Which submissions a folder holds, and what they and their folders are called."""

import hashlib
import os
import re

import pytest

from tinykd.classroom.roster.find_submissions import find_submissions, submission_digest

LESSON = "01_fake"


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_finds_notebooks_and_folders_and_says_what_is_wrong_with_the_rest(tmp_path):
    subs = tmp_path / "subs"
    good = ["ada.ipynb", "BOB.IPYNB", "carl/x.ipynb", "dora/01_fake.ipynb", "dora/notes.ipynb"]
    good += ["eve/01_fake (1).ipynb", "eve/notes.ipynb", "mia/lessons/01_fake.ipynb"]
    good += ["lee/.ipynb_checkpoints/01_fake.ipynb", "lee/01_fake.ipynb", "lee/__MACOSX/y.ipynb"]
    odd = ["emil/a.ipynb", "emil/b.ipynb", "gus/gus.py", "hal.ipynb/01_fake.ipynb", "list.csv"]
    odd += ["two/x/01_fake.ipynb", "two/y/01_fake.ipynb", ".hidden/x.ipynb", "__MACOSX/ada.ipynb"]
    write(subs, dict.fromkeys([*good, *odd, ".ipynb_checkpoints/z.ipynb", "._ada.ipynb"], "1"))
    (subs / "fay").mkdir()
    (subs / "ida.ipynb").symlink_to(subs / "ada.ipynb")
    (subs / "kim").symlink_to(subs / "dora")
    (subs / "sly").mkdir()
    (subs / "sly" / "x").symlink_to(subs / "dora")  # another's notebook is not one's own
    (subs / "nil").mkdir()
    (subs / "nil" / "01_fake.ipynb").symlink_to("/etc/passwd")
    os.mkfifo(subs / "jon.ipynb")
    os.mkfifo(subs / "pipe")
    found, others = find_submissions(subs, LESSON)
    assert others == ["list.csv"]
    assert {one.student: str(one.path.relative_to(subs)) for one in found if one.path} == {
        "ada": "ada.ipynb",
        "BOB": "BOB.IPYNB",
        "carl": "carl/x.ipynb",
        "dora": "dora/01_fake.ipynb",
        "eve": "eve/01_fake (1).ipynb",
        "lee": "lee/01_fake.ipynb",
        "mia": "mia/lessons/01_fake.ipynb",
    }
    assert {one.student: one.problem for one in found if not one.path} == {
        "emil": "it holds 2 notebooks, and which one is meant? a.ipynb, b.ipynb",
        "fay": "its folder is empty",
        "gus": "no notebook (.ipynb) in its folder, only gus.py",
        "hal": "hal.ipynb is a folder, not a notebook",
        "ida": "it is a symbolic link; hand in the notebook itself",
        "jon": "jon.ipynb is a pipe, a socket or a device, not a notebook",
        "kim": "it is a symbolic link; hand in the notebook itself",
        "nil": "it is a symbolic link; hand in the notebook itself",
        "sly": "no notebook (.ipynb) in its folder, only x",
        "pipe": "pipe is a pipe, a socket or a device, not a notebook",
        "two": "it holds 2 notebooks, and which one is meant? x/01_fake.ipynb, y/01_fake.ipynb",
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_somebody_s_problem(tmp_path):
    (tmp_path / "ada").mkdir(mode=0)
    (one,), _ = find_submissions(tmp_path, LESSON)
    assert one.problem == "its folder cannot be opened: Permission denied"


def test_names_of_learning_platforms(tmp_path):
    names = {
        "Ada Lovelace_12345_assignsubmission_file_/01_fake.ipynb": "Ada Lovelace",
        "Grace Hopper_12347_assignsubmission_file/01_fake.ipynb": "Grace Hopper",  # Moodle 4.1
        "Bob_o_Hara_12346_assignsubmission_file_01_fake.ipynb": "Bob_o_Hara",
        "Eve_12345_assignsubmission_file_12348_assignsubmission_file_/x.ipynb": (
            "Eve_12345_assignsubmission_file"  # a name that tries to be Ada's number
        ),
        "noethere_4711_99012_01_fake.ipynb": "noethere",
        "gausscf_LATE_4712_99013_01_fake-1.ipynb": "gausscf",
        "team_7_1_notebook.ipynb": "team_7_1_notebook",  # nobody's numbering but their own
    }
    write(tmp_path, dict.fromkeys(names, "1"))
    write(tmp_path, {"Ada Lovelace_12345_assignsubmission_onlinetext_/onlinetext.html": ""})
    found, others = find_submissions(tmp_path, LESSON)
    assert sorted(one.student for one in found) == sorted(names.values())
    assert others == ["Ada Lovelace_12345_assignsubmission_onlinetext_"]
    assert {one.slug for one in found if one.student in ("noethere", "gausscf")} == {
        "noethere",
        "gausscf",
    }


def test_what_was_handed_in_and_is_no_notebook_has_a_row(tmp_path):
    names = ["noethere_4711_99012_01.docx", "Ada A_12_assignsubmission_file_x.html", "list.csv"]
    names += ["gausscf_4712_99013_01_fake.ipynb", "gausscf_4712_99014_01_fake.html"]
    names += ["noethere_4711_99015_text.html", "Ada A_12_assignsubmission_onlinetext.html"]
    write(tmp_path, dict.fromkeys(names, "1"))
    found, others = find_submissions(tmp_path, LESSON)
    assert {one.student: one.problem for one in found} == {
        "Ada A": "Ada A_12_assignsubmission_file_x.html is not a notebook (.ipynb)",
        "gausscf": "",
        "noethere": "noethere_4711_99012_01.docx is not a notebook (.ipynb)",
    }
    assert sorted(others) == sorted([names[2], *names[4:]])


def test_copies_beside_a_notebook_are_remarked_upon(tmp_path):
    write(tmp_path, dict.fromkeys(["a/01_fake.ipynb", "a/01_fake (1).ipynb", "a/02.ipynb"], "1"))
    (one,), _ = find_submissions(tmp_path, LESSON)
    assert one.path.name == "01_fake.ipynb"
    assert one.remarks == ("also in the folder, and not graded: 01_fake (1).ipynb",)


def test_namesakes_are_told_apart_by_their_numbers(tmp_path):
    names = [f"Kim Min_7{n}_assignsubmission_file/x.ipynb" for n in (1, 2)]
    names += [f"noethere_471_9{n}0_01.ipynb" for n in (1, 2)]  # one student's two files
    write(tmp_path, dict.fromkeys(names, "1"))
    found, _ = find_submissions(tmp_path, LESSON)
    labels = ["Kim Min (71)", "Kim Min (72)"]
    labels += [f"noethere (noethere_471_9{n}0_01.ipynb)" for n in (1, 2)]
    assert sorted(one.student for one in found) == sorted(labels)


def test_the_same_student_twice_is_shown_twice_and_overwrites_nothing(tmp_path):
    two = "Ada_1{}_assignsubmission_file_/x.ipynb"
    names = ["ada.ipynb", "ada/x.ipynb", "ADA.ipynb", two.format(1), two.format(2)]
    write(tmp_path, dict.fromkeys(names, "1"))
    found, _ = find_submissions(tmp_path, LESSON)
    assert len({one.slug.casefold() for one in found}) == len({one.student for one in found}) == 5
    assert {"ada (ada)", "ada (ada.ipynb)", "ADA"} < {one.student for one in found}


def test_folder_names_are_safe_whatever_a_file_is_called(tmp_path):
    names = [
        "-..",
        "-rf",
        "a\nb",
        "a\tb",
        "<b>x",
        "x" * 240,
        "x" * 239,
        "y" * 61,
        "李雷",
        "Ш",
        "a b",
    ]
    names += ["\x1b[31mred", "\u202eevil", "con ", "a'b\"c", "{{7*7}}", "=1+1", "\udcff"]
    for name in names:
        (tmp_path / f"{name}.ipynb").write_text("1")
    spaced = next(one.slug for one in find_submissions(tmp_path, LESSON)[0] if one.student == "a b")
    for made_to_look_like_its_folder in (spaced, spaced.upper()):
        (tmp_path / f"{made_to_look_like_its_folder}.ipynb").write_text("1")
    found, _ = find_submissions(tmp_path, LESSON)
    assert len(found) == len(names) + 2
    assert len({one.slug.casefold() for one in found}) == len(found)
    for one in found:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}", one.slug), one
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e\ud800-\udfff]", one.student)


def test_a_digest_neither_follows_links_nor_waits_for_pipes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("a")
    os.mkfifo(tmp_path / "pipe")
    assert submission_digest(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
    for other in (tmp_path / "link", tmp_path / "pipe", tmp_path, tmp_path / "none", None):
        assert submission_digest(other) is None
