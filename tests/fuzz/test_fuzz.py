"""A short run of the fuzzers over their corpora, or a long one by `make fuzz`; a finding of theirs is a defect."""

import random
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from compiler.random_networks import random_network
from fuzz.c_fuzzer import CFuzzer, compiled
from fuzz.mutation import mutate
from fuzz.quick_tables import quick_tables
from fuzz.reader_fuzzer import HeldPath, fuzz, inspect, lines_of, read
from fuzz.sanitised_c import SanitisedError, run_sanitised
from fuzz.seeds import FindingError, read_corpus, run_seeds
from machines.case_machines import SANITISED, HostMachine, build_kernels
from tflite.Model import Model as SchemaModel

from tinyedge.c_sources import firmware_root
from tinyedge.compiler.emit.source import model_source
from tinyedge.compiler.options import CompileOptions
from tinyedge.errors import ModelError
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
def test_the_reader_stands_mutated_models(tmp_path, fuzz_seconds, record_property):
    corpus = read_corpus()
    with quick_tables():
        counts = fuzz(corpus, random.SystemRandom().randrange(2**32), tmp_path, seconds=fuzz_seconds or 5)
    assert counts.read > len(corpus)
    record_property("tries", counts.read)
    print(f"{counts.read:,} models were read, {counts.checked:,} checked and {counts.compiled:,} compiled")


@pytest.mark.slow
def test_the_c_of_mutated_models_stays_within_its_memory(once, tmp_path, fuzz_seconds, record_property):
    """What the compiler takes of a stranger's model does nothing that is undefined, whatever its numbers are."""
    kernels = build_kernels(HostMachine(SANITISED), once)
    corpus = [*read_corpus(), *(random_network(number) for number in range(6))]
    fuzzer = CFuzzer(corpus, kernels, tmp_path, random.SystemRandom().randrange(2**32))
    deadline_s = time.monotonic() + (fuzz_seconds or 0)
    while not fuzzer.ran or time.monotonic() < deadline_s:
        fuzzer.run(40)
    record_property("tries", fuzzer.ran)
    print(f"{fuzzer.ran:,} mutants ran under the sanitisers")


def test_c_that_leaves_its_memory_is_found(once, tmp_path, monkeypatch):
    """Of the second of three programs in one translation unit."""
    program = compiled((CORPUS / "reader" / "clean.tflite").read_bytes(), CompileOptions())

    def spoilt(program, name, card):
        source = model_source(program, name, card)
        return source.replace("MODEL_1_ARENA_BYTES", "16")

    monkeypatch.setattr("fuzz.sanitised_c.model_source", spoilt)
    with pytest.raises(SanitisedError, match="AddressSanitizer") as found:
        run_sanitised([program] * 3, build_kernels(HostMachine(SANITISED), once), tmp_path)
    assert found.value.index == 1


@pytest.mark.parametrize("error", [RecursionError("deep"), KeyError("x")])
@pytest.mark.parametrize("way", ["inspect_tflite", "parse_tflite", "compile_graph", "check_module.examine_model"])
def test_a_finding_is_found(monkeypatch, tmp_path, way, error):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(f"fuzz.reader_fuzzer.{way}", fail)
    clean = (CORPUS / "reader" / "clean.tflite").read_bytes()
    with pytest.raises(FindingError, match=type(error).__name__) as found:
        fuzz([clean], 0, tmp_path, models=1)
    assert found.value.args[1] == clean


def test_a_reader_that_the_check_contradicts_is_found(monkeypatch, tmp_path):
    def refuse(path: Path, content: bytes) -> None:
        raise ModelError("it has no scale")

    monkeypatch.setattr("fuzz.reader_fuzzer.parse_tflite", refuse)
    with pytest.raises(FindingError, match=r"do not agree on it: \['it has no scale'\]"):
        fuzz([(CORPUS / "reader" / "clean.tflite").read_bytes()], 0, tmp_path, models=1)


def test_what_never_ends_is_found(monkeypatch, tmp_path):
    def go_on(*_: object) -> None:
        while True:
            pass

    monkeypatch.setattr("fuzz.reader_fuzzer.compile_graph", go_on)
    monkeypatch.setattr("fuzz.reader_fuzzer.MOST_CPU_S", 0.1)
    with pytest.raises(FindingError, match="it does not end"):
        fuzz([(CORPUS / "reader" / "clean.tflite").read_bytes()], 0, tmp_path, models=1)


def test_slowness_is_found(monkeypatch, tmp_path):
    monkeypatch.setattr("fuzz.reader_fuzzer.MOST_LINES", 100)
    with pytest.raises(FindingError, match="takes more than 100 lines"):
        lines_of(lambda: inspect(CORPUS / "reader" / "clean.tflite", []))


def test_a_seed_stands_for_the_same_mutants_and_a_tally_is_gone_on_with(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    corpus = read_corpus()[:3]
    kept: list[list[bytes]] = [[], []]
    for content in kept:
        fuzz(corpus, 7, tmp_path, models=60, keep=content.append)
    assert kept[0]
    assert kept[0] == kept[1]
    seeds: list[int] = []

    def run(seed: int, folder: Path) -> dict[str, int]:
        seeds.append(seed)
        if seed == 2 and len(seeds) == 3:
            raise FindingError("wrong", b"a", b"b")
        return {"read": 10}

    tally = tmp_path / "tally.jsonl"
    assert run_seeds(run, tally, "read", 40) == 1
    assert Path("finding_1.tflite").read_bytes() == b"b"
    assert run_seeds(run, tally, "read", 40) == 0
    assert seeds == [0, 1, 2, 2, 3]
    assert capsys.readouterr().out.splitlines()[-1] == "4 seeds: {'read': 40}"


def test_quick_tables_give_and_raise_the_same():
    rng = random.Random(1)
    corpus = read_corpus()
    path = HeldPath("m.tflite")

    def sentences(content: bytes) -> list[str]:
        path.content = content
        said: list[str] = []
        inspected = inspect(path, said)
        graph = read(path, said)
        return [*said, f"{inspected is None} {graph and [operator.options for operator in graph.operators]}"]

    mutants = [mutate(rng, rng.choice(corpus), corpus) for _ in range(150)]
    slow = [sentences(content) for content in mutants]
    with quick_tables():
        assert [sentences(content) for content in mutants] == slow
    assert len({tuple(said) for said in slow}) > 50


def test_new_lines_of_the_reader_are_seen(tmp_path):
    path = CORPUS / "reader" / "clean.tflite"
    good = lines_of(lambda: inspect(path, []))
    assert len(good) > 50
    short = tmp_path / "short.tflite"
    short.write_bytes(path.read_bytes()[:100])
    assert not lines_of(lambda: inspect(short, [])) <= good


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
