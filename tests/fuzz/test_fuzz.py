"""A short run of both fuzzers over their corpora; a finding of theirs is a defect."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest
from fuzz.reader_fuzzer import FindingError, fuzz, lines_of, mutate, read_all
from tflite.Model import Model

from tinyedge.c_sources import firmware_root
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
def test_the_protocol_stands_what_libfuzzer_sends(protocol_fuzzer, tmp_path):
    options = [f"-dict={HERE / 'protocol.dict'}", "-max_len=700", "-timeout=10", f"-runs={RUNS}"]
    done = subprocess.run(
        [protocol_fuzzer, *options, tmp_path, CORPUS / "protocol"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.slow
def test_the_reader_stands_mutated_models():
    corpus = [path.read_bytes() for path in sorted((CORPUS / "reader").iterdir())]
    count = fuzz(corpus, 5, random.SystemRandom().randrange(2**32), lambda _: None)
    assert count > len(corpus)


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
    assert all(Model.GetRootAs(content, 0) for content in changed if len(content) > 100)


@pytest.mark.parametrize("folder", ["protocol", "reader"])
def test_the_corpus_stays_small(folder):
    sizes = [path.stat().st_size for path in (CORPUS / folder).iterdir()]
    assert len(sizes) > 5
    assert sum(sizes) < 100_000


def test_a_seed_is_a_model_that_is_taken():
    assert read_tflite(CORPUS / "reader" / "clean.tflite").operators
