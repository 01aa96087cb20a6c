"""Few-shot accuracy of a model's INT8 embedding: the firmware's rule beside others, over many drawn tasks.

    python benchmarks/few_shot.py RUN|MODEL.tflite --data FOLDER [--out benchmarks/results/few_shot_NAME.json]

FOLDER holds a folder of images a class; the model's export.json says how to feed them. The embeddings come from our C
on this machine. Where the model is an encoder alone, TFLite Micro's of some images have to be equal.
"""

import argparse
from pathlib import Path

import numpy as np

from tinyedge.atomic import write_json
from tinyedge.compiler.program import compile_graph
from tinyedge.learning.embedding import read_embedding
from tinyedge.learning.nearest_mean import NearestMean
from tinyedge.learning.task import draw_task, load_images
from tinyedge.manifest.manifest import read_manifest
from tinyedge.manifest.model_path import resolve_model
from tinyedge.manifest.preprocess import quantise_images
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.tflm import TflmRuntime

TASKS = ((5, 1), (5, 5), (10, 10))  # Ways and shots.
QUERIES = 15
EPISODES = 300
EXACT_EPISODES = 20  # Of the firmware's integers, which take Python a while.
TFLM_IMAGES = 16


def squared_distance(shots: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Nearest mean by squared Euclidean distance. `shots` is (ways, shots, D), `queries` (n, D), both centred."""
    differences = queries[:, None] - shots.mean(1)  # (n, ways, D)
    nearest: np.ndarray = (differences**2).sum(-1).argmin(1)
    return nearest


def cosine(shots: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Nearest mean by angle: what the firmware does, in floating point."""
    means = shots.mean(1)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    nearest: np.ndarray = (queries @ means.T).argmax(1)
    return nearest


def mean_of_directions(shots: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """As `cosine`, but every example counts with the length 1."""
    return cosine(shots / np.maximum(np.linalg.norm(shots, axis=2, keepdims=True), 1e-12), queries)


def firmware(shots: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """The firmware's integers; the vectors are centred already."""
    host = NearestMean(len(shots), 0)
    for which, examples in enumerate(shots):
        for example in examples:
            host.enroll(which, example)
    return np.array([host.classify(query)[0] for query in queries])


RULES = {rule.__name__: rule for rule in (squared_distance, mean_of_directions, cosine, firmware)}


def episodes(embeddings: np.ndarray, ways: int, shots: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw tasks of (ways, shots, D) examples and (ways * QUERIES, D) queries, class after class."""
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(EPISODES):
        classes = generator.choice(len(embeddings), ways, replace=False)
        picked = [embeddings[which][generator.permutation(embeddings.shape[1])[: shots + QUERIES]] for which in classes]
        drawn.append((np.stack([one[:shots] for one in picked]), np.concatenate([one[shots:] for one in picked])))
    return drawn


def measure(model: Path, data: Path, per_class: int) -> dict[str, object]:
    """Return the accuracies of every task and rule, in percent, with the half-width of their 95 % interval."""
    manifest = read_manifest(model.parent)
    task = draw_task(data, per_class, 0, 0)
    graph = read_embedding(model)
    is_encoder = not manifest.classes
    runtime = AotRuntime.from_program(compile_graph(graph))
    inputs = quantise_images(load_images(task.support, *manifest.input.shape[1:3]), manifest)
    outputs = runtime.run(inputs).reshape(len(inputs), -1)
    if is_encoder:
        golden = TflmRuntime(model).run(inputs[:TFLM_IMAGES]).reshape(TFLM_IMAGES, -1)
        assert np.array_equal(golden, outputs[:TFLM_IMAGES]), "TFLite Micro gives other embeddings"
    zero_point = runtime.program.outputs[0].q.zero_point
    embeddings = outputs.reshape(len(task.classes), per_class, -1).astype(np.int64) - zero_point
    rows = []
    for ways, shots in TASKS:
        drawn = episodes(embeddings, ways, shots, seed=0)
        labels = np.repeat(np.arange(ways), QUERIES)
        for name, rule in RULES.items():
            some = drawn[:EXACT_EPISODES] if rule is firmware else drawn
            accuracies = [
                100 * np.mean(rule(*(part if rule is firmware else part.astype(float) for part in one)) == labels)
                for one in some
            ]
            half = 1.96 * np.std(accuracies) / np.sqrt(len(some))
            rows.append({"ways": ways, "shots": shots, "rule": name, "episodes": len(some)})
            rows[-1] |= {"accuracy": round(float(np.mean(accuracies)), 2), "half_width": round(float(half), 2)}
            print(f"{ways:2} ways {shots:2} shots  {name:20} {np.mean(accuracies):6.2f} +- {half:.2f} %")
        floating = np.concatenate([cosine(*(part.astype(float) for part in one)) for one in drawn[:EXACT_EPISODES]])
        exact = np.concatenate([firmware(*one) for one in drawn[:EXACT_EPISODES]])
        print(
            f"                  the integers name another class than floating point {np.sum(floating != exact)} times"
        )
    about = {"encoder": manifest.encoder, "sha256": graph.sha256}
    return {"schema": 1, **about, "images": len(inputs), "tflm_equal": is_encoder, "rows": rows}


def main() -> None:
    """Print the table of one model and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--per-class", type=int, default=200)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    result = measure(resolve_model(given.model), given.data, given.per_class)
    if given.out is not None:
        write_json(given.out, result)


if __name__ == "__main__":
    main()
