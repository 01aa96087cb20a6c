"""A short run of the fuzzers over their corpora, or a long one by `make fuzz`; a finding of theirs is a defect."""

import random
import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from compiler.model_cases import ModelCase, model_outcomes
from compiler.random_networks import random_network
from fuzz.reader_fuzzer import FindingError, fuzz, lines_of, mutate, read_all
from machines.case_machines import SANITISED, HostMachine, ProgramStoppedError, build_kernels
from tflite.Model import Model as SchemaModel

from tinyedge.c_sources import firmware_root
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import compile_graph
from tinyedge.errors import TinyEdgeError
from tinyedge.tflite.model import Model
from tinyedge.tflite.reader import read_tflite

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
RUNS = 20_000
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-pedantic")
SANITISERS = ("-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")


@pytest.fixture(scope="module")
def protocol_fuzzer(tmp_path_factory) -> Path:
    clang = shutil.which("clang")
    if clang is None:
        pytest.skip("clang is not installed: run `make system`")
    folder = tmp_path_factory.mktemp("fuzzer")
    (folder / "empty.c").write_text(
        "int LLVMFuzzerTestOneInput(const char *d, unsigned long n);\n"
        "int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d == 0 && n > 0; }\n"
    )
    tried = subprocess.run([clang, *SANITISERS, folder / "empty.c", "-o", folder / "empty"], capture_output=True)
    if tried.returncode:
        pytest.skip("clang has no libFuzzer: run `make system`")
    root = firmware_root()
    sources = [HERE / "protocol_fuzzer.c", *(root / "app" / f"te_{name}.c" for name in ("protocol", "text", "crc32"))]
    includes = [f"-I{root / name}" for name in ("app", "runtime", "kernels")]
    program = folder / "protocol_fuzzer"
    subprocess.run([clang, *WARNINGS, *SANITISERS, "-DTE_PROFILE", *includes, *sources, "-o", program], check=True)
    return program


@pytest.mark.slow
def test_the_protocol_stands_what_libfuzzer_sends(protocol_fuzzer, tmp_path, fuzz_seconds, record_property):
    length = f"-runs={RUNS}" if fuzz_seconds is None else f"-max_total_time={fuzz_seconds:.0f}"
    options = [f"-dict={HERE / 'protocol.dict'}", "-max_len=700", "-timeout=10", length]
    done = subprocess.run(
        [protocol_fuzzer, *options, tmp_path, CORPUS / "protocol"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    (runs,) = re.findall(r"Done (\d+) runs", done.stderr)
    record_property("tries", int(runs))
    print(f"{int(runs):,} inputs were sent")


@pytest.mark.slow
def test_the_reader_stands_mutated_models(fuzz_seconds, record_property):
    corpus = [path.read_bytes() for path in sorted((CORPUS / "reader").iterdir())]
    count = fuzz(corpus, fuzz_seconds or 5, random.SystemRandom().randrange(2**32), lambda _: None)
    assert count > len(corpus)
    record_property("tries", count)
    print(f"{count:,} models were read, and those that can be checked and compiled")


@pytest.mark.slow
def test_the_c_of_mutated_models_stays_within_its_memory(once, tmp_path, fuzz_seconds, record_property):
    """What the compiler takes of a stranger's model does nothing that is undefined, whatever its numbers are."""
    seed = random.SystemRandom().randrange(2**32)
    rng = random.Random(seed)
    kernels = build_kernels(HostMachine(SANITISED), once)
    corpus = [random_network(number) for number in range(6)]
    deadline_s = time.monotonic() + (fuzz_seconds or 0)
    mutants = 0
    while not mutants or time.monotonic() < deadline_s:
        folder = tmp_path / str(mutants)
        folder.mkdir()
        cases: list[ModelCase] = []
        while len(cases) < 8:
            path = folder / f"{len(cases)}.tflite"
            path.write_bytes(mutate_values(rng, rng.choice(corpus)))
            case = taken(path, rng)
            cases += [] if case is None else [case]
        try:
            model_outcomes(cases, kernels, folder)
        except ProgramStoppedError as error:
            pytest.fail(f"seed {seed}, {folder}: {error}")
        shutil.rmtree(folder)
        mutants += len(cases)
    record_property("tries", mutants)
    print(f"{mutants:,} mutants ran under the sanitisers")


def mutate_values(rng: random.Random, content: bytes) -> bytes:
    """One to eight bytes of a model as others: most lie in its weights, biases and scales."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4, 8])):
        data[rng.randrange(len(data))] = rng.choice([0, 1, 0x7F, 0x80, 0xFF])
    return bytes(data)


def taken(path: Path, rng: random.Random) -> ModelCase | None:
    """Two runs of a model if the compiler takes it."""
    try:
        model = Model(path)
        compile_graph(model.graph(), CompileOptions())
    except TinyEdgeError:
        return None
    (source,) = model.graph().inputs
    inputs = np.frombuffer(rng.randbytes(2 * source.elements), np.int8).reshape(2, *source.shape[1:])
    return ModelCase(path.name, model, inputs)


@pytest.mark.parametrize("error", [RecursionError("deep"), KeyError("x")])
def test_a_finding_is_found(monkeypatch, tmp_path, error):
    def fail(path: Path) -> None:
        raise error

    monkeypatch.setattr("fuzz.reader_fuzzer.read_any_tflite", fail)
    path = tmp_path / "m.tflite"
    path.write_bytes((CORPUS / "reader" / "clean.tflite").read_bytes())
    with pytest.raises(FindingError, match=type(error).__name__):
        read_all(path)


def test_slowness_is_found(monkeypatch, tmp_path):
    monkeypatch.setattr("fuzz.reader_fuzzer.MOST_LINES", 100)
    with pytest.raises(FindingError, match="takes more than 100 lines"):
        lines_of(lambda: read_all(CORPUS / "reader" / "clean.tflite"))


def test_new_lines_of_the_reader_are_seen(tmp_path):
    path = CORPUS / "reader" / "clean.tflite"
    good = lines_of(lambda: read_all(path))
    assert len(good) > 50
    short = tmp_path / "short.tflite"
    short.write_bytes(path.read_bytes()[:100])
    assert not lines_of(lambda: read_all(short)) <= good


def test_mutated_models_are_read_deeper_than_their_head():
    """Most mutations leave a flatbuffer that opens; a fuzzer of broken headers would find nothing."""
    rng = random.Random(0)
    corpus = [path.read_bytes() for path in sorted((CORPUS / "reader").iterdir())]
    changed = [mutate(rng, rng.choice(corpus), corpus) for _ in range(200)]
    assert sum(content[4:8] == b"TFL3" for content in changed) > 150
    assert len(set(changed)) > 150
    assert all(SchemaModel.GetRootAs(content, 0) for content in changed if len(content) > 100)


@pytest.mark.parametrize("folder", ["protocol", "reader"])
def test_the_corpus_stays_small(folder):
    sizes = [path.stat().st_size for path in (CORPUS / folder).iterdir()]
    assert len(sizes) > 5
    assert sum(sizes) < 100_000


def test_a_seed_is_a_model_that_is_taken():
    assert read_tflite(CORPUS / "reader" / "clean.tflite").operators
