"""The options of the float operators that conversion writes."""

FULLY_CONNECTED = {
    "fused_activation_function": "NONE",
    "weights_format": "DEFAULT",
    "keep_num_dims": True,
    "asymmetric_quantize_inputs": False,
    "quantized_bias_type": "FLOAT32",
}
SUM = {"fused_activation_function": "NONE", "pot_scale_int16": False}
PRODUCT = {"fused_activation_function": "NONE"}
