"""Whatever is at the other end of a port: one sentence each, in bounded time, and nothing that a terminal obeys."""

import json
import random
import time
from collections.abc import Callable

import pytest

from tinyedge.devices import serial
from tinyedge.devices.answers import MOST_LINE_BYTES
from tinyedge.devices.serial import DeviceClient
from tinyedge.errors import LineLost, TargetError, TinyEdgeError

TENSOR = {"type": "int8", "shape": [1, 2, 3, 4], "scale": 0.13, "zero_point": 3}
INFO = {
    **{"name": "m", "version": "0.2.0", "board": "stm32f405", "cpu": "cortex-m4", "runtime": "aot"},
    **{"instruction_set": "dsp", "sha256": "c0dec0dec0dec0de", "inputs": [TENSOR], "outputs": [TENSOR], "db_bytes": 24},
    **{"layers": 2, "arena_bytes": 64, "state_bytes": 0, "stack_bytes": 4096, "stack_used_bytes": 300},
    **{"clock_hz": 168_000_000, "clock": "PLL", "count_unit": "ticks", "classes": 0, "store": "", "uid": ""},
}
# Command -> what a device answers, and how a client asks.
ANSWERS: dict[str, tuple[str, Callable[[DeviceClient], object]]] = {
    "te info": (json.dumps(INFO), lambda client: client.info()),
    "infer": ("m-lap-us-100\nm-infer-done\nm-lap-us-300", lambda client: client.infer(2, warmup=0)),
    "results": ("m-results-[-0.500,1.250,nan]", lambda client: client.results()),
    "te raw": ("te-raw-[00FF10]", lambda client: client.raw()),
    "te crc": ("te-crc-[01abcdef,00000000]", lambda client: client.crc()),
    "te count": ("te-count-[12345,ticks]", lambda client: client.count()),
    "te enroll": ("te-enroll-[1,5]", lambda client: client.enroll(1)),
    "te classify": ("te-class-[1,500]", lambda client: client.classify()),
    "te forget": ("te-forget-[1]", lambda client: client.forget(1)),
    "te classes": ("te-classes-[1,2,3]", lambda client: client.classes()),
    "te save": ("te-save-[7]", lambda client: client.save()),
    "te restore": ("te-restore-[7]", lambda client: client.restore()),
    "te layers": (
        "te-layer-[0,CONV_2D,te_conv2d_s8,100,17.250,a, b]\nte-layer-[1,RELU,te_table_s8,0,3.000,c]",
        lambda client: client.layers(),
    ),
    "te reset": ("te-reset-done", lambda client: client.reset()),
}


class Answering:
    """A stream with these bytes to be read, and then silence."""

    def __init__(self, content: bytes) -> None:
        self._parts = [content[start : start + 4096] for start in range(0, len(content), 4096)]

    def write(self, data: bytes) -> None:
        pass

    def read(self, timeout_s: float) -> bytes:
        if self._parts:
            return self._parts.pop(0)
        time.sleep(max(timeout_s, 0))
        return b""

    def close(self) -> None:
        pass


def client_of(answer: bytes, monkeypatch, timeout_s: float = 0.002) -> DeviceClient:
    monkeypatch.setattr(serial, "_INFERENCE_TIMEOUT_S", timeout_s)
    monkeypatch.setattr(DeviceClient.command, "__defaults__", (timeout_s,))
    monkeypatch.setattr(DeviceClient._ask, "__defaults__", (timeout_s,))
    return DeviceClient(Answering(answer))


def answered(text: str) -> bytes:
    return (text.replace("\n", "\r\n") + "\r\nm-ready\r\n").encode()


@pytest.mark.parametrize("command", ANSWERS)
def test_what_a_device_answers_is_taken(command, monkeypatch):
    answer, ask = ANSWERS[command]
    ask(client_of(answered(answer), monkeypatch))


