"""Kernels and graders that come from fork servers."""

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import uuid
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import zmq
from jupyter_client import BlockingKernelClient

from . import sandbox
from .lesson import ONE_THREAD, environment
from .sandbox import SOCKETS, WORK

PORTS = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")
MOST_BYTES = 16 << 20  # of one message


KERNEL = """
tinykd tinykd.plots tinykd.classroom.checks matplotlib.pyplot matplotlib_inline.backend_inline
ipykernel.kernelapp ipykernel.zmqshell ipykernel.debugger IPython.core.completer
IPython.core.completerlib IPython.core.debugger IPython.core.oinspect
IPython.extensions.storemagic tornado.platform.asyncio tornado.queues encodings.idna mimetypes
"""
PYTEST = "pytest nbval.plugin tinykd.classroom.plugin zmq"
ENV = ("PATH", "HOME", "LANG", "PYTHONPATH", "LD_LIBRARY_PATH", "TINYKD_DATA", "TMPDIR")


class SandboxMissing(RuntimeError):
    """No sandbox can be made here; the text says why and what to install."""


class Kernels:
    """The fork servers of a class: one for kernels, which import `modules` too, one for pytest.

    As a context manager. `about` is what the reports say: "bubblewrap 0.8.0" or "none: --unsafe".
    Raises SandboxMissing where `safe` is asked for and bubblewrap does not work.
    """

    def __init__(self, safe: bool = True, gpu: bool = False, modules: Iterable[str] = ()):
        if safe and (reason := sandbox.missing()):
            raise SandboxMissing(reason)
        self.about = sandbox.version() if safe else "none: --unsafe"
        self._bwrap = sandbox.command(gpu) if safe else []
        self._modules = list(dict.fromkeys([*KERNEL.split(), *modules]))
        self._servers: list[subprocess.Popen] = []
        cores = sorted(os.sched_getaffinity(0)) if safe else [-1]
        self._cores = deque(cores * 1000)

    def __enter__(self) -> "Kernels":
        self._folder = tempfile.TemporaryDirectory(prefix="tinykd-", ignore_cleanup_errors=True)
        for name, modules in (("kernel", self._modules), ("pytest", PYTEST.split())):
            self._servers.append(self._serve(name, modules))
        for server in self._servers:
            if not server.stdout or server.stdout.readline() != b"ready\n":
                self.__exit__()
                raise SandboxMissing("a fork server did not start; its words are above")
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.communicate()  # it ends with its stdin, and so does all that it has forked
        self._folder.cleanup()

    def _serve(self, name: str, modules: list[str]) -> subprocess.Popen:
        env = {key: value for key, value in environment().items() if key in ENV}
        env |= ONE_THREAD | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
        env |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "tinykd.classroom.forks", self._socket(name), *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
            start_new_session=True,  # Ctrl-C is for whoever asks
        )

    def _socket(self, name: str) -> str:
        return str(Path(self._folder.name, name))

    def pytest(self, args: list[str], folder: Path, seconds: float) -> None:
        """Run pytest in `folder` until it ends or the time is up; its kernels end with it."""
        args = [*args, f"--tinykd-server={self._socket('kernel')}"]
        args += [f"--tinykd-bwrap={json.dumps(self._bwrap)}"]
        core = self._cores.popleft()  # one submission's processes cannot slow another's
        args += [f"--tinykd-core={core}"]
        request = {"do": "pytest", "args": args, "cwd": str(folder)}
        try:
            with ask(self._socket("pytest"), request) as connection:
                connection.settimeout(seconds)
                with suppress(TimeoutError):
                    connection.recv(1)
        finally:
            self._cores.appendleft(core)  # the next submission takes a core that has become free


class ForkedKernel:
    """A kernel that ends with this object's connection to the server; nbval calls it `km`."""

    def __init__(self, server: str, bwrap: list[str], folder: str, core: int = -1):
        home, sockets = (WORK, SOCKETS) if bwrap else (folder, folder)
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
        self.socket = ask(server, request | {"env": env, "core": core})
        answer = self.socket.makefile("r").readline()
        if not answer:
            raise RuntimeError("the kernel did not start")
        self.connection = connection | {"ip": json.loads(answer)["root"] + connection["ip"]}

    def client(self) -> BlockingKernelClient:
        """Connected channels; a lost connection stays lost, and a message has a bounded size."""
        context = zmq.Context()
        context.setsockopt(zmq.RECONNECT_IVL, -1)  # a socket's file may have become something else
        context.setsockopt(zmq.MAXMSGSIZE, MOST_BYTES)
        self._client = BlockingKernelClient(context=context)
        self._client.load_connection_info(self.connection)  # type: ignore[arg-type]
        # All at once: a late one would follow whatever its socket has been replaced by.
        self._client.start_channels(hb=False)
        return self._client

    def is_alive(self) -> bool:
        return self.socket.fileno() >= 0 and not select.select([self.socket], [], [], 0)[0]

    def interrupt_kernel(self) -> None:
        self._client.control_channel.send(self._client.session.msg("interrupt_request", {}))

    def shutdown_kernel(self, now: bool = True) -> None:
        self.socket.close()


def ask(server: str, request: dict[str, Any]) -> socket.socket:
    """A connection to the fork server behind the Unix socket `server`, with the request sent."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(server)
    connection.sendall(json.dumps(request).encode() + b"\n")
    return connection
