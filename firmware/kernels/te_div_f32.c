/* SPDX-License-Identifier: Apache-2.0 */
#include "te_broadcast.h"
#include "te_kernels.h"

static void div_row(const void *params, const void *opaque_a, int32_t step_a, const void *opaque_b, int32_t step_b,
                    void *opaque_output, int32_t count) {
    const float *a = opaque_a;
    const float *b = opaque_b;
    float *output = opaque_output;
    (void)params;
    for (int32_t i = 0; i < count; ++i) {
        output[i] = *a / *b;
        a += step_a;
        b += step_b;
    }
}

void te_div_f32(const te_div_f32_params *params, const float *input1, const float *input2, float *output,
                void *scratch) {
    (void)scratch;
    te_for_each_row(div_row, params, sizeof *output, params->dims, input1, params->strides1, input2, params->strides2,
                    output);
}
