/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_broadcast.h"
#include "te_kernels.h"
#include "te_requantise.h"

static void squared_difference_row(const void *opaque, const void *opaque_a, int32_t step_a, const void *opaque_b,
                                   int32_t step_b, void *opaque_output, int32_t count) {
    const te_add_s16_params *params = opaque;
    const int16_t *a = opaque_a;
    const int16_t *b = opaque_b;
    int16_t *output = opaque_output;
    for (int32_t i = 0; i < count; ++i) {
        const int32_t scaled_a = te_requantise(*a, params->input1_multiplier, params->input1_shift);
        const int32_t scaled_b = te_requantise(*b, params->input2_multiplier, params->input2_shift);
        const int32_t difference = scaled_a - scaled_b;
        const int32_t square = te_requantise(difference * difference, params->output_multiplier, params->output_shift);
        output[i] = te_clamp_s16(square, params->output_min, params->output_max);
        a += step_a;
        b += step_b;
    }
}

void te_squared_difference_s16(const te_add_s16_params *params, const int16_t *input1, const int16_t *input2,
                               int16_t *output, void *scratch) {
    const int16_t *a = params->constant1 != NULL ? params->constant1 : input1;
    const int16_t *b = params->constant2 != NULL ? params->constant2 : input2;
    (void)scratch;
    te_for_each_row(squared_difference_row, params, sizeof *output, params->dims, a, params->strides1, b,
                    params->strides2, output);
}
