"""The protocol on the host, under the address and undefined-behaviour sanitizers."""

import json
import random
import struct
import subprocess
import zlib

import numpy as np
import pytest
from firmware.hostile_dialogues import hostile_dialogues

INPUT_BYTES = 24
READY = "m-ready"


@pytest.fixture
def talk(host_protocol):
    """Send bytes to a fresh device and return its answers, one list of lines a command, the greeting dropped."""

    def run(sent: bytes | str, mlperf_id: str = "") -> list[list[str]]:
        data = sent.encode() if isinstance(sent, str) else sent
        done = subprocess.run([host_protocol, mlperf_id], input=data, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        text = done.stdout.decode("ascii")
        assert text.endswith("m-ready\r\n")
        assert text.count("\n") == text.count("\r\n")
        answers: list[list[str]] = [[]]
        for line in text.split("\r\n")[:-1]:
            if line == READY:
                answers.append([])
            else:
                answers[-1].append(line)
        assert answers.pop() == []
        assert answers.pop(0) == ["m-init-done"]
        assert len(answers) == data.count(b"%")
        return answers

    return run


def load_commands(data: bytes, chunk: int = 31) -> str:
    parts = [f"db load {len(data)}%"]
    parts += [f"db {data[start : start + chunk].hex()}%" for start in range(0, len(data), chunk)]
    return "".join(parts)


SAMPLE = bytes(range(100, 100 + INPUT_BYTES))


def int8_backwards(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.int8)[::-1]


def test_name_profile_help_and_timestamp(talk):
    name, profile, listing, first, second = talk("name%profile%help%timestamp%timestamp%")
    assert name == ["m-name-dut-[host]"]
    assert profile == ["m-profile-[ULPMark for tinyML Firmware V0.0.1]", "m-model-[countdown]"]
    for command in ("name", "profile", "timestamp", "db load", "infer", "results", "te info", "te layers"):
        assert any(line.startswith(command) for line in listing)
    (lap1,), (lap2,) = first, second
    line_us = 87 * len(f"{lap1}\r\n{READY}\r\n")
    assert int(lap2.removeprefix("m-lap-us-")) - int(lap1.removeprefix("m-lap-us-")) == 100 + line_us


@pytest.mark.parametrize("mlperf_id", ["ic01", "vww01", "kws01", "ad01"])
def test_profile_names_the_mlperf_benchmark(talk, mlperf_id):
    assert talk("profile%", mlperf_id)[0][1] == f"m-model-[{mlperf_id}]"


def test_bytes_between_commands_are_ignored(talk):
    assert talk(b"\r\n\0 \n\rname%\r\n\0\0profile\r\n%")[0] == ["m-name-dut-[host]"]


@pytest.mark.parametrize(
    ("sent", "named"),
    [("foo%", "foo"), ("te learn 3%", "te learn"), ("NAME%", "NAME"), ("te%", "te "), ("%", ""), ("    %", "")],
)
def test_an_unknown_command_is_named(talk, sent, named):
    ((line,),) = talk(sent)
    assert line.startswith(f"e-[Unknown command: {named}, try help")


@pytest.mark.parametrize("command", ["enroll 0", "classify", "classes", "forget 0", "save", "restore"])
def test_an_image_that_learns_no_classes_says_how_to_build_one(talk, command):
    assert talk(f"te {command}%") == [["e-[this image learns no classes: build it with --enroll CLASSES]"]]


def test_an_unknown_command_of_odd_bytes_is_printed_safely(talk):
    ((line,),) = talk(bytes([0x80, 0xFF, 0x1B, ord("]"), 7]) + b"%")
    assert line == "e-[Unknown command: ?????, try help]"


@pytest.mark.parametrize("chunk", [1, 7, 24, 31])
def test_db_keeps_what_was_sent(talk, chunk):
    answers = talk(load_commands(SAMPLE, chunk) + "db print%te crc%")
    assert answers[0] == [f"m-[Expecting {INPUT_BYTES} bytes]"]
    assert answers[-3] == ["m-load-done"]
    assert all(answer == [] for answer in answers[1:-3])
    hexes = [f"{value:02X}" for value in SAMPLE]
    assert answers[-2] == ["m-buffer-" + "-".join(hexes[start : start + 8]) for start in (0, 8, 16)]
    assert answers[-1] == [f"te-crc-[{zlib.crc32(SAMPLE):08X},00000000]"]


def test_db_print_of_a_part_line(talk):
    assert talk("db load 10%db 00ff0a0b0c0d0e0f1011%db print%")[2] == [
        "m-buffer-00-FF-0A-0B-0C-0D-0E-0F",
        "m-buffer-10-11",
    ]


@pytest.mark.parametrize("count", ["0", "25", "4294967295", "4294967296", "99999999999999999999", "-1", "x", "", "1e3"])
def test_db_load_out_of_range_refuses_later_bytes(talk, count):
    answers = talk(f"db load {count}%db 00%db load 2%db 0102%db print%")
    assert answers[0][0].startswith("e-[db load")
    assert answers[1][0].startswith("e-[no bytes are expected")
    assert answers[3:] == [["m-load-done"], ["m-buffer-01-02"]]


@pytest.mark.parametrize("bad", ["0", "012", "zz", "0g", "00 11", "0x01", "--", ""])
def test_bad_hex_stores_nothing(talk, bad):
    answers = talk(f"db load 3%db A0%db {bad}%db print%db B1C2%db print%")
    assert answers[2][0].startswith("e-[")
    assert answers[3] == ["m-buffer-A0"]
    assert answers[4:] == [["m-load-done"], ["m-buffer-A0-B1-C2"]]


def test_more_bytes_than_expected_store_nothing(talk):
    answers = talk("db load 3%db 0102%db 0304%db print%db 03%db 04%")
    assert answers[2] == ["e-[too many bytes: 1 are still expected]"]
    assert answers[3] == ["m-buffer-01-02"]
    assert answers[4] == ["m-load-done"]
    assert answers[5] == ["e-[too many bytes: 0 are still expected]"]


def test_a_command_of_80_characters_is_taken_and_81_are_not(talk):
    answers = talk("name" + " " * 76 + "%" + "name" + " " * 77 + "%name%")
    assert answers == [
        ["m-name-dut-[host]"],
        ["e-[the command is longer than 80 characters]"],
        ["m-name-dut-[host]"],
    ]


def test_ten_kilobytes_without_an_end_lose_nothing(talk):
    answers = talk(load_commands(SAMPLE).encode() + b"\xa5" * 10_000 + b"%" + b"te crc%")
    assert answers[-2] == ["e-[the command is longer than 80 characters]"]
    assert answers[-1] == [f"te-crc-[{zlib.crc32(SAMPLE):08X},00000000]"]


@pytest.mark.parametrize("command", ["infer 1%", "te layers%"])
@pytest.mark.parametrize("before", ["", "db load 24%db 00%", "db load 23%db " + "00" * 23 + "%"])
def test_inference_needs_the_whole_input(talk, command, before):
    answer = talk(before + command)[-1]
    assert len(answer) == 1
    assert "input bytes are loaded but the model takes 24" in answer[0]


@pytest.mark.parametrize("command", ["results%", "te raw%"])
def test_an_output_needs_an_inference(talk, command):
    assert talk(load_commands(SAMPLE) + command)[-1] == ["e-[no inference has run: use infer first]"]


@pytest.mark.parametrize("arguments", ["", "0", "-1", "x", "1 x", "4294967296"])
def test_infer_refuses_bad_numbers(talk, arguments):
    assert talk(load_commands(SAMPLE) + f"infer {arguments}%")[-1][0].startswith("e-[infer")


@pytest.mark.parametrize(("arguments", "warmups", "inferences"), [("3", 10, 3), ("1 0", 0, 1), ("2 5", 5, 2)])
def test_infer_answers_as_the_mlperf_runner_expects(talk, arguments, warmups, inferences):
    answers = talk(load_commands(SAMPLE) + f"infer {arguments}%te raw%results%te count%")
    lines = answers[-4]
    assert lines[:3] == [f"m-warmup-start-{warmups}", "m-warmup-done", f"m-infer-start-{inferences}"]
    assert lines[3].startswith("m-lap-us-")
    assert lines[4].startswith("m-lap-us-")
    assert lines[5] == "m-infer-done"
    # The clock goes 100 us a reading; no line lies between the two.
    assert int(lines[4].removeprefix("m-lap-us-")) - int(lines[3].removeprefix("m-lap-us-")) == 100
    # The inference clears its input, so only a fresh copy before each one gives this.
    output = int8_backwards(SAMPLE)
    assert answers[-3] == [f"te-raw-[{output.tobytes().hex().upper()}]"]
    expected = [f"{float(np.float32(0.13) * np.float32(int(value) - 3)):.3f}" for value in output]
    assert lines[6] == f"m-results-[{','.join(expected)}]"
    assert answers[-2] == [lines[6]]
    # The counter rises by 7 a reading: an inference takes one step, which is the overhead as well.
    assert answers[-1] == ["te-count-[0,ticks]"]


def test_pixels_of_an_image_benchmark_lose_128(talk):
    pixels = bytes([0, 1, 127, 128, 129, 255] * 4)
    answers = talk(load_commands(pixels) + "infer 1 0%te raw%te crc%", "ic01")
    output = (np.frombuffer(pixels, np.uint8).astype(int) - 128).astype(np.int8)[::-1]
    assert answers[-2] == [f"te-raw-[{output.tobytes().hex().upper()}]"]
    assert answers[-1] == [f"te-crc-[{zlib.crc32(pixels):08X},{zlib.crc32(output.tobytes()):08X}]"]


def test_floats_of_the_audio_benchmark_are_quantised(talk):
    values = [0.0, 1.0, 0.5, -0.1, 2.0, 1e30, -1e30, float("inf"), float("-inf"), float("nan"), 1e-30, 0.3333]
    values = (values * 2)[:INPUT_BYTES]
    answers = talk(load_commands(struct.pack("<24f", *values)) + "infer 1 0%te raw%", "ad01")
    scale = np.float32(3.92156886e-03)
    steps = np.clip(np.array(values, np.float32) / scale, -512, 512)
    steps = np.nan_to_num(steps, nan=-512)
    expected = np.clip(np.trunc(steps + np.copysign(0.5, steps)) - 128, -128, 127).astype(np.int8)[::-1]
    assert answers[-1] == [f"te-raw-[{expected.tobytes().hex().upper()}]"]


def test_the_audio_benchmarks_result_is_the_distance_from_the_input(talk):
    values = np.linspace(-3.0, 2.5, INPUT_BYTES).astype(np.float32)
    answers = talk(load_commands(values.tobytes()) + "infer 1 0%te raw%db load 4%db 00000000%results%", "ad01")
    output = np.frombuffer(bytes.fromhex(answers[-4][0][len("te-raw-[") : -1]), np.int8)
    distance = np.mean((0.13 * (output.astype(int) - 3) - values.astype(np.float64)) ** 2)
    # The input may change meanwhile: the result stays that of the last inference.
    assert answers[-1][0].startswith("m-results-[")
    assert float(answers[-1][0][len("m-results-[") : -1]) == pytest.approx(distance, abs=6e-4)


@pytest.mark.parametrize("dialogue", hostile_dialogues(INPUT_BYTES), ids=lambda dialogue: dialogue.label)
def test_a_hostile_dialogue_is_refused(talk, dialogue):
    answers = talk(dialogue.sent + b"name%")
    assert sum(any(line.startswith("e-[") for line in answer) for answer in answers) == dialogue.refused
    assert answers[-1] == ["m-name-dut-[host]"]


def test_info_is_json_of_the_model(talk):
    ((line,),) = talk("te info%")
    info = json.loads(line)
    assert info["name"] == "countdown"
    assert info["version"] == "1.2.3"
    assert info["board"] == "host"
    assert info["cpu"] == 'any "quoted\\cpu"'
    assert info["runtime"] == "aot"
    assert info["instruction_set"] == "portable"
    assert info["sha256"] == "c0dec0dec0dec0de"
    (given,), (made,) = info["inputs"], info["outputs"]
    assert (given["type"], given["shape"], given["zero_point"]) == ("int8", [1, 2, 3, 4], -128)
    assert np.float32(given["scale"]) == np.float32(3.92156886e-03)
    assert made == {"type": "int8", "shape": [1, 24], "scale": pytest.approx(0.13), "zero_point": 3}
    assert (info["arena_bytes"], info["state_bytes"]) == (48, 0)
    assert (info["stack_bytes"], info["stack_used_bytes"]) == (4096, 321)
    assert (info["clock_hz"], info["count_unit"], info["layers"]) == (1_000_000, "ticks", 2)
    assert info["uid"] == "0123ABCD00000000FFFFFFFF"


def test_layers_come_in_order_with_safe_names(talk):
    answers = talk(load_commands(SAMPLE) + "te layers%te raw%")
    assert answers[-2] == [
        "te-layer-[0,COUNTDOWN,count_down,0,0.000,count, down]",
        "te-layer-[1,REVERSE,reverse_s8,24,0.000,reverse?]",
    ]
    assert answers[-1] == [f"te-raw-[{int8_backwards(SAMPLE).tobytes().hex().upper()}]"]


class ReferenceDevice:
    """What `db` must do, written down a second time in the plainest way."""

    def __init__(self) -> None:
        self.expected = 0
        self.stored = bytearray()

    def load(self, count: int) -> bool:
        self.expected = count if 0 < count <= INPUT_BYTES else 0
        self.stored.clear()
        return self.expected > 0

    def store(self, text: str) -> bool:
        try:
            data = bytes.fromhex(text)
        except ValueError:
            return False
        if self.expected == 0 or len(self.stored) + len(data) > self.expected:
            return False
        self.stored += data
        return True


@pytest.mark.parametrize("seed", range(4))
def test_random_dialogues_agree_with_the_reference(talk, seed):
    generator = random.Random(seed)
    reference = ReferenceDevice()
    sent, wanted = [], []
    for _ in range(400):
        if generator.random() < 0.2:
            count = generator.choice([0, 1, 5, 23, 24, 25, 1000, 2**32 + 3])
            sent.append(f"db load {count}%")
            wanted.append((reference.load(count), None))
        else:
            text = "".join(
                generator.choice("0123456789abcdefABCDEFg") for _ in range(generator.choice([1, 2, 4, 6, 20]))
            )
            sent.append(f"db {text}%")
            wanted.append((reference.store(text), None))
        sent.append("te crc%")
        wanted.append((True, f"te-crc-[{zlib.crc32(reference.stored):08X},00000000]"))
    for answer, (good, line) in zip(talk("".join(sent)), wanted, strict=True):
        assert any(item.startswith("e-[") for item in answer) is not good
        if line is not None:
            assert answer == [line]


@pytest.mark.parametrize("seed", range(6))
def test_noise_never_breaks_the_device(talk, seed):
    generator = random.Random(seed)
    words = [
        b"db ",
        b"load ",
        b"print",
        b"infer ",
        b"te ",
        b"raw",
        b"crc",
        b"layers",
        b"4294967295",
        b"24",
        b"1 0",
        b"%",
    ]
    noise = bytearray()
    for _ in range(3000):
        noise += generator.choice(words) if generator.random() < 0.6 else bytes([generator.randrange(256)])
    # "infer 4294967295" with an input loaded would be right to run for hours.
    noise = bytes(noise).replace(b"infer 4294967295", b"infer x")
    answers = talk(noise.replace(b"db ", b"db  ") + b"%name%")
    assert answers[-1] == ["m-name-dut-[host]"]
