/* SPDX-License-Identifier: Apache-2.0 */
#include "te_dsp.h"
#include "te_kernels.h"

/* The sum of two operands, 2^19 to a unit, of which the second has the larger scale: half of its shifted value is a shift
 * by one less, without rounding. */
static inline int32_t sum_of(const te_add_dsp_params *params, int32_t scaled, int32_t exact) {
    int32_t sum = te_rounded_high(scaled * (1 << 21) - params->scaled_zero_point, params->scaled_multiplier);
    sum += (sum >> 31) + params->scaled_rounding;
    sum >>= params->scaled_right_shift;
    return sum + exact * (1 << 19) - params->exact_zero_point;
}

/* The same where both scales are equal. */
static inline int32_t sum_of_equals(const te_add_dsp_params *params, int32_t scaled, int32_t exact) {
    return (scaled + exact) * (1 << 19) - params->exact_zero_point;
}

static inline int8_t finish(const te_add_dsp_params *params, int32_t sum) {
    sum = te_rounded_high_plus(sum, params->output_multiplier);
    sum += (sum >> 31) + params->output_rounding;
    return (int8_t)te_saturate8(sum >> params->output_right_shift);
}

static inline int32_t byte_of(uint32_t word, int32_t index) {
    return (int8_t)(uint8_t)((word >> (8 * index)) & 0xffu);
}

static inline void add_all(const te_add_dsp_params *params, const int8_t *scaled, const int8_t *exact, int8_t *output,
                           int32_t (*sum)(const te_add_dsp_params *, int32_t, int32_t)) {
    int32_t left = params->count;
    for (; left >= 4; left -= 4) {
        const uint32_t a = te_load4(scaled);
        const uint32_t b = te_load4(exact);
        output[0] = finish(params, sum(params, byte_of(a, 0), byte_of(b, 0)));
        output[1] = finish(params, sum(params, byte_of(a, 1), byte_of(b, 1)));
        output[2] = finish(params, sum(params, byte_of(a, 2), byte_of(b, 2)));
        output[3] = finish(params, sum(params, byte_of(a, 3), byte_of(b, 3)));
        scaled += 4;
        exact += 4;
        output += 4;
    }
    for (; left > 0; --left) {
        *output++ = finish(params, sum(params, *scaled++, *exact++));
    }
}

void te_add_s8_dsp(const te_add_dsp_params *params, const int8_t *scaled, const int8_t *exact, int8_t *output,
                   void *scratch) {
    /* A copy that no store through `output` can change stays in registers. */
    const te_add_dsp_params constants = *params;
    (void)scratch;
    if (constants.scaled_right_shift == 0) {
        add_all(&constants, scaled, exact, output, sum_of_equals);
    } else {
        add_all(&constants, scaled, exact, output, sum_of);
    }
}
