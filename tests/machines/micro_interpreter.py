"""TFLite Micro's interpreter of the small models of tests, of which there are thousands."""

from unittest import mock

from tflite_micro.python.tflite_micro import runtime


def micro_interpreter(model: bytes, arena_bytes: int) -> runtime.Interpreter:
    """Make the interpreter of a model without resource variables.

    To count these its package unpacks the whole model into Python objects first, which takes longer than all the rest.
    """
    with mock.patch.object(runtime, "count_resource_variables", return_value=0):
        return runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
