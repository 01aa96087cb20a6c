/* SPDX-License-Identifier: Apache-2.0 */
#include "te_gemm_wasm.h"
#include "te_kernels.h"
#include "te_widen_wasm.h"

void te_fully_connected_s8_wasm(const te_fully_connected_wasm_params *params, const int8_t *input, int8_t *output,
                                void *scratch) {
    int16_t *const values = scratch;
    const int16_t *const starts[1] = {values};
    const int32_t padded = (params->in_c + 1) / 2 * 2;
    te_gemm_wasm layer;

    layer.packed = params->packed;
    layer.constants = params->constants;
    layer.channels = params->out_c;
    layer.output_step = params->out_c;
    layer.input_step = padded;
    layer.runs = 1;
    layer.run_pairs = padded / 2;
    layer.shift = params->shift;
    layer.output_min = params->output_min;
    layer.output_max = params->output_max;
    for (int32_t left = params->batches; left > 0;) {
        const int32_t pixels = left >= TE_WASM_PIXELS ? TE_WASM_PIXELS : 1;
        for (int32_t pixel = 0; pixel < pixels; ++pixel) {
            te_widen_wasm(values + pixel * padded, input, params->in_c);
            values[pixel * padded + padded - 1] = padded > params->in_c ? 0 : values[pixel * padded + padded - 1];
            input += params->in_c;
        }
        if (pixels == TE_WASM_PIXELS) {
            te_gemm_wasm_pixels(&layer, starts, output, TE_WASM_PIXELS);
        } else {
            te_gemm_wasm_pixels(&layer, starts, output, 1);
        }
        output += pixels * params->out_c;
        left -= pixels;
    }
}
