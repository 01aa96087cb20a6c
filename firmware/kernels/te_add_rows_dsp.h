/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_add_rows_dsp.h
 *  The row that sums and differences share, for processors with the DSP extension. */
#ifndef TE_ADD_ROWS_DSP_H
#define TE_ADD_ROWS_DSP_H

#include "te_broadcast.h"
#include "te_dsp.h"
#include "te_kernels.h"

/* The bits that a value gains before it is scaled, as in te_add_s8.c. */
#define TE_ADD_HEADROOM_BITS 20

/** te_requantise() of a code less its zero point, times 2^TE_ADD_HEADROOM_BITS; the shift goes to the right. */
typedef struct {
    int32_t zero_point;
    int32_t multiplier;
    int32_t half; /**< Of the last bit that it shifts out; 0 without a shift. */
    int32_t sign; /**< -1, which rounds halves away from zero; 0 without a shift. */
    int32_t right_shift;
} te_scaling;

static inline te_scaling te_scaling_of(int32_t zero_point, int32_t multiplier, int32_t shift) {
    const te_scaling how = {zero_point, multiplier, shift < 0 ? 1 << (-shift - 1) : 0, shift < 0 ? -1 : 0, -shift};
    return how;
}

static inline int32_t te_scaled(const te_scaling *how, int32_t code) {
    const int32_t value =
        te_rounded_high((code - how->zero_point) * (1 << (TE_ADD_HEADROOM_BITS + 1)), how->multiplier);
    return (value + ((value >> 31) & how->sign) + how->half) >> how->right_shift;
}

/** A te_row_function but for the first parameter.
 *  @param sign  1, or -1 to subtract b. */
static inline void te_add_row(int32_t sign, const void *opaque, const void *opaque_a, int32_t step_a,
                              const void *opaque_b, int32_t step_b, void *opaque_output, int32_t count) {
    const te_add_params *params = opaque;
    const te_scaling how_a = te_scaling_of(params->input1_zero_point, params->input1_multiplier, params->input1_shift);
    const te_scaling how_b = te_scaling_of(params->input2_zero_point, params->input2_multiplier, params->input2_shift);
    const int32_t right_shift = -params->output_shift;
    const int32_t multiplier = (int32_t)((uint32_t)params->output_multiplier << 1); /* As te_rounded_high_plus() takes it. */
    const int32_t rounding = (2 * params->output_zero_point + 1) * (1 << (right_shift - 1));
    const int32_t output_min = params->output_min;
    const int32_t output_max = params->output_max;
    const int8_t *a = opaque_a;
    const int8_t *b = opaque_b;
    int8_t *output = opaque_output;
    for (int32_t i = 0; i < count; ++i) {
        int32_t sum = te_rounded_high_plus(te_scaled(&how_a, *a) + sign * te_scaled(&how_b, *b), multiplier);
        sum = (sum + (sum >> 31) + rounding) >> right_shift;
        sum = sum < output_min ? output_min : sum;
        output[i] = (int8_t)(sum > output_max ? output_max : sum);
        a += step_a;
        b += step_b;
    }
}

#endif /* TE_ADD_ROWS_DSP_H */
