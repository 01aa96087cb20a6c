"""What to do about an operator that a runtime lacks."""

_REMEDIES = {
    "BROADCAST_TO": "give the operand its full shape, or leave the broadcasting to ADD and MUL",
    "CONV_3D": "use 2-D convolutions",
    "ELU": "use RELU (RELU6, HARD_SWISH) as the activation",
    "EXP": "use LOGISTIC, TANH or SOFTMAX, which have integer kernels",
    "GELU": "train with --act relu, or use RELU or HARD_SWISH as the activation",
    "IF": "export the network without control flow",
    "LSTM": "use 1-D convolutions, or the unrolled cell",
    "POW": "use MUL",
    "RELU_0_TO_1": "use RELU6 of a shifted and scaled input, as `tinyedge export` does",
    "RELU_N1_TO_1": "use RELU6, or MAXIMUM and MINIMUM",
    "RFFT2D": "compute the spectrum before the network",
    "SELECT": "replace the condition by MUL with a mask, or use tf.where of TensorFlow 2 (SELECT_V2)",
    "SQRT": "use RSQRT, or leave the root to the batch norm, which folds",
    "SQUARE": "use MUL of the tensor with itself",
    "TILE": "use RESIZE_NEAREST_NEIGHBOR for upsampling, or let ADD and MUL broadcast",
    "TOPK_V2": "take the largest scores after the network, on the host side of the firmware",
    "WHILE": "export the network without control flow",
}
_FLEX = "Flex"


def remedy_for(op: str) -> str | None:
    """Return what to do about an operator, by TFLite's name or a custom one; None if only the runtime's words help."""
    if op == "FlexErf":
        return "it is GELU's: train with --act relu, or use RELU or HARD_SWISH, and convert without SELECT_TF_OPS"
    if op.startswith(_FLEX):
        return (
            f"it is TensorFlow's own {op.removeprefix(_FLEX)}: replace it in the network and convert without "
            "SELECT_TF_OPS"
        )
    return _REMEDIES.get(op)


GENERIC_REMEDY = "replace it in the network before the conversion"
