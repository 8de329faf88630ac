"""nbval's kernel, guarded: its death is noticed at once, its output is bounded."""

import math
import time
from queue import Empty
from typing import Any, ClassVar

from nbval.kernel import RunningKernel

from ..sandbox.kernels import ForkedKernel

GRACE_SECONDS = 2  # for outputs after a reply, and for an answer to an interrupt
KERNEL_ENDED = "your code ended the kernel"
POLL_SECONDS = 0.5  # between two looks at whether the kernel lives


class KernelDied(Exception):
    """The kernel's process has ended."""


class GuardedKernel(RunningKernel):
    """nbval's kernel in a folder of its own; from a fork server where there is one.

    nbval makes it, so what it needs to know is set on the class.
    """

    folder = ""
    max_bytes = 0
    server = ""
    core = -1
    bwrap: ClassVar[list[str]] = []

    def __init__(self, kernel_name: str, cwd: str | None = None, startup_timeout: float = 60):
        self.reply_status = ""
        self.seen_bytes = 0
        self.deadline = math.inf
        if self.server:
            self.km = ForkedKernel(self.server, self.bwrap, self.folder, self.core)
            self.kc = self.km.client()
            self._ensure_iopub_up()
        else:
            super().__init__(kernel_name, cwd=self.folder, startup_timeout=startup_timeout)

    def execute_cell_input(self, cell_input: str, allow_stdin: bool | None = None) -> str:
        """Send a cell; what it publishes is counted from here on. Returns the message's id."""
        self.reply_status, self.seen_bytes = "", 0
        return super().execute_cell_input(cell_input, allow_stdin)

    def get_message(self, stream: str, timeout: float | None = None) -> dict[str, Any]:
        """The next message of "iopub" or of the shell.

        Raises Empty where none comes within `timeout` seconds, or the cell's time is up; KernelDied
        where a cell has said more than `max_bytes`: its kernel is ended.
        """
        if stream == "iopub" and time.monotonic() > self.deadline:
            raise Empty
        get = self.kc.get_iopub_msg if stream == "iopub" else self.kc.get_shell_msg
        message = get(timeout=timeout)  # nbval's own writes each into a log that nobody reads
        self.seen_bytes += len(str(message)) + sum(map(len, message["buffers"]))
        if self.seen_bytes > self.max_bytes:
            self.km.shutdown_kernel(now=True)
            raise KernelDied(f"more than {self.max_bytes:,} bytes of output")
        return message

    def await_reply(self, msg_id: str, timeout: float | None = None) -> None:
        """Wait for the reply to a cell, and keep its status.

        Raises Empty after `timeout` seconds (60 where none is given), KernelDied where the kernel
        has ended.
        """
        deadline = time.monotonic() + (timeout or 60)
        self.deadline = deadline + 2 * GRACE_SECONDS  # for what it publishes
        while time.monotonic() < deadline:
            try:
                message = self.get_message("shell", timeout=POLL_SECONDS)
            except Empty:
                if not self.is_alive():
                    raise KernelDied(KERNEL_ENDED) from None
                continue
            if message["parent_header"].get("msg_id") == msg_id:
                self.reply_status = message["content"]["status"]
                return
        raise Empty
