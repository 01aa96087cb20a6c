/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_broadcast.h"
#include "te_dsp.h"
#include "te_kernels.h"

static inline int32_t output_of(const te_mul_s16_dsp_params *params, int32_t a, int32_t b) {
    int32_t scaled = te_rounded_high_plus(a * b, params->multiplier);
    scaled = (scaled + (scaled >> 31) + params->half) >> params->right_shift;
    scaled = scaled < params->output_min ? params->output_min : scaled;
    return scaled > params->output_max ? params->output_max : scaled;
}

/** A step is 1, or 0 where the row repeats one value. */
static void mul_row(const void *opaque, const void *opaque_a, int32_t step_a, const void *opaque_b, int32_t step_b,
                    void *opaque_output, int32_t count) {
    const te_mul_s16_dsp_params params = *(const te_mul_s16_dsp_params *)opaque; /* The output is no part of it. */
    const int16_t *a = opaque_a;
    const int16_t *b = opaque_b;
    int16_t *output = opaque_output;
    const uint32_t repeated_a = te_pack(*a, *a);
    const uint32_t repeated_b = te_pack(*b, *b);
    for (; count >= 2; count -= 2) {
        const uint32_t pair_a = step_a != 0 ? te_load4(a) : repeated_a;
        const uint32_t pair_b = step_b != 0 ? te_load4(b) : repeated_b;
        const int32_t low = output_of(&params, te_low(pair_a), te_low(pair_b));
        const int32_t high = output_of(&params, te_high(pair_a), te_high(pair_b));
        te_store4(output, te_low_halves((uint32_t)low, (uint32_t)high));
        a += 2 * step_a;
        b += 2 * step_b;
        output += 2;
    }
    if (count > 0) {
        *output = (int16_t)output_of(&params, *a, *b);
    }
}

void te_mul_s16_dsp(const te_mul_s16_dsp_params *params, const int16_t *input1, const int16_t *input2, int16_t *output,
                    void *scratch) {
    const int16_t *a = params->constant1 != NULL ? params->constant1 : input1;
    const int16_t *b = params->constant2 != NULL ? params->constant2 : input2;
    (void)scratch;
    te_for_each_row(mul_row, params, sizeof *output, params->dims, a, params->strides1, b, params->strides2, output);
}
