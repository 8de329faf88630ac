"""Every bug the tests are there for, put into a copy of tinykd: its test must fail.

    python tests/seen_to_fail.py bugs_of_the_engine|bugs_of_grading [part of a bug's name]
    python tests/seen_to_fail.py bugs_of_the_engine --share 1/2      every second bug of the list

Each bug is one replaced string. For each a copy of the package is patched, and the tests named for
the bug run against the copy in a forked child; a bug whose tests pass is reported, exit status 1.
"""

import argparse
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent / "tinykd"


def patched(folder, file, right, wrong):
    """A copy of the package in which one string is replaced."""
    copy = folder / "tinykd"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    source = (copy / file).read_text()
    if right not in source:
        raise SystemExit(f"{file} no longer has {right!r}: bring the list of bugs up to date")
    (copy / file).write_text(source.replace(right, wrong))


def outcome(folder, tests, log):
    """Exit status of pytest over `tests` with the tinykd in `folder`, run in a forked child."""
    pid = os.fork()
    if pid == 0:
        import pytest

        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.path.insert(0, str(folder))
        os.environ["PYTHONPATH"] = str(folder)
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # nbval alone takes seconds to load
        file, _, names = tests.partition(":")
        where = [str(HERE / f"test_{file}.py"), "-k", names.strip()]
        options = ["-q", "-x", "-p", "no:cacheprovider", "--rootdir", str(HERE.parent), "--tb=line"]
        os._exit(int(pytest.main([*options, *where])))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def sandbox():
    """Whether there is one here; asked elsewhere, for here no tinykd may be imported yet."""
    code = "from tinykd.classroom.sandbox.bubblewrap import why_unavailable as why\n"
    code += "raise SystemExit(why() or 0)"
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    if done.returncode:
        print(f"no bug of grading can be seen here: {done.stderr.strip()}")
    return done.returncode == 0


def build_course(folder):
    """The course of test_submissions.py, built without a bug: once, and not once a bug."""
    (folder / "solutions").mkdir()
    shutil.copy(
        HERE / "submissions" / "course" / "solutions" / "01_grading.py", folder / "solutions"
    )
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
    command = [sys.executable, "-m", "tinykd", "build"]
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    os.environ["TINYKD_BUILT_COURSE"] = str(folder)


def main(file, wanted, share):
    import hypothesis.strategies  # noqa: F401
    import pytest  # noqa: F401
    import torch  # before forking: children inherit what took seconds to import
    import torch.nn.parallel
    import torch.utils.data

    torch.set_num_threads(1)
    weight = torch.zeros(1, requires_grad=True)
    torch.optim.SGD([weight], 0.1).step()  # imports half of torch
    survivors = []
    which, of = map(int, share.split("/"))
    bugs = importlib.import_module(file).BUGS[which % of :: of]
    bugs = [bug for bug in bugs if wanted in bug[0]]
    if file == "bugs_of_grading" and not sandbox():
        bugs = []
    course = tempfile.TemporaryDirectory()
    if any(tests.startswith("submissions:") for *_, tests in bugs):
        build_course(Path(course.name))
    for name, source, right, wrong, tests in bugs:
        with tempfile.TemporaryDirectory() as folder:
            patched(Path(folder), source, right, wrong)
            log = Path(folder) / "log"
            before = sum(os.times()[2:4])
            status = outcome(Path(folder), tests, log)
            words = log.read_text()
        seen = status == 1
        took = sum(os.times()[2:4]) - before
        print(f"{'seen' if seen else 'NOT SEEN':8}  {name}  ({tests})  {took:.1f} s", flush=True)
        if not seen:
            survivors.append(name)
            print(words)
    print(
        f"{len(bugs) - len(survivors)} of {len(bugs)} bugs seen, {sum(os.times()[:4]):.0f} s of CPU"
    )
    course.cleanup()
    return 1 if survivors else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("wanted", nargs="?", default="")
    parser.add_argument("--share", default="1/1")
    sys.exit(main(**vars(parser.parse_args())))
