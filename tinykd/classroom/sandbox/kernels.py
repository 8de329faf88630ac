"""Kernels and pytest runs that come from fork servers."""

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import zmq
from jupyter_client import BlockingKernelClient

from ..child_environment import ONE_THREAD, child_environment
from . import bubblewrap
from .bubblewrap import SOCKET_FOLDER, WORK_FOLDER, SandboxMissing

PORTS = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")
MAX_MESSAGE_BYTES = 16 << 20
# What the servers import before they fork, and which variables they have.
KERNEL_MODULES = """
tinykd tinykd.plots tinykd.classroom.checks tinykd.classroom.grading.leftovers
matplotlib.pyplot matplotlib_inline.backend_inline ipykernel.kernelapp ipykernel.zmqshell
ipykernel.debugger IPython.core.completer IPython.core.completerlib IPython.core.debugger
IPython.core.oinspect IPython.extensions.storemagic tornado.platform.asyncio tornado.queues
encodings.idna mimetypes
"""
VARIABLES = ("PATH", "HOME", "LANG", "PYTHONPATH", "LD_LIBRARY_PATH", "TINYKD_DATA", "TMPDIR")


class ForkServers:
    """The two fork servers of a class: one for kernels, one for pytest. A context manager.

    They import `kernel_modules` and `pytest_modules` beforehand. `description` is what the reports
    say: "bubblewrap 0.8.0" or "none: --unsafe". Raises SandboxMissing where `sandboxed` is asked
    for and bubblewrap does not work.
    """

    def __init__(
        self,
        sandboxed: bool = True,
        gpu: bool = False,
        kernel_modules: Iterable[str] = (),
        pytest_modules: Iterable[str] = (),
    ):
        if sandboxed and (reason := bubblewrap.why_unavailable()):
            raise SandboxMissing(reason)
        self.description = bubblewrap.version() if sandboxed else "none: --unsafe"
        self.bwrap_command = bubblewrap.command(gpu) if sandboxed else []
        self._modules = {
            "kernel": dict.fromkeys([*KERNEL_MODULES.split(), *kernel_modules]),
            "pytest": dict.fromkeys(["pytest", *pytest_modules]),
        }
        self._servers: list[subprocess.Popen] = []
        cores = sorted(os.sched_getaffinity(0)) if sandboxed else [-1]
        self._cores = deque(cores * 1000)

    def __enter__(self) -> "ForkServers":
        self._folder = tempfile.TemporaryDirectory(prefix="tinykd-", ignore_cleanup_errors=True)
        for name in self._modules:
            self._servers.append(self._start(name))
        for server in self._servers:
            if not server.stdout or server.stdout.readline() != b"ready\n":
                self.__exit__()
                raise SandboxMissing("a fork server did not start; what it printed is above")
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.communicate()  # it ends with its stdin, and so does all that it has forked
        self._folder.cleanup()

    def _start(self, name: str) -> subprocess.Popen:
        env = {key: value for key, value in child_environment().items() if key in VARIABLES}
        env |= ONE_THREAD | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
        env |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        module = "tinykd.classroom.sandbox.fork_server"
        return subprocess.Popen(
            [sys.executable, "-P", "-m", module, self._socket(name), *self._modules[name]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
            start_new_session=True,  # Ctrl-C is for whoever asks
        )

    def _socket(self, name: str) -> str:
        return str(Path(self._folder.name, name))

    @property
    def folder(self) -> str:
        """For files of a run; it goes with the servers, also where this process is killed."""
        return self._folder.name

    @property
    def kernel_socket(self) -> str:
        """The Unix socket of the server that forks kernels."""
        return self._socket("kernel")

    @contextmanager
    def core(self) -> Iterator[int]:
        """A processor for one submission's kernels, so that they cannot slow another's; -1: any."""
        core = self._cores.popleft()
        try:
            yield core
        finally:
            self._cores.appendleft(core)  # the next submission takes a core that has become free

    def pytest(self, args: list[str], folder: Path, seconds: float) -> None:
        """Run pytest in `folder` until it ends or the time is up; its kernels end with it."""
        request = {"do": "pytest", "args": args, "cwd": str(folder)}
        with connect(self._socket("pytest"), request) as connection:
            connection.settimeout(seconds)
            with suppress(TimeoutError):
                connection.recv(1)


class ForkedKernel:
    """A kernel that ends with this object's connection to the server; nbval calls it `km`.

    Raises RuntimeError where the server could not start one.
    """

    def __init__(self, server: str, bwrap: list[str], folder: str, core: int = -1):
        home, sockets = (WORK_FOLDER, SOCKET_FOLDER) if bwrap else (folder, folder)
        connection: dict[str, Any] = {
            "ip": f"{sockets}/kernel",
            "transport": "ipc",
            "key": uuid.uuid4().hex,
        }
        connection |= {"signature_scheme": "hmac-sha256"} | {p: i for i, p in enumerate(PORTS, 1)}
        request = {"do": "kernel", "bwrap": bwrap, "cwd": folder, "connection": connection}
        env = {key: value for key, value in os.environ.items() if key.startswith("TINYKD_")}
        env |= ONE_THREAD | {"HOME": home, "PATH": "/usr/bin:/bin"}
        env |= {"MPLBACKEND": os.environ["MPLBACKEND"], "LANG": "C.UTF-8"}
        self.socket = connect(server, request | {"env": env, "core": core})
        answer = self.socket.makefile("r").readline()
        if not answer:
            raise RuntimeError("the kernel did not start")
        self.connection = connection | {"ip": json.loads(answer)["root"] + connection["ip"]}

    def client(self) -> BlockingKernelClient:
        """Connected channels; a lost connection stays lost, and a message has a bounded size."""
        context = zmq.Context()
        context.setsockopt(zmq.RECONNECT_IVL, -1)  # a socket's file may have become something else
        context.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        self._client = BlockingKernelClient(context=context)
        self._client.load_connection_info(self.connection)  # type: ignore[arg-type]
        # All at once: a late one would follow whatever its socket has been replaced by.
        self._client.start_channels(hb=False)
        return self._client

    def is_alive(self) -> bool:
        """Whether the connection is open, and the server has not closed its end."""
        return self.socket.fileno() >= 0 and not select.select([self.socket], [], [], 0)[0]

    def interrupt_kernel(self) -> None:
        """Ask the kernel to stop what it runs."""
        self._client.control_channel.send(self._client.session.msg("interrupt_request", {}))

    def shutdown_kernel(self, now: bool = True) -> None:
        """Close the connection: the server ends the kernel, and all that it has started."""
        self.socket.close()


def connect(server: str, request: dict[str, Any]) -> socket.socket:
    """A connection to the fork server behind the Unix socket `server`, with the request sent."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(server)
    connection.sendall(json.dumps(request).encode() + b"\n")
    return connection
