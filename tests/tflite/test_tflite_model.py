"""A file is read once, and what is done with one graph of it leaves the others alone."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from compiler.random_networks import random_network

from tinyedge.compiler.program import compile_graph
from tinyedge.errors import ModelError
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.litert import LitertRuntime
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite import model as module
from tinyedge.tflite.graph import Graph
from tinyedge.tflite.model import Model, open_model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "network.tflite"
    file.write_bytes(random_network(3))
    return file


def facts(graph: Graph) -> list[object]:
    """What a pass could change, without the identities of the tensors."""
    return [
        (
            o.op,
            dict(o.options),
            [t and (t.name, t.shape, t.base, None if t.data is None else t.data.tobytes()) for t in tensors],
        )
        for o in graph.operators
        for tensors in (o.inputs, o.outputs)
    ]


def test_passes_change_only_their_own_graph(path):
    model = Model(path)
    before = facts(model.graph())
    graph = model.graph()
    compile_graph(graph)
    assert graph.histogram() != model.graph().histogram()
    assert facts(model.graph()) == before == facts(model.any_graph())


def test_a_copy_shares_no_tensor_and_keeps_views(path):
    graph = Model(path).graph()
    compile_graph(graph)  # Leaves views.
    copy = graph.copy()
    tensors = [{t for o in one.operators for t in (*o.inputs, *o.outputs) if t is not None} for one in (graph, copy)]
    assert not tensors[0] & tensors[1]
    assert [sum(t.base is not None for t in several) for several in tensors] == [
        sum(t.base is not None for t in tensors[0])
    ] * 2
    assert any(t.base is not None for t in tensors[1])
    assert not {t.base for t in tensors[1]} & tensors[0]


def test_all_runtimes_read_the_file_once(path, monkeypatch):
    counts: Counter[str] = Counter()

    def counted(name):
        function = getattr(module, name)

        def call(*arguments):
            counts[name] += 1
            return function(*arguments)

        return call

    for name in ("read_content", "parse_tflite"):
        monkeypatch.setattr(module, name, counted(name))
    model = Model(path)
    assert open_model(model) is model
    shape = model.graph().inputs[0].shape
    inputs = np.random.default_rng(0).integers(-128, 128, (2, *shape[1:]), dtype=np.int8)
    tflm, aot, _ = (runtime(model).run(inputs) for runtime in (TflmRuntime, AotRuntime, LitertRuntime))
    np.testing.assert_array_equal(aot, tflm)
    assert counts == {"read_content": 1, "parse_tflite": 1}
    assert model.sha256 == hashlib.sha256(model.content).hexdigest()


def test_what_is_no_model_is_refused_when_it_is_opened(tmp_path):
    with pytest.raises(ModelError, match="no model at"):
        Model(tmp_path / "gone.tflite")
    (tmp_path / "text.tflite").write_text("not a model")
    with pytest.raises(ModelError, match="is not a TFLite model"):
        open_model(tmp_path / "text.tflite")
