"""A fork server's children are what processes of one's own are, and nothing is left when their caller has gone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tinyedge.fork_server import Child, ForkServer

ROOT = Path(__file__).resolve().parents[1]
# What takes long to import notes when it is; a task is a few lines of Python.
HEAVY = """
import pathlib
with (pathlib.Path(__file__).parent / "imports").open("a") as stream:
    stream.write("x")
state = []
"""
TASK = """
import os, pathlib, signal, sys, time
import heavy
if __name__ == "__main__":
    exec(sys.argv[1])
"""
SAY = "print(os.getppid(), os.getpid(), flush=True); "
BOTH_WAYS = pytest.mark.parametrize("forks", [True, False], ids=["fork", "fresh"])


@pytest.fixture
def begin(tmp_path: Path) -> Callable[..., Child]:
    """A function that has a server run code, in a folder with a module that is heavy."""
    (tmp_path / "heavy.py").write_text(HEAVY)
    (tmp_path / "task.py").write_text(TASK)

    def run(server: ForkServer, code: str, **environment: str) -> Child:
        surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)]), **environment}
        with (tmp_path / "stderr").open("wb") as stderr:
            return server.start("task", [code], surroundings, tmp_path, stdout=subprocess.PIPE, stderr=stderr)

    return run


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let processes be interrupted, which a shell's background jobs are not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def said(child: Child) -> list[int]:
    """The numbers of a line of output: of `SAY`, the ids of the child's parent and of the child."""
    assert child.stdout is not None
    return [int(word) for word in child.stdout.readline().split()]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def runs(process: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_what_is_heavy_is_imported_once_and_each_child_has_its_own_state(begin, tmp_path):
    server = ForkServer("heavy")
    for _ in range(3):
        assert begin(server, "heavy.state.append(1); sys.exit(len(heavy.state))").wait() == 1
    assert (tmp_path / "imports").read_text() == "x"
    fresh = ForkServer("heavy", forks=False)
    for _ in range(2):
        assert begin(fresh, "heavy.state.append(1); sys.exit(len(heavy.state))").wait() == 1
    assert (tmp_path / "imports").read_text() == "xxx"


@BOTH_WAYS
def test_every_kind_of_end_is_told_and_ends_no_other_child(begin, tmp_path, forks):
    server = ForkServer(forks=forks)
    other = begin(server, SAY + "sys.stdin.read()")
    (parent, _) = said(other)
    for code, end in [
        ("pass", 0),
        ("sys.exit(4)", 4),
        ("os._exit(77)", 77),
        ("os.abort()", -signal.SIGABRT),
        ("os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
    ]:
        assert begin(server, code).wait() == end
    assert begin(server, "raise ValueError('no such thing')").wait() == 1
    assert (tmp_path / "stderr").read_text().splitlines()[-1] == "ValueError: no such thing"
    assert begin(server, SAY).wait() == 0
    assert said(begin(server, SAY))[0] == parent
    assert other.wait() == 0


@BOTH_WAYS
def test_a_child_has_what_it_is_given(begin, tmp_path, forks):
    server = ForkServer(forks=forks)
    code = "print(len(sys.stdin.read()), os.environ.get('COLOUR'), os.environ.get('HOME'), os.getcwd(), len(sys.argv))"
    for colour in ("red", "green"):
        child = begin(server, code, COLOUR=colour, HOME=colour)
        child.stdin.write(b"x" * 100_000)
        assert child.wait() == 0
        assert child.stdout.read().decode().split() == ["100000", colour, colour, str(tmp_path), "2"]
    child = begin(server, code)
    assert child.wait() == 0
    assert child.stdout.read().decode().split()[1:3] == ["None", os.environ.get("HOME", "None")]


def test_what_is_missing_is_missed_by_the_child(begin, tmp_path):
    (tmp_path / "broken.py").write_text("raise ImportError('half installed')")
    server = ForkServer("broken")
    assert begin(server, "pass").wait() == 0
    assert begin(server, "import broken").wait() == 1
    assert (tmp_path / "stderr").read_text().splitlines()[-1] == "ImportError: half installed"


def test_a_wait_ends_while_the_server_imports(begin, tmp_path):
    (tmp_path / "slow.py").write_text(
        f"import pathlib\nwhile not pathlib.Path({str(tmp_path / 'go')!r}).exists(): pass"
    )
    server = ForkServer("slow")
    child = begin(server, "pathlib.Path('ran').touch()")
    with pytest.raises(TimeoutError):
        child.wait(0.2)
    begin(server, "pass").close()
    (tmp_path / "go").touch()
    assert begin(server, "pass").wait() == 0
    assert child.wait() == -signal.SIGKILL


def test_an_import_that_ends_the_server_is_left_out_afterwards(begin, tmp_path):
    (tmp_path / "deadly.py").write_text("import os\nos.abort()")
    (tmp_path / "leaving.py").write_text("raise SystemExit(3)")
    server = ForkServer("leaving", "deadly")
    assert begin(server, "pass").wait() == -signal.SIGABRT
    assert begin(server, "pass").wait() == 0
    assert begin(server, "import deadly").wait() == -signal.SIGABRT
    assert begin(server, "pass").wait() == 0


def test_a_caller_may_block_the_signal_of_children(begin):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    try:
        server = ForkServer()
        assert begin(server, "sys.exit(signal.SIGCHLD in signal.pthread_sigmask(0, ()))").wait(30) == 1
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@BOTH_WAYS
def test_a_child_that_takes_too_long_is_killed(begin, forks):
    server = ForkServer(forks=forks)
    child = begin(server, SAY + "time.sleep(600)")
    _, process = said(child)
    with pytest.raises(TimeoutError):
        child.wait(0.2)
    assert not Path(f"/proc/{process}").exists()
    assert child.wait() == -signal.SIGKILL
    assert begin(server, "pass").wait() == 0


def test_threads_have_children_at_once(begin):
    """Each waits for a sign of the other."""
    server = ForkServer()
    code = "pathlib.Path('{0}').touch()\nwhile not pathlib.Path('{1}').exists(): time.sleep(0.01)"
    with ThreadPoolExecutor() as pool:
        ends = [pool.submit(lambda names: begin(server, code.format(*names)).wait(60), names) for names in ("ab", "ba")]
        assert [end.result() for end in ends] == [0, 0]


def test_another_search_path_is_another_server_and_children_of_the_first_go_on(begin):
    server = ForkServer()
    first = begin(server, SAY + "sys.exit(len(sys.stdin.read()))")
    parent, _ = said(first)
    other, _ = said(begin(server, SAY, PYTHONHASHSEED="1"))
    assert other != parent
    assert said(begin(server, SAY, PYTHONHASHSEED="1", COLOUR="red"))[0] == other
    first.stdin.write(b"four")
    assert first.wait() == 4
    wait_until(lambda: not runs(parent))
    begin(server, "pass", PYTHONHASHSEED="1").wait()
    assert not Path(f"/proc/{parent}").exists()  # It is no zombie either.


def test_a_dead_server_is_replaced(begin):
    server = ForkServer()
    child = begin(server, SAY + "sys.stdin.read()")
    parent, process = said(child)
    os.kill(parent, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    wait_until(lambda: not runs(process))
    assert begin(server, "pass").wait() == 0


def test_an_interrupt_is_for_the_caller_and_its_children(begin, tmp_path, interruptible):
    server = ForkServer()
    child = begin(server, SAY + "time.sleep(600)")
    parent, process = said(child)
    for interrupted in (parent, process):
        os.kill(interrupted, signal.SIGINT)
    assert child.wait() == -signal.SIGINT
    assert (tmp_path / "stderr").read_text().splitlines()[-1] == "KeyboardInterrupt"
    assert said(begin(server, SAY))[0] == parent


def test_a_server_holds_nothing_of_its_callers(begin, tmp_path):
    server = ForkServer()
    with (tmp_path / "mine").open("w") as mine:
        os.set_inheritable(mine.fileno(), True)
        child = begin(server, SAY + "sys.stdin.read()")
        for process in said(child):
            held = {str(entry.readlink()) for entry in Path(f"/proc/{process}/fd").iterdir()}
            assert str(tmp_path / "mine") not in held
            assert not any(name.startswith(("/dev/tty", "/dev/pts")) for name in held)
    child.wait()
    wait_until(lambda: len(list(Path(f"/proc/{said(begin(server, SAY))[0]}/fd").iterdir())) <= 7)


CALLER = """
import os, signal, subprocess, sys
from pathlib import Path
from tinyedge.fork_server import ForkServer

folder = Path(sys.argv[1])
server = ForkServer()

def begin(code):
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(folder)])}
    return server.start("task", [code], surroundings, folder, stdout=subprocess.PIPE)

child = begin("print(os.getppid(), os.getpid(), flush=True); time.sleep(600)")
print(child.stdout.readline().decode(), end="", flush=True)
"""


def call(folder: Path, more: str) -> list[list[int]]:
    """Run a script with a child of its server that sleeps; the numbers that it says line by line."""
    done = subprocess.run([sys.executable, "-c", CALLER + more, folder], capture_output=True, text=True, check=False)
    assert not done.stderr
    return [[int(word) for word in line.split()] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    "end", ["", "os.kill(os.getpid(), signal.SIGKILL)", "os._exit(0)"], ids=["ends", "kill", "exit"]
)
def test_a_caller_that_ends_leaves_nothing(begin, tmp_path, end):
    """Its output ends with it: a server that held it would keep `subprocess.run` waiting."""
    ((server, child),) = call(tmp_path, end)
    wait_until(lambda: not runs(server))
    wait_until(lambda: not runs(child))


def test_a_fork_of_the_caller_has_a_server_of_its_own(begin, tmp_path):
    """And does not keep that of the caller, which ends first."""
    more = """
child.kill()
child.wait()
caller, fork = os.getpid(), os.fork()
again = begin("print(os.getppid(), flush=True)")
print(int(fork == 0), again.stdout.readline().decode(), end="", flush=True)
if fork:
    os._exit(0)
while os.getppid() == caller:
    pass
print(2, again.wait(), flush=True)
"""
    (server, _), *lines = call(tmp_path, more)
    by_who = dict(lines)
    assert by_who[0] == server
    assert by_who[1] != server
    assert by_who[2] == 0
    for process in (server, by_who[1]):
        wait_until(lambda process=process: not runs(process))
