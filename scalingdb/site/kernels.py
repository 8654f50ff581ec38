"""Kernels that run the notebooks of the site: this Python, forked where the system can do so without harm."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import traitlets
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

__all__ = ["KernelManager", "kernels"]


class _ThisInterpreter(KernelSpecManager):
    """Knows one kernel: this Python. An installed kernel called python3 may be another one."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=CRITICAL"],
            display_name="Python",
            language="python",
        )


class _Forked:
    """A kernel that :mod:`scalingdb.site.kernel_parent` has forked, with what jupyter_client asks of a process."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def poll(self) -> int | None:
        """None while it runs. How it ended is not known: its parent lets it go."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return 0
        return None

    def wait(self, timeout: float | None = None) -> int:
        end = time.monotonic() + (float("inf") if timeout is None else timeout)
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("kernel", timeout or 0)
            time.sleep(0.02)
        return 0

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class _Parent:
    """The process that forks kernels; it begins with the first of them."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = dict(env)
        self._requests = asyncio.Lock()
        self._process: subprocess.Popen[str] | None = None

    async def fork(self, argv: Sequence[str], env: Mapping[str, str], cwd: str) -> _Forked | None:
        """A new kernel; None where none can be forked."""
        async with self._requests:
            answer = await asyncio.to_thread(self._ask, json.dumps({"argv": argv, "env": dict(env), "cwd": cwd}))
        return _Forked(int(answer)) if answer else None

    def _ask(self, request: str) -> str:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "scalingdb.site.kernel_parent"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=self._env,
                start_new_session=True,  # an interrupt at the keyboard is not for it
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{request}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return ""
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


class KernelManager(AsyncKernelManager):
    """Starts that kernel. The client makes and owns it, so that it also stops it, whatever happens."""

    kernel_parent: _Parent | None = None

    @traitlets.default("kernel_spec_manager")
    def _this_interpreter(self) -> KernelSpecManager:
        return _ThisInterpreter(parent=self)

    async def _async_launch_kernel(self, kernel_cmd: list[str], **options: Any) -> None:
        place: Any = self.provisioner
        forked = None
        if self.kernel_parent is not None:
            argv = kernel_cmd[kernel_cmd.index("ipykernel_launcher") + 1 :]
            forked = await self.kernel_parent.fork(argv, options["env"], str(options["cwd"]))
        if forked is None:
            await super()._async_launch_kernel(kernel_cmd, **options)
            return
        place.process, place.pid, place.pgid = forked, forked.pid, forked.pid
        self._reconcile_connection_info(place.connection_info)

    _launch_kernel = _async_launch_kernel


@contextmanager
def kernels(env: Mapping[str, str]) -> Iterator[type[KernelManager]]:
    """A class of kernel managers whose kernels are forked from one process with the environment `env`.

    What takes long to import is then imported once. Elsewhere than on Linux every kernel is started on its own.
    """
    if sys.platform != "linux":
        yield KernelManager
        return
    parent = _Parent(env)
    try:
        yield type("ForkedKernelManager", (KernelManager,), {"kernel_parent": parent})
    finally:
        parent.close()
