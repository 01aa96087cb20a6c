"""What INT8 costs after every operator of a network, simulated in float arithmetic."""

from collections.abc import Collection

import torch

from tinyedge.parity.distance import cosine, sqnr_db
from tinyedge.parity.layers import LayerParity
from tinyedge.quantisation.bias_correction import correct_output_bias
from tinyedge.quantisation.fake_quantize import FakeQuantize
from tinyedge.quantisation.float_executor import FloatExecutor, Values
from tinyedge.quantisation.mixed_precision import mix_precision
from tinyedge.quantisation.noise import Reference
from tinyedge.quantisation.observers import RangeChoice
from tinyedge.quantisation.preconditioning import Preconditioned
from tinyedge.tflite.graph import Operator, Tensor

_MOST_SAMPLES = 32


def simulate_layers(
    form: Preconditioned,
    choice: RangeChoice,
    means: Reference,
    samples: Values,
    int16x8: Collection[Operator] = frozenset(),
) -> tuple[LayerParity, ...]:
    """Compare every operator's float output with its quantised one, of which the noise is the kernels'.

    Args:
        form: Of the float graph.
        choice: The ranges of its activations.
        means: What the output biases are corrected by.
        samples: Of each input, (n, ...) float32; the first few count.
        int16x8: The operators of the form that run in 16x8.
    """
    mixed = mix_precision(form.graph, choice.ranges, choice.min_max, int16x8)
    corrected = correct_output_bias(mixed.graph, mixed.ranges, means, mixed.int16)
    quantised, quantiser = FloatExecutor(corrected), FakeQuantize(corrected, mixed.ranges, mixed.int16)
    positions = {position for position, operator in enumerate(form.graph.operators) if operator in int16x8}
    alike = frozenset(form.uncorrected.operators[position] for position in positions)
    graph = mix_precision(form.uncorrected, choice.ranges, choice.min_max, alike).graph
    network = FloatExecutor(graph)
    few = tuple(values[: min(_MOST_SAMPLES, network.batch_size)] for values in samples)
    wanted = _activations(network, few)
    found = _activations(quantised, few, quantiser)
    # Of both graphs the operators are the same, but for biases.
    in_float = {two.output: one.output for one, two in zip(graph.operators, corrected.operators, strict=True)}
    rounded = {in_float.get(tensor, tensor): value for tensor, value in found.items()}
    total = {tensor: _figures(wanted[tensor], rounded[tensor]) for tensor in wanted}
    rows = []
    for position, operator in enumerate(graph.operators):
        if not wanted[operator.output].is_floating_point():
            continue
        exact = network.compute(position, rounded)
        sources = [total[tensor][0] for tensor in operator.inputs if tensor in total]
        ratio, angle = total[operator.output]
        rows.append(
            LayerParity(
                index=operator.index,
                name=operator.output.name,
                op=operator.op,
                sqnr_db=round(ratio, 2),
                cosine=round(angle, 6),
                input_sqnr_db=round(min(sources), 2),
                own_sqnr_db=round(_figures(exact, rounded[operator.output])[0], 2),
            )
        )
    return tuple(rows)


@torch.no_grad()
def _activations(
    network: FloatExecutor, batch: Values, quantiser: FakeQuantize | None = None
) -> dict[Tensor, torch.Tensor]:
    """Return the value of every activation."""
    values: dict[Tensor, torch.Tensor] = {}

    def keep(tensor: Tensor, value: torch.Tensor) -> torch.Tensor:
        seen = value if quantiser is None else quantiser(tensor, value)
        if tensor.data is None:
            values[tensor] = seen
        return seen

    network.run(batch, keep)
    return values


def _figures(wanted: torch.Tensor, found: torch.Tensor) -> tuple[float, float]:
    """Return signal to noise in decibels, and cosine."""
    return sqnr_db(wanted.numpy(), found.numpy()), cosine(wanted.numpy(), found.numpy())
