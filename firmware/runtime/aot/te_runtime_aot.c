/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_runtime_aot.c
 *  te_runtime.h over a model that `tinyedge compile` made; te_model.h says how to name it. */
#include "te_model.h"
#include "te_runtime.h"

#ifdef TE_PROFILE
#define LAYER_INFO(layer_name, operator_name, kernel_name, multiply_accumulates) \
    {.name = (layer_name), .op = (operator_name), .kernel = (kernel_name), .macs = (multiply_accumulates)},

static const te_layer_info layers[TE_MODEL_LAYER_COUNT] = {TE_MODEL_LAYERS(LAYER_INFO)};
#endif

static const te_model_info info = {
    .name = TE_MODEL_NAME,
    .runtime = "aot",
    .instruction_set = TE_MODEL_INSTRUCTION_SET,
    .sha256 = TE_MODEL_SHA256,
    .arena_bytes = TE_MODEL_ARENA_BYTES,
    .input =
        {
            .rank = TE_MODEL_INPUT_RANK,
            .dims = TE_MODEL_INPUT_DIMS,
            .bytes = TE_MODEL_INPUT_BYTES,
            .scale = TE_MODEL_INPUT_SCALE,
            .zero_point = TE_MODEL_INPUT_ZERO_POINT,
        },
    .output =
        {
            .rank = TE_MODEL_OUTPUT_RANK,
            .dims = TE_MODEL_OUTPUT_DIMS,
            .bytes = TE_MODEL_OUTPUT_BYTES,
            .scale = TE_MODEL_OUTPUT_SCALE,
            .zero_point = TE_MODEL_OUTPUT_ZERO_POINT,
        },
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

int8_t *te_runtime_input(void) {
    return te_model_input();
}

te_status te_runtime_invoke(te_layer_hook hook, void *context) {
#ifdef TE_PROFILE
    return te_model_invoke_profiled(hook, context);
#else
    (void)hook, (void)context;
    return te_model_invoke();
#endif
}

const int8_t *te_runtime_output(void) {
    return te_model_output();
}
