/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_runtime_aot.c
 *  te_runtime.h over a model that `tinyedge compile` made; te_model.h says how to name it. */
#include <stddef.h>

#include "te_model.h"
#include "te_runtime.h"

#ifdef TE_PROFILE
#define LAYER_INFO(layer_name, operator_name, kernel_name, multiply_accumulates) \
    {.name = (layer_name), .op = (operator_name), .kernel = (kernel_name), .macs = (multiply_accumulates)},

static const te_layer_info layers[TE_MODEL_LAYER_COUNT] = {TE_MODEL_LAYERS(LAYER_INFO)};
#endif

#define TENSOR_INFO(index, function, value_type, size, real_scale, zero, count, ...) \
    {.type = TE_TYPE_##value_type,                                                   \
     .rank = (count),                                                                \
     .dims = {__VA_ARGS__},                                                          \
     .bytes = (size),                                                                \
     .scale = (real_scale),                                                          \
     .zero_point = (zero)},

static const te_tensor_info inputs[] = {TE_MODEL_INPUTS(TENSOR_INFO)};
static const te_tensor_info outputs[] = {TE_MODEL_OUTPUTS(TENSOR_INFO)};

static const te_model_info info = {
    .name = TE_MODEL_NAME,
    .runtime = "aot",
    .instruction_set = TE_MODEL_INSTRUCTION_SET,
    .sha256 = TE_MODEL_SHA256,
    .arena_bytes = TE_MODEL_ARENA_BYTES,
    .state_bytes = TE_MODEL_STATE_BYTES,
    .input_count = sizeof inputs / sizeof inputs[0],
    .inputs = inputs,
    .output_count = sizeof outputs / sizeof outputs[0],
    .outputs = outputs,
    .layer_count = TE_MODEL_LAYER_COUNT,
#ifdef TE_PROFILE
    .layers = layers,
#endif
};

te_status te_runtime_init(void) {
    return te_model_init();
}

const te_model_info *te_runtime_info(void) {
    return &info;
}

#define ADDRESS_CASE(index, function, ...) \
    case (index):                          \
        return function();

void *te_runtime_input(int32_t index) {
    switch (index) {
        TE_MODEL_INPUTS(ADDRESS_CASE)
    default:
        return NULL;
    }
}

te_status te_runtime_reset(void) {
#if TE_MODEL_STATE_BYTES > 0
    te_model_reset();
#endif
    return TE_OK;
}

te_status te_runtime_invoke(te_layer_hook hook, void *context) {
#ifdef TE_PROFILE
    return te_model_invoke_profiled(hook, context);
#else
    (void)hook, (void)context;
    return te_model_invoke();
#endif
}

const void *te_runtime_output(int32_t index) {
    switch (index) {
        TE_MODEL_OUTPUTS(ADDRESS_CASE)
    default:
        return NULL;
    }
}
