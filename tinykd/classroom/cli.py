"""The `tinykd` command. What it needs is imported inside each command, so that `tinykd --help`
takes no longer than `import tinykd`, which is to say torch.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer

from .author.find_lesson import find_lesson, find_lessons, use_data_of
from .author.lesson import LessonError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _usable_cpus() -> int:
    """Processors this process may use, not those of the whole machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@app.callback()
def _main() -> None:
    """tinykd: a course on knowledge distillation, and its engine."""


@app.command()
def build(
    which: Annotated[str, typer.Argument(help="A lesson's number or name, or all")] = "all",
    verify: Annotated[
        bool, typer.Option("--check", help="Fail where built files are stale")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Execute even what did not change")
    ] = False,
) -> None:
    """Make the notebooks of the lessons from solutions/NAME.py, and prove their checks."""
    _need_extra()
    from .author.build import build_lesson, check_lesson

    def checked(source: Path) -> list[str]:
        """What is to be said of a lesson; raises LessonError for what is wrong with it."""
        said: list[str] = []
        if problems := check_lesson(source, said.append):
            raise LessonError("\n".join(problems) + f"\nRun: tinykd build {source.stem}")
        return [*said, f"{source.stem}: every built file is fresh\n"]

    failed = []
    with _refused(LessonError):
        sources = find_lessons(which)
    with ThreadPoolExecutor(_usable_cpus()) as pool:  # each proof is a child process of its own
        checks = {source: pool.submit(checked, source) for source in sources if verify}
        for source in sources:
            try:
                if verify:
                    typer.echo("\n".join(checks[source].result()))
                else:
                    build_lesson(source, force, typer.echo)
            except LessonError as error:
                typer.echo(f"{source.stem} FAILED\n{error}\n", err=True)
                failed.append(source.stem)
    if failed:  # once more at the end: a kill matrix is long
        typer.echo(f"FAILED: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Its file name, such as homework")],
    folder: Annotated[
        Path | None,
        typer.Argument(help="Where; if left out, here beside another homework, else ./NAME"),
    ] = None,
) -> None:
    """Write a small homework that works, to be changed into yours."""
    _need_extra()
    from .author.new_lesson import new_lesson

    folder = folder or (Path() if Path("solutions").is_dir() else Path(name))
    with _refused(LessonError):
        files = new_lesson(name, folder)
    typer.echo("\n".join(f"wrote {file}" for file in files))
    typer.echo(f"Now: cd {folder} && tinykd build, then change solutions/{name}.py")


@app.command()
def release(
    out: Annotated[Path, typer.Argument(help="A new folder, or a new .zip file")],
    lesson: Annotated[str, typer.Option(help="Which, if there are several")] = "all",
) -> None:
    """Make what students get: notebook, visible values, data, environment, no answers."""
    _need_extra()
    from .author.release import release

    with _refused(LessonError):
        source = find_lesson(lesson)
    with _refused(LessonError, "not released: "):
        files = release(source, out)
    typer.echo(f"{out} holds {', '.join(files)}")


