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
import ctypes
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
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any

# What the interpreter and libraries read when they start. The rest of a caller's environment goes with each task.
_READ_AT_THE_START = ("PYTHON", "LD_", "DYLD_", "LANG", "LC_", "NPY_", "OMP_", "OPENBLAS_", "MKL_")
_LEAVE_S = 0.5
_FORKED = b"+"


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
            The exit code; that of the server if it died, 1 where it could fork none; negative for a signal, as
            `subprocess.Popen.returncode`.

        Raises:
            TimeoutError: It took longer; it has ended now.
        """
        self._close_input()
        if self._code is None:
            try:
                self._code = self._wait(timeout_s)
            except BaseException:
                self.close()
                raise
        return self._code

    def kill(self) -> None:
        """End it, without waiting."""
        self._kill()
        self._close_input()

    def close(self) -> None:
        """End it; one that has begun has ended then."""
        self.kill()
        if self._code is None:
            self._code = self._killed()

    @abstractmethod
    def _wait(self, timeout_s: float | None) -> int:
        """Return its exit code, or raise TimeoutError."""

    @abstractmethod
    def _kill(self) -> None:
        """Kill it, if it runs."""

    @abstractmethod
    def _killed(self) -> int:
        """Return its exit code, soon, as it was killed."""

    def _close_input(self) -> None:
        with contextlib.suppress(BrokenPipeError):  # It ends, or has ended, without reading all.
            self.stdin.close()


class _Server:
    """The process of a server.

    Attributes:
        process: The process.
        has_forked: Whether a child of it was seen. Before that it imports, and may die of it.
    """

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.has_forked = False


class _ForkedChild(Child):
    """A child of a server, which reports the fork and the exit code to a socket."""

    def __init__(self, stdin: IO[bytes], stdout: IO[bytes] | None, status: socket.socket, server: _Server) -> None:
        super().__init__(stdin, stdout)
        self._status = status
        self._server = server
        self._reported = b""

    def _wait(self, timeout_s: float | None) -> int:
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        with contextlib.suppress(ConnectionResetError):
            while True:
                if deadline_s is not None:
                    self._status.settimeout(max(deadline_s - time.monotonic(), 1e-3))
                part = self._status.recv(16)
                if not part:
                    break
                self._reported += part
                self._server.has_forked = True
        self._status.close()
        code = self._reported.removeprefix(_FORKED)
        if code:
            return int(code)
        try:
            return self._server.process.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:
            return 1

    def _kill(self) -> None:
        with contextlib.suppress(OSError):  # It has ended, and the socket with it.
            self._status.shutdown(socket.SHUT_WR)

    def _killed(self) -> int:
        self._status.settimeout(0)
        with contextlib.suppress(OSError):
            self._reported += self._status.recv(16)
        if self._reported:
            self._status.settimeout(None)
            return self._wait(None)
        # The server still imports, and will kill what it forks for this.
        self._status.close()
        return -signal.SIGKILL


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

    def _killed(self) -> int:
        return self._process.wait()


class ForkServer:
    """Starts its process with the first child, and another where what a process reads at its start has changed.

    Threads may share it. A fork of the caller has a server of its own.

    Args:
        loads: The modules that are imported first; one that cannot be imported fails in the children that need it.
        forks: Whether children are forks of a server, rather than processes that begin anew.
    """

    def __init__(self, *loads: str, forks: bool = sys.platform == "linux") -> None:
        self._forks = forks
        self._loads = loads
        if forks:
            self._forget()
            os.register_at_fork(after_in_child=self._forget)
            atexit.register(self._end)

    def _forget(self) -> None:
        """Begin without a process, as in a fork of the caller: it must not keep the caller's alive."""
        self._lock = threading.Lock()
        self._servers: list[_Server] = []  # Of which the last one takes requests.
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

        Raises:
            OSError: There are no more files or processes to be had.
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
                # It may have died, which the child's end will tell.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    socket.send_fds(self._requests, [b"\n"], streams)
        with contextlib.suppress(OSError):
            status.sendall(json.dumps(task).encode() + b"\n")
        return _ForkedChild(stdin, output, status, server)

    def _server(self, environment: dict[str, str]) -> _Server:
        """Return the server that `self._requests` leads to."""
        read = {name: value for name, value in environment.items() if name.startswith(_READ_AT_THE_START)}
        start = (sys.executable, read)
        running = [server for server in self._servers if server.process.poll() is None]
        if start != self._start or running[-1:] != self._servers[-1:]:
            # One that has died of an import would die of it again.
            died = any(not server.has_forked for server in self._servers if server not in running)
            loads = () if died else self._loads
            requests, theirs = socket.socketpair()
            with theirs:
                quiet = subprocess.DEVNULL
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", __name__, *loads],
                    stdin=theirs.fileno(),
                    stdout=quiet,
                    stderr=quiet,
                    env=environment,
                    cwd="/",
                )
            running.append(_Server(process))
            self._requests.close()  # An earlier server ends after its last child.
            self._requests, self._start = requests, start
        self._servers = running
        return self._servers[-1]

    def _end(self) -> None:
        self._requests.close()
        for server in self._servers:
            try:
                server.process.wait(_LEAVE_S)
            except subprocess.TimeoutExpired:  # It imports, or a child runs, which ends with it.
                server.process.kill()
                server.process.wait()


def _serve(requests: socket.socket, loads: Sequence[str]) -> dict[str, Any] | None:
    """Fork a child for each request, until there is no caller and no child any more.

    Returns:
        In each child its task; in the server None.
    """
    # Ctrl-C is for the caller; whether it gives up its children is its own business.
    on_interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
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
            try:
                child = os.fork()
            except OSError:  # No more processes: the caller is told by the end of the socket.
                line = b""
        if line.endswith(b"\n"):
            if child == 0:
                _end_with_the_server()
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, on_interrupt)
                signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
                for own in (requests, woken, wake, status, *children.values()):
                    own.close()
                for number, stream in enumerate(streams):
                    os.dup2(stream, number)
                    os.close(stream)
                os.chdir(task["folder"])
                _change_environment(environment, task["environment"])
                return task
            children[child] = status
            with contextlib.suppress(OSError):
                status.send(_FORKED)
        else:
            status.close()
        for stream in streams:
            os.close(stream)
    return None


def _end_with_the_server() -> None:
    """Let the system kill this child when the server dies, as nobody else could."""
    die_with_parent = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
    ctypes.CDLL(None).prctl(die_with_parent, signal.SIGKILL)


def _load(module: str) -> None:
    with contextlib.suppress(Exception, SystemExit):  # The child will raise it again, where it is heard.
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
