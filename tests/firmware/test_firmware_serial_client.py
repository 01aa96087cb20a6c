"""The host's client against the firmware's own protocol, over a terminal as over a cable, and against bad devices."""

import os
import pty
import subprocess
import threading
import tty
import zlib
from fractions import Fraction

import pytest

from tinyedge.devices.serial import DeviceClient, PipeStream, SerialStream
from tinyedge.errors import LineLost, TargetError

DATA = bytes(range(24))


@pytest.fixture
def port(host_protocol):
    """A serial port with the firmware's protocol, run on this machine, at the other end."""
    ours, theirs = pty.openpty()
    tty.setraw(ours)
    tty.setraw(theirs)
    with subprocess.Popen([host_protocol, ""], stdin=ours, stdout=ours) as device:
        try:
            yield os.ttyname(theirs)
        finally:
            device.kill()
            os.close(ours)
            os.close(theirs)


@pytest.fixture
def client(port):
    client = DeviceClient(SerialStream(port, 115200))
    client.handshake()
    yield client
    client.close()


def test_a_whole_session_over_a_port(client):
    client.check_model("c0dec0dec0dec0de0123456789abcdef" + "0" * 32)
    client.load(DATA)
    assert client.infer(4, warmup=2) == 25.0  # The device's clock goes 100 us a reading.
    assert client.raw() == DATA[::-1]
    assert client.crc() == (zlib.crc32(DATA), zlib.crc32(DATA[::-1]))
    assert client.results()[:2] == [pytest.approx(0.13 * 20, abs=5e-4), pytest.approx(0.13 * 19, abs=5e-4)]
    assert client.count() == (0, "ticks")
    assert [(layer.name, layer.op, layer.kernel, layer.macs) for layer in client.layers()] == [
        ("count, down", "COUNTDOWN", "count_down", 0),
        ("reverse?", "REVERSE", "reverse_s8", 24),
    ]
    with pytest.raises(TargetError, match="only an emulator counts instructions"):
        client.instructions()


def test_the_strips_of_a_layer_are_added_up(client, monkeypatch):
    lines = ["te-layer-[0,A,a,3,1.250,x]", "te-layer-[1,B,b,5,2.000,y]", "te-layer-[0,A,a,3,4.000,x]"]
    monkeypatch.setattr(client, "command", lambda *_: lines)
    monkeypatch.setattr(client, "_instructions_per_tick", Fraction(40))
    assert [(layer.name, layer.macs, layer.count) for layer in client.layers()] == [("x", 3, 210), ("y", 5, 80)]


def test_handshake_finds_a_device_in_the_middle_of_a_command(port):
    stream = SerialStream(port, 115200)
    stream.write(b"db load 24%db 00112")
    client = DeviceClient(stream)
    client.handshake()
    client.load(DATA)
    assert client.crc()[0] == zlib.crc32(DATA)
    client.close()


def test_a_busy_port_is_told(client, port):
    with pytest.raises(TargetError, match=f"cannot open {port} at 115200 baud: another program has it open"):
        SerialStream(port, 115200)


def test_a_port_that_is_not_there_is_told():
    with pytest.raises(TargetError, match="cannot open /dev/ttyNONE9 at 115200 baud: there is no such port"):
        SerialStream("/dev/ttyNONE9", 115200)


@pytest.fixture
def device():
    """A client, and a function that makes the other end answer each command with the next of some texts."""
    (read_by_us, write_by_them), (read_by_them, write_by_us) = os.pipe(), os.pipe()
    to_device, from_device = os.fdopen(write_by_us, "wb", buffering=0), os.fdopen(read_by_us, "rb", buffering=0)
    theirs_in, theirs_out = os.fdopen(read_by_them, "rb", buffering=0), os.fdopen(write_by_them, "wb", buffering=0)
    client = DeviceClient(PipeStream(to_device, from_device, lambda: "the other end is closed"))
    threads = []

    def answers(*texts: str) -> DeviceClient:
        def run() -> None:
            with theirs_in, theirs_out:
                for text in texts:
                    received = b""
                    while not received.endswith(b"%"):
                        part = theirs_in.read(4096)
                        if not part:
                            return
                        received += part
                    for byte in text.encode("latin-1"):
                        theirs_out.write(bytes([byte]))

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return client

    yield answers
    client.close()
    for thread in threads:
        thread.join(timeout=10)


def test_answers_may_come_in_pieces_and_with_noise(device):
    client = device("\r\n\xff\r\nm-name-dut-[x]\r\nm-ready\r\n")
    assert "m-name-dut-[x]" in client.command("name")


def test_an_error_of_the_device_is_quoted(device):
    with pytest.raises(TargetError, match=r"answers `db load 9` with e-\[too many\]"):
        device("e-[too many]\r\nm-ready\r\n").load(bytes(9))


def test_a_fault_does_not_wait_for_the_timeout(device):
    with pytest.raises(TargetError, match="BusFault"):
        # Nothing answers that would end the wait, which is longer than a test may take.
        device("\r\ne-[fault: BusFault cfsr=00000400]\r\nx%", "").command("infer 1 0", timeout_s=3600)


def test_silence_is_told_with_the_last_line(device):
    with pytest.raises(TargetError, match="did not answer `name` within 1 s after 'm-name-dut"):
        device("m-name-dut-[x]\r\n", "").command("name", timeout_s=0.5)


def test_a_restart_is_told(device):
    with pytest.raises(LineLost, match="restarted before it answered `infer 1 0`"):
        device("\r\nm-init-done\r\nm-ready\r\n").command("infer 1 0")


def test_a_closed_line_is_told(device):
    client = device("m-ready\r\n")
    assert client.command("name") == []
    with pytest.raises(TargetError, match="the other end is closed"):
        client.command("name")


@pytest.mark.parametrize("text", ["", "x\r\n", "te-raw-[0]\r\n", "te-crc-[00]\r\n", "te-raw-[00\r\n"])
def test_answers_of_another_program_are_told(device, text):
    with pytest.raises(TargetError):
        device(f"{text}m-ready\r\n").raw()


@pytest.mark.parametrize("text", ["{}", "[1]", "null", "not json", '{"name": 1, "inputs": [{}], "outputs": [{}]}', ""])
def test_info_of_another_program_is_told(device, text):
    with pytest.raises(TargetError, match="te info"):
        device(f"{text}\r\nm-ready\r\n").info()


def test_a_lost_byte_is_told(device):
    with pytest.raises(TargetError, match="a byte was lost"):
        device("m-[Expecting 4 bytes]\r\nm-ready\r\n", "m-ready\r\n").load(bytes(4))


def test_a_stranger_on_the_port_is_told(device):
    with pytest.raises(TargetError, match="not with tinyedge's protocol"):
        device("login: \r\nm-ready\r\n", "password:\r\nm-ready\r\n").handshake()
