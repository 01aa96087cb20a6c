/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_broadcast.h"
#include "te_kernels.h"
#include "te_requantise.h"

/* Keeps bits below one step of a difference, whose square has to fit 32 bits. */
#define HEADROOM 128

static void squared_difference_row(const void *opaque, const void *opaque_a, int32_t step_a, const void *opaque_b,
                                   int32_t step_b, void *opaque_output, int32_t count) {
    const te_add_params *params = opaque;
    const int8_t *a = opaque_a;
    const int8_t *b = opaque_b;
    int8_t *output = opaque_output;
    for (int32_t i = 0; i < count; ++i) {
        const int32_t scaled_a = te_requantise((*a - params->input1_zero_point) * HEADROOM, params->input1_multiplier, params->input1_shift);
        const int32_t scaled_b = te_requantise((*b - params->input2_zero_point) * HEADROOM, params->input2_multiplier, params->input2_shift);
        const int32_t difference = scaled_a - scaled_b;
        const int32_t square = te_requantise(difference * difference, params->output_multiplier, params->output_shift);
        output[i] = te_clamp(te_add_wrapping(square, params->output_zero_point), params->output_min, params->output_max);
        a += step_a;
        b += step_b;
    }
}

void te_squared_difference_s8(const te_add_params *params, const int8_t *input1, const int8_t *input2,
                               int8_t *output, void *scratch) {
    const int8_t *a = params->constant1 != NULL ? params->constant1 : input1;
    const int8_t *b = params->constant2 != NULL ? params->constant2 : input2;
    (void)scratch;
    te_for_each_row(squared_difference_row, params, sizeof *output, params->dims, a, params->strides1, b,
                    params->strides2, output);
}
