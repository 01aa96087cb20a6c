/* SPDX-License-Identifier: Apache-2.0 */
#include "te_dsp.h"
#include "te_kernels.h"

/* What a value gains before it is scaled is 2^15, as in te_add_s16.c. Half of it is what the operand of the larger scale
 * has in the sum: its value times 2^16, shifted by 2. */

/** @param scaled  The operand of the smaller scale, times 2^16.
 *  @param exact   That of the larger one, times 2^16. */
static inline int32_t sum_of(const te_add_s16_dsp_params *params, int32_t scaled, int32_t exact) {
    int32_t sum = te_rounded_high(scaled, params->scaled_multiplier);
    sum += ((sum >> 31) & params->scaled_sign) + params->scaled_half;
    sum = (sum >> params->scaled_right_shift) + (exact >> 2);
    sum = te_rounded_high_plus(sum, params->output_multiplier);
    sum += (sum >> 31) + params->output_half;
    return te_saturate16(sum >> params->output_right_shift);
}

void te_add_s16_dsp(const te_add_s16_dsp_params *params, const int16_t *scaled, const int16_t *exact, int16_t *output,
                    void *scratch) {
    const te_add_s16_dsp_params how = *params; /* The output may be any memory but this. */
    int32_t left = how.count;
    (void)scratch;
    for (; left >= 2; left -= 2) {
        const uint32_t a = te_load4(scaled);
        const uint32_t b = te_load4(exact);
        const int32_t low = sum_of(&how, (int32_t)(a << 16), (int32_t)(b << 16));
        const int32_t high = sum_of(&how, (int32_t)(a & 0xffff0000u), (int32_t)(b & 0xffff0000u));
        te_store4(output, te_low_halves((uint32_t)low, (uint32_t)high));
        scaled += 2;
        exact += 2;
        output += 2;
    }
    if (left > 0) {
        *output = (int16_t)sum_of(&how, *scaled * (1 << 16), *exact * (1 << 16));
    }
}