@app.command()
def check(
    notebook: Annotated[Path, typer.Argument(help="Your notebook, such as lessons/01_x.ipynb")],
    reference: Annotated[
        Path | None, typer.Option(help="The executed solution; left out, that of its lesson")
    ] = None,
    cell_seconds: Annotated[float, typer.Option(help="Time limit of one cell")] = 30,
    seconds: Annotated[float, typer.Option(help="Time limit of everything")] = 300,
) -> None:
    """Grade a notebook: exit status 0 for all points, 1 for points lost, 2 if not gradable."""
    _need_extra()
    from .grading.grade_notebook import grade_own_notebook
    from .grading.read_submission import NotGradable
    from .grading.result import grade_as_text

    for folder in notebook.absolute().parents[:2]:  # the course's, or what a homework came with
        use_data_of(folder)
    try:
        result = grade_own_notebook(notebook, reference, cell_seconds, seconds)
    except NotGradable as error:
        typer.echo(f"cannot grade: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(2) from None
    typer.echo(grade_as_text(result))
    raise typer.Exit(0 if result.points == result.max_points else 1)


@app.command()
def grade(
    submissions: Annotated[
        Path, typer.Argument(help="The folder with NAME.ipynb or NAME/LESSON.ipynb of each student")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the reports; the same one goes on")],
    lesson: Annotated[
        str, typer.Option(help="A lesson's number or name, such as 03, if there are several")
    ] = "all",
    jobs: Annotated[int, typer.Option(min=1, help="Submissions at a time")] = _usable_cpus(),
    seed: Annotated[
        int | None, typer.Option(min=0, help="Draws the checks' inputs; random, and kept in --out")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Grade this student alone, again (may be repeated)")
    ] = None,
    part: Annotated[
        str, typer.Option(help="Grade a part of the class alone, such as 3/40 (see GRADING.md)")
    ] = "",
    unsafe: Annotated[bool, typer.Option("--unsafe", help="Go without a sandbox")] = False,
    gpu: Annotated[bool, typer.Option("--gpu", help="Let the GPU into the sandbox")] = False,
    seconds: Annotated[float, typer.Option(min=1, help="Time limit of one submission")] = 300,
    cell_seconds: Annotated[float, typer.Option(min=1, help="Time limit of one cell")] = 30,
) -> None:
    """Grade a class: exit status 0, or 1 if something could not be graded, 2 if nothing was tried.

    Ctrl-C stops (exit status 130); the same command goes on where it was.
    """
    _need_extra()
    from .roster.folder_lock import ClassError
    from .roster.run_class import GradingOptions, grade_class
    from .roster.terminal import UNSAFE_WARNING, closing_message
    from .sandbox.bubblewrap import SandboxMissing

    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # names in any script
    with _refused(LessonError):
        source = find_lesson(lesson)
    if unsafe:
        typer.echo(UNSAFE_WARNING)
    options = GradingOptions(jobs, not unsafe, gpu, seconds, cell_seconds)
    try:
        result = grade_class(submissions, source, out, options, seed, only or (), typer.echo, part)
    except SandboxMissing as error:
        typer.echo(f"no sandbox: {error}\nNothing was graded. --unsafe goes without.", err=True)
        raise typer.Exit(2) from None
    except (ClassError, LessonError) as error:
        typer.echo(f"cannot grade: {error}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo("interrupted before anything was graded; the same command goes on", err=True)
        raise typer.Exit(130) from None
    text, code = closing_message(result)
    typer.echo(text)
    if result.thread_stuck:  # waiting for its thread could take as long as a submission may
        sys.stdout.flush()
        os._exit(code)
    raise typer.Exit(code)


@app.command()
def board(
    report: Annotated[Path, typer.Argument(help="The folder of reports of `tinykd grade`")],
    measure: Annotated[
        str, typer.Option(help="A measured number, or a part of its name, if there are several")
    ] = "",
) -> None:
    """Rank a class by one number that a check has measured: here, and in REPORT/board.html."""
    _need_extra()
    from .reports.board import NoBoard, board_text, write_board
    from .reports.board import board as board_of

    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # names in any script
    with _refused(NoBoard, "no board: "):
        found = board_of(report, measure)
    typer.echo(board_text(found))
    typer.echo(f"\nas a page: {write_board(found, report)}")


@app.command()
def data() -> None:
    """Find MNIST, or fetch it, and verify its checksums."""
    from ..data import load_mnist

    for split in ("train", "test"):
        images, _ = load_mnist(split)
        typer.echo(f"MNIST {split}: {len(images):,} images, checksum right")


@contextlib.contextmanager
def _refused(error: type[Exception], begin: str = "") -> Iterator[None]:
    """What cannot be done is said in the error's words, with exit status 2."""
    try:
        yield
    except error as words:
        typer.echo(f"{begin}{words}", err=True)
        raise typer.Exit(2) from None


def _need_extra() -> None:
    from importlib.util import find_spec

    missing = [
        name for name in ("nbval", "jupytext", "nbclient", "jinja2") if find_spec(name) is None
    ]
    if missing:
        typer.echo(f"{', '.join(missing)} not installed: pip install 'tinykd[grade]'", err=True)
        raise typer.Exit(2)


if __name__ == "__main__":
    app()
