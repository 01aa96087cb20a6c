"""A fork server: a Python process that has imported what takes long, and forks a child for each task.

Foreign C++ may crash and foreign Python keeps state, so each of their tasks has a process of its own. It would spend
most of its time on imports, which the server does once. The caller is never forked, for it has threads: the server is
a program of its own, `python -m tinyedge.fork_server MODULE...`, with a socket as its standard input. That of
`multiprocessing` has one environment for all, and its children import the caller's script and have no streams.

A request is one byte with four file descriptors: the child's standard streams and a socket of this child. Through it
the task comes, a JSON object on a line, and the exit code goes. Where it closes early, the other side has gone: a child
without a caller is killed, and a server that died is taken for a child that did.

At a fork the server has imported modules and run nothing of them. Checked on Linux: after onnx2tf with ONNX Runtime,
TFLite Micro and LiteRT its only threads are OpenBLAS's, which it ends before a fork and starts when it needs them. On
macOS, where system libraries do not outlive a fork, and on Windows, which has none, each child is a new interpreter.
"""

import atexit
import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any

# What the interpreter and libraries read when they start. The rest of a caller's environment goes with each task.
_READ_AT_THE_START = ("PYTHON", "LD_", "DYLD_", "LANG", "LC_", "NPY_", "OMP_", "OPENBLAS_", "MKL_")
_LEAVE_S = 0.5


class Child(ABC):
    """A process with pipes.

    Attributes:
        stdin: The pipe to its standard input.
        stdout: That from its standard output; None where the null device takes it.
    """

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes] | None) -> None:
        self.stdin = stdin
        self.stdout = stdout
        self._code: int | None = None

    def wait(self, timeout_s: float | None = None) -> int:
        """Close its input and wait for its end; a wait that is interrupted or takes too long kills it.

        Returns:
            The exit code; that of the server if it died; negative for a signal, as `subprocess.Popen.returncode`.

        Raises:
            TimeoutError: It took longer; it has ended now.
        """
        self._close_input()
        if self._code is None:
            try:
                self._code = self._wait(timeout_s)
            except BaseException:
                self.kill()
                self.wait()
                raise
        return self._code

    def kill(self) -> None:
        """End it, without waiting."""
        self._kill()
        self._close_input()

    @abstractmethod
    def _wait(self, timeout_s: float | None) -> int:
        """Return its exit code, or raise TimeoutError."""

    @abstractmethod
    def _kill(self) -> None:
        """Kill it, if it runs."""

    def _close_input(self) -> None:
        with contextlib.suppress(BrokenPipeError):  # It ends, or has ended, without reading all.
            self.stdin.close()


class _ForkedChild(Child):
    """A child of a server, which reports its end to a socket."""

    def __init__(
        self, stdin: IO[bytes], stdout: IO[bytes] | None, status: socket.socket, server: "subprocess.Popen[bytes]"
    ) -> None:
        super().__init__(stdin, stdout)
        self._status = status
        self._server = server

    def _wait(self, timeout_s: float | None) -> int:
        code = b""
        self._status.settimeout(timeout_s)
        with contextlib.suppress(ConnectionResetError):
            code = self._status.recv(16)
        self._status.close()
        return int(code) if code else self._server.wait()

    def _kill(self) -> None:
        with contextlib.suppress(OSError):  # It has ended, and the socket with it.
            self._status.shutdown(socket.SHUT_WR)


