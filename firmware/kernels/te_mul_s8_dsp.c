/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_broadcast.h"
#include "te_dsp.h"
#include "te_kernels.h"

/** The output of a product, but for the clamp range. */
static inline int32_t rescale(const te_mul_dsp_params *params, int32_t product) {
    int32_t scaled = te_rounded_high_plus(product, params->multiplier);
    scaled += (scaled >> 31) + params->rounding;
    return te_saturate8(scaled >> params->right_shift);
}

/** Bytes 0 and 2, or 1 and 3, of four outputs. */
static inline uint32_t two_outputs(const te_mul_dsp_params *params, uint32_t a, uint32_t b) {
    const int32_t low = rescale(params, te_low(a) * te_low(b));
    const int32_t high = rescale(params, te_high(a) * te_high(b));
    return te_low_halves((uint32_t)low, (uint32_t)high) & 0x00ff00ffu;
}

/** Four outputs of four bytes of each operand. */
static inline uint32_t four_outputs(const te_mul_dsp_params *params, uint32_t a, uint32_t b) {
    const uint32_t offset_a = te_pack(-params->input1_zero_point, -params->input1_zero_point);
    const uint32_t offset_b = te_pack(-params->input2_zero_point, -params->input2_zero_point);
    const uint32_t even = two_outputs(params, te_add_even_bytes(offset_a, a), te_add_even_bytes(offset_b, b));
    const uint32_t odd = two_outputs(params, te_add_odd_bytes(offset_a, a), te_add_odd_bytes(offset_b, b));
    const uint32_t floored = te_max_bytes(even | odd << 8, te_repeat_byte(params->output_min));
    return te_min_bytes(floored, te_repeat_byte(params->output_max));
}

/** A step is 1, or 0 where the row repeats one value. */
static void mul_row(const void *opaque, const void *opaque_a, int32_t step_a, const void *opaque_b, int32_t step_b,
                    void *opaque_output, int32_t count) {
    const te_mul_dsp_params params = *(const te_mul_dsp_params *)opaque; /* The output may be any memory but this. */
    const int8_t *a = opaque_a;
    const int8_t *b = opaque_b;
    int8_t *output = opaque_output;
    const uint32_t repeated_a = te_repeat_byte(*a);
    const uint32_t repeated_b = te_repeat_byte(*b);
    for (; count >= 4; count -= 4) {
        te_store4(output, four_outputs(&params, step_a != 0 ? te_load4(a) : repeated_a,
                                       step_b != 0 ? te_load4(b) : repeated_b));
        a += 4 * step_a;
        b += 4 * step_b;
        output += 4;
    }
    for (; count > 0; --count) {
        *output++ = (int8_t)(uint8_t)(four_outputs(&params, (uint8_t)*a, (uint8_t)*b) & 0xffu);
        a += step_a;
        b += step_b;
    }
}

void te_mul_s8_dsp(const te_mul_dsp_params *params, const int8_t *input1, const int8_t *input2, int8_t *output,
                   void *scratch) {
    const int8_t *a = params->constant1 != NULL ? params->constant1 : input1;
    const int8_t *b = params->constant2 != NULL ? params->constant2 : input2;
    (void)scratch;
    te_for_each_row(mul_row, params, sizeof *output, params->dims, a, params->strides1, b, params->strides2, output);
}
