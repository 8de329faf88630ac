"""A process that has imported everything once, and forks for each piece of work.

Starting a kernel takes a second, importing torch another; a fork takes milliseconds. A server holds
nothing but imported modules: no expected value, no hidden check, nothing of another submission.
One serves kernels, in a sandbox or not, one pytest. Each piece of work belongs to one connection
and ends with it, so nothing outlives whoever asked for it.

    python -m tinykd.classroom.sandbox.fork_server SOCKET MODULE...
"""

import gc
import importlib
import json
import os
import resource
import select
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from .bubblewrap import Sandbox, enter

CHECK_SECONDS = 0.25  # between two looks at a submission's memory
PYTEST_MEMORY, PYTEST_FILE = 2 << 30, 64 << 20  # limits, in bytes


def serve(path: str, modules: list[str]) -> None:
    """Import `modules`, then fork for every connection to the socket `path` until stdin ends.

    Then the folder of `path` goes: it holds hidden checks, and who made it may have been killed.
    """
    sys.modules["debugpy"] = None  # type: ignore[assignment]  # or every kernel would load it
    for name in modules:
        with suppress(ImportError):  # whoever needs it will say so
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a fork's garbage collection would copy every page it looks at
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # handlers leave no zombies
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asked
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if listener not in ready:
                break
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _run_and_exit(_handle, connection)
            connection.close()
    with suppress(ChildProcessError):  # comes when the last handler has ended
        os.waitpid(-1, 0)
    shutil.rmtree(Path(path).parent, ignore_errors=True)


def _run_and_exit(work: Callable[..., int | None], *arguments: Any) -> NoReturn:
    """Do the work and end this fork, without the exit handlers of the process it came from."""
    code = 1
    try:
        code = work(*arguments) or 0
    except BrokenPipeError:
        pass  # whoever asked has gone
    except BaseException as error:
        print(f"tinykd fork server: {type(error).__name__}: {error}", file=sys.stderr)
    finally:
        with suppress(Exception):
            sys.stderr.flush()
        os._exit(code)


def _handle(connection: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request = json.loads(connection.makefile("r").readline())
    if request["do"] == "pytest":
        child = os.fork()
        if child == 0:
            _run_and_exit(_run_pytest, request)
        _watch(connection, child, None)
    else:
        sandbox = Sandbox(request["bwrap"]) if request["bwrap"] else None
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            _run_and_exit(_enter_and_run_kernel, sandbox, request, writing)
        os.close(writing)
        if os.read(reading, 1):
            root = sandbox.root if sandbox else ""
            connection.sendall(json.dumps({"root": root}).encode() + b"\n")
            _watch(connection, child, sandbox)
        elif sandbox:
            sandbox.kill()


def _watch(connection: socket.socket, child: int, sandbox: Sandbox | None) -> None:
    """Until the child ends, the connection does, or the server's stdin; then kill what is left."""
    watched = [connection.fileno(), os.pidfd_open(child), sys.stdin.fileno()]
    try:
        while not select.select(watched, [], [], CHECK_SECONDS)[0]:
            if sandbox and sandbox.over_limits():
                break
    finally:
        if sandbox:
            sandbox.kill()
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)


def _run_pytest(request: dict[str, Any]) -> int:
    import pytest

    os.setsid()
    os.chdir(request["cwd"])
    Path("/proc/self/oom_score_adj").write_text("1000")  # what it holds, a submission has sent
    resource.setrlimit(resource.RLIMIT_AS, (PYTEST_MEMORY, PYTEST_MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (PYTEST_FILE, PYTEST_FILE))
    _redirect_output("pytest.log")
    return int(pytest.main(request["args"]))


def _redirect_output(path: str) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for number in (1, 2):
        os.dup2(log, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


def _enter_and_run_kernel(sandbox: Sandbox | None, request: dict[str, Any], ready: int) -> int:
    """Enter the sandbox, if there is one, and be a kernel; a byte to `ready` says so."""
    os.setsid()
    os.closerange(3, ready)
    os.closerange(ready + 1, 1 << 16)
    if request["core"] >= 0:
        os.sched_setaffinity(0, {request["core"]})
    if sandbox and (inside := enter(sandbox)):
        os.close(ready)
        return os.waitstatus_to_exitcode(os.waitpid(inside, 0)[1])
    if sandbox:
        os.environ.clear()
    else:
        os.chdir(request["cwd"])
    os.environ.update(request["env"])
    _redirect_output(os.devnull)
    _run_kernel(request["connection"], ready)
    return 0


def _run_kernel(connection: dict[str, Any], ready: int) -> None:
    """Become ipykernel, on the sockets that `connection` names (Jupyter's connection file)."""
    from ipykernel.kernelapp import IPKernelApp

    os.environ["IPYTHONDIR"] = f"{connection['ip']}-ipython"
    file = Path(f"{connection['ip']}.json")
    file.write_text(json.dumps(connection))
    app = IPKernelApp.instance(connection_file=str(file), log_level=50)
    app.initialize(["--HistoryManager.enabled=False"])
    assert app.shell
    app.shell.system = app.shell.system_raw  # a sandbox has no terminals for `!command`
    app.shell.ask_exit = lambda: None  # a forgotten exit() would end it some cells later
    os.write(ready, b"+")
    os.close(ready)
    app.start()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