class _FreshChild(Child):
    """A child of the caller."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        super().__init__(process.stdin, process.stdout)
        self._process = process

    def _wait(self, timeout_s: float | None) -> int:
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error

    def _kill(self) -> None:
        self._process.kill()


class ForkServer:
    """Starts its process with the first child, and another where what a process reads at its start has changed.

    Threads may share it. A fork of the caller has a server of its own.

    Args:
        loads: The modules that are imported first; one that cannot be imported fails in the children that need it.
        forks: Whether children are forks of a server, rather than processes that begin anew.
    """

    def __init__(self, *loads: str, forks: bool = sys.platform == "linux") -> None:
        self._forks = forks
        self._command = ("-P", "-m", __name__, *loads)
        if forks:
            self._forget()
            os.register_at_fork(after_in_child=self._forget)
            atexit.register(self._end)

    def _forget(self) -> None:
        """Begin without a process, as in a fork of the caller: it must not keep the caller's alive."""
        self._lock = threading.Lock()
        self._processes: list[subprocess.Popen[bytes]] = []  # Of which the last one takes requests.
        self._start: tuple[str, dict[str, str]] | None = None
        self._requests = socket.socket(socket.AF_UNIX)

    def start(
        self,
        module: str,
        arguments: Sequence[str],
        environment: dict[str, str],
        folder: Path,
        *,
        stdout: int = subprocess.DEVNULL,
        stderr: IO[bytes] | None = None,
    ) -> Child:
        """Run `python -m MODULE ARGUMENTS` in a child, as soon as the server has loaded its modules.

        Args:
            module: A module with a part for `__name__ == "__main__"`.
            arguments: What follows on its command line.
            environment: All of its environment.
            folder: Its working directory.
            stdout: `subprocess.PIPE` or `subprocess.DEVNULL`.
            stderr: A file; the null device if None.
        """
        if not self._forks:
            command = [sys.executable, "-P", "-m", module, *arguments]
            errors = subprocess.DEVNULL if stderr is None else stderr
            return _FreshChild(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=stdout, stderr=errors, env=environment, cwd=folder
                )
            )
        task = {
            "module": module,
            "arguments": [*arguments],
            "environment": environment,
            "folder": str(folder),
        }
        with contextlib.ExitStack() as theirs:
            null = theirs.enter_context(Path(os.devnull).open("r+b", buffering=0))
            reading, writing = os.pipe()
            theirs.callback(os.close, reading)
            stdin, output, child_output = os.fdopen(writing, "wb"), None, null.fileno()
            if stdout == subprocess.PIPE:
                reading_output, child_output = os.pipe()
                theirs.callback(os.close, child_output)
                output = os.fdopen(reading_output, "rb")
            status, remote = socket.socketpair()
            theirs.enter_context(remote)
            streams = [reading, child_output, (null if stderr is None else stderr).fileno(), remote.fileno()]
            with self._lock:
                server = self._server(environment)
                with contextlib.suppress(OSError):  # The server has died, which the child's end will tell.
                    socket.send_fds(self._requests, [b"\n"], streams)
        with contextlib.suppress(OSError):
            status.sendall(json.dumps(task).encode() + b"\n")
        return _ForkedChild(stdin, output, status, server)

    def _server(self, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
        """Return the process of the server, which `self._requests` leads to."""
        read = {name: value for name, value in environment.items() if name.startswith(_READ_AT_THE_START)}
        start = (sys.executable, read)
        running = [process for process in self._processes if process.poll() is None]
        if start != self._start or running[-1:] != self._processes[-1:]:
            requests, theirs = socket.socketpair()
            with theirs:
                command, socket_in = [sys.executable, *self._command], theirs.fileno()
                quiet = subprocess.DEVNULL
                running.append(
                    subprocess.Popen(command, stdin=socket_in, stdout=quiet, stderr=quiet, env=environment, cwd="/")
                )
            self._requests.close()  # An earlier server ends after its last child.
            self._requests, self._start = requests, start
        self._processes = running
        return self._processes[-1]

    def _end(self) -> None:
        self._requests.close()
        for process in self._processes:
            # One that is busy will find that its caller has gone.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LEAVE_S)


def _serve(requests: socket.socket, loads: Sequence[str]) -> dict[str, Any] | None:
    """Fork a child for each request, until there is no caller and no child any more.

    Returns:
        In each child its task; in the server None.
    """
    # Ctrl-C is for the caller; whether it gives up its children is its own business.
    on_interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    environment = {**os.environ}
    for module in loads:
        _load(module)
    woken, wake = socket.socketpair()
    woken.setblocking(False)
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # Without a handler it wakes nobody.
    children: dict[int, socket.socket] = {}
    sources = [woken, requests]
    while requests in sources or children:
        ready, _, _ = select.select([*sources, *children.values()], [], [])
        if woken in ready:
            woken.recv(4096)
        for child, status in [*children.items()]:
            if status in ready:  # Its caller has gone, or wants its end.
                os.kill(child, signal.SIGKILL)
            ended, how = os.waitpid(child, 0 if status in ready else os.WNOHANG)
            if ended:
                with contextlib.suppress(OSError):
                    status.send(str(os.waitstatus_to_exitcode(how)).encode())
                children.pop(child).close()
        if requests not in ready:
            continue
        request, streams, _, _ = socket.recv_fds(requests, 1, 4)
        if not request:
            sources.remove(requests)
            continue
        status = socket.socket(fileno=streams.pop())
        with status.makefile("rb") as lines:
            line = lines.readline()
        if line.endswith(b"\n"):
            task: dict[str, Any] = json.loads(line)
            _load(task["module"])
            gc.freeze()  # Or the collector of each child would touch, and so copy, all that it shares with the server.
            child = os.fork()
            if child == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, on_interrupt)
                for own in (requests, woken, wake, status, *children.values()):
                    own.close()
                for number, stream in enumerate(streams):
                    os.dup2(stream, number)
                    os.close(stream)
                os.chdir(task["folder"])
                _change_environment(environment, task["environment"])
                return task
            children[child] = status
        for stream in streams:
            os.close(stream)
    return None


def _load(module: str) -> None:
    with contextlib.suppress(Exception):  # The child will raise it again, where it is heard.
        import_module(module)


def _change_environment(before: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Set what the task's environment has otherwise than the server's had; what imports have set stays."""
    for name in before.keys() - wanted.keys():
        os.environ.pop(name, None)
    os.environ.update({name: value for name, value in wanted.items() if before.get(name) != value})


def _main(*loads: str) -> None:
    task = _serve(socket.socket(fileno=os.dup(0)), loads)
    if task is not None:
        module = task["module"]
        sys.modules.pop(module, None)
        sys.argv = [module, *task["arguments"]]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    # As `multiprocessing` ends a fork: to take the copies of all modules apart would take longer than many a task.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    _main(*sys.argv[1:])
