/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_sum_s16_dsp.h
 *  What sums and differences of int16 values share, for processors with the DSP extension.
 *
 *  What a value gains before it is scaled is 2^15, as in te_add_s16.c. Half of it is what the operand of the larger scale
 *  has in the sum: its value times 2^16, shifted by 2. */
#ifndef TE_SUM_S16_DSP_H
#define TE_SUM_S16_DSP_H

#include "te_dsp.h"
#include "te_kernels.h"

/** What is subtracted. Constants, so that each has a loop of its own. */
typedef enum { TE_NEITHER, TE_SCALED, TE_EXACT } te_subtracted;

/** @param scaled  The operand of the smaller scale, times 2^16.
 *  @param exact   That of the larger one, times 2^16. */
static inline int32_t te_sum_of_s16(const te_add_s16_dsp_params *params, int32_t scaled, int32_t exact,
                                    te_subtracted subtracted) {
    int32_t sum = te_rounded_high(scaled, params->scaled_multiplier);
    sum += ((sum >> 31) & params->scaled_sign) + params->scaled_half;
    sum >>= params->scaled_right_shift;
    if (subtracted == TE_SCALED) {
        sum = (exact >> 2) - sum;
    } else {
        sum += subtracted == TE_EXACT ? -(exact >> 2) : exact >> 2;
    }
    sum = te_rounded_high_plus(sum, params->output_multiplier);
    sum += (sum >> 31) + params->output_half;
    return te_saturate16(sum >> params->output_right_shift);
}

static inline void te_sums_s16(const te_add_s16_dsp_params *params, const int16_t *scaled, const int16_t *exact,
                               int16_t *output, te_subtracted subtracted) {
    const te_add_s16_dsp_params how = *params; /* The output may be any memory but this. */
    int32_t left = how.count;
    for (; left >= 2; left -= 2) {
        const uint32_t a = te_load4(scaled);
        const uint32_t b = te_load4(exact);
        const int32_t low = te_sum_of_s16(&how, (int32_t)(a << 16), (int32_t)(b << 16), subtracted);
        const int32_t high =
            te_sum_of_s16(&how, (int32_t)(a & 0xffff0000u), (int32_t)(b & 0xffff0000u), subtracted);
        te_store4(output, te_low_halves((uint32_t)low, (uint32_t)high));
        scaled += 2;
        exact += 2;
        output += 2;
    }
    if (left > 0) {
        *output = (int16_t)te_sum_of_s16(&how, *scaled * (1 << 16), *exact * (1 << 16), subtracted);
    }
}

#endif /* TE_SUM_S16_DSP_H */