def test_the_values_are_those_of_the_answer(monkeypatch):
    def asked(command: str) -> object:
        answer, ask = ANSWERS[command]
        return ask(client_of(answered(answer), monkeypatch))

    assert asked("infer") == 100.0
    assert asked("te raw") == b"\x00\xff\x10"
    assert asked("te crc") == (0x01ABCDEF, 0)
    assert asked("te enroll") == 5
    layers = client_of(answered(ANSWERS["te layers"][0]), monkeypatch).layers()
    assert [(layer.name, layer.count) for layer in layers] == [("a, b", 17), ("c", 3)]
    info = client_of(answered(ANSWERS["te info"][0]), monkeypatch).info()
    assert (info.clock_hz, info.inputs[0].shape, info.uid) == (168_000_000, (1, 2, 3, 4), "")


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("te info", "[" * 100_000),
        ("te info", json.dumps({**INFO, "clock_hz": 0})),
        ("te info", json.dumps({**INFO, "clock_hz": "fast"})),
        ("te info", json.dumps({**INFO, "layers": 10**9})),
        ("te info", json.dumps({**INFO, "name": ["m"]})),
        ("te info", json.dumps({**INFO, "inputs": [{**TENSOR, "shape": [0]}]})),
        ("te info", json.dumps({**INFO, "inputs": [{**TENSOR, "scale": 1e999}]})),
        ("te info", json.dumps({**INFO, "inputs": 5})),
        ("te info", json.dumps({**INFO, "more": "x"})),
        ("te info", "7"),
        ("te info", '{"layers": ' + "9" * 5000 + "}"),
        ("infer", "m-lap-us-300\nm-infer-done\nm-lap-us-100"),
        ("infer", "m-lap-us-1\nm-lap-us-2\nm-lap-us-3\nm-infer-done"),
        ("infer", "m-lap-us-" + "9" * 5000 + "\nm-infer-done\nm-lap-us-1"),
        ("results", "m-results-[1e999999999]"),
        ("te layers", "te-layer-[0,A,b,1,1e999999999,c]"),
        ("te layers", "te-layer-[0,A,b,1,1/0,c]"),
        ("te layers", "te-layer-[-1,A,b,1,1,c]"),
        ("te enroll", "te-enroll-[1]"),
        ("te classify", "te-class-[1,2,3]"),
        ("te count", "te-count-[1,apples]"),
        ("te count", "te-count-[\u0661,ticks]"),
        ("te crc", "te-crc-[,]"),
        ("te save", "te-save-[]"),
    ],
    ids=lambda value: value[:40],
)
def test_other_answers_are_one_short_sentence(command, answer, monkeypatch):
    _, ask = ANSWERS[command]
    with pytest.raises(TargetError, match=rf"^the device answers `{command}") as caught:
        ask(client_of(answered(answer), monkeypatch))
    assert len(str(caught.value)) < 400


def test_nothing_that_a_terminal_obeys_is_passed_on(monkeypatch):
    for line in ("e-[\x1b]0;owned\x07]", "te-raw-[\x1b[31m]", "e-[fault: \x9b2J]"):
        with pytest.raises(TinyEdgeError) as caught:
            client_of(line.encode("latin-1") + b"\nm-ready\n", monkeypatch).raw()
        assert str(caught.value).isprintable()


def test_a_line_and_an_answer_have_an_end(monkeypatch):
    with pytest.raises(TargetError, match="a line without an end"):
        client_of(b"x" * (MOST_LINE_BYTES + 5000), monkeypatch, 60).raw()
    with pytest.raises(TargetError, match="without an end"):
        client_of(b"x\n" * 150_000, monkeypatch, 60).raw()


class Endless(Answering):
    """A stream that never pauses."""

    def __init__(self) -> None:
        super().__init__(b"")

    def read(self, timeout_s: float) -> bytes:
        time.sleep(0.001)
        return b"tick\n"


def test_a_port_that_never_pauses_is_given_up(monkeypatch):
    monkeypatch.setattr(serial, "_SILENCE_TIMEOUT_S", 0.05)
    with pytest.raises(TargetError, match="talks without a pause"):
        DeviceClient(Endless()).handshake()


def test_changed_answers_are_taken_or_refused_in_a_sentence(monkeypatch, fuzz_seconds, record_property):
    seed = random.SystemRandom().randrange(2**32)
    rng = random.Random(seed)
    said: list[str] = []
    deadline_s = time.monotonic() + (fuzz_seconds or 0)
    tried = 0
    while tried < 1500 or time.monotonic() < deadline_s:
        tried += 1
        answer, ask = ANSWERS[rng.choice(list(ANSWERS))]
        data = bytearray(answered(answer))
        for _ in range(rng.choice((1, 1, 2, 5))):
            at = rng.randrange(len(data))
            change = rng.randrange(4)
            if change == 0:
                data[at] = rng.choice(b'0123456789,-[]{}:"\\.eE\n\x00\x1b\xff')
            elif change == 1:
                del data[at : at + rng.choice((1, 3, 20))]
            elif change == 2:
                data[at:at] = rng.choice((b"9" * 30, b"-", b"e99", b"null", b"[[", b"true", b"1.5", b"\n"))
            else:
                data[at:at] = data[rng.randrange(len(data)) :][:8]
            data = data or bytearray(b"\n")
        try:
            ask(client_of(bytes(data), monkeypatch))
        except (TargetError, LineLost) as error:
            said.append(str(error))
        except Exception as error:
            pytest.fail(f"seed {seed}: {bytes(data)!r} raises {error!r}")
    assert len(said) > 500
    assert all(sentence.isprintable() and len(sentence) < 800 for sentence in said), seed
    record_property("tries", tried)
    print(f"{tried:,} answers were taken or refused")
