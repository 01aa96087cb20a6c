/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_broadcast.h"
#include "te_kernels.h"
#include "te_requantise.h"

/* Keeps the bits below one step of the output while the operands are brought to a common scale. */
#define HEADROOM 32768

static void add_row(const void *opaque, const void *opaque_a, int32_t step_a, const void *opaque_b, int32_t step_b,
                    void *opaque_output, int32_t count) {
    const te_add_s16_params *params = opaque;
    const int16_t *a = opaque_a;
    const int16_t *b = opaque_b;
    int16_t *output = opaque_output;
    for (int32_t i = 0; i < count; ++i) {
        const int32_t scaled_a = te_requantise(*a * HEADROOM, params->input1_multiplier, params->input1_shift);
        const int32_t scaled_b = te_requantise(*b * HEADROOM, params->input2_multiplier, params->input2_shift);
        const int32_t sum = te_requantise(scaled_a + scaled_b, params->output_multiplier, params->output_shift);
        output[i] = te_clamp_s16(sum, params->output_min, params->output_max);
        a += step_a;
        b += step_b;
    }
}

void te_add_s16(const te_add_s16_params *params, const int16_t *input1, const int16_t *input2, int16_t *output,
                void *scratch) {
    const int16_t *a = params->constant1 != NULL ? params->constant1 : input1;
    const int16_t *b = params->constant2 != NULL ? params->constant2 : input2;
    (void)scratch;
    te_for_each_row(add_row, params, sizeof *output, params->dims, a, params->strides1, b, params->strides2, output);
}
