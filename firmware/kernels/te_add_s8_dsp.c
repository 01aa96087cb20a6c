/* SPDX-License-Identifier: Apache-2.0 */
#include "te_dsp.h"
#include "te_kernels.h"

/* The bits that a value gains before it is scaled, as in te_add_s8.c. */
#define HEADROOM_BITS 20

/** What each code of the operand of the smaller scale adds to the sum, less the other's zero point. That is what
 *  te_requantise() makes of (code - zero point) << HEADROOM_BITS, or what it makes less: from one code to the next, the
 *  product grows by the multiplier. */
static void fill_table(const te_add_dsp_params *params, int32_t *table) {
    const int32_t exact_zero_point = params->exact_zero_point * params->exact_unit;
    const int32_t right_shift = -params->scaled_shift;
    const int32_t half = (int32_t)(((uint32_t)1 << right_shift) >> 1);
    const int32_t sign = right_shift > 0 ? -1 : 0;
    const int32_t multiplier = params->scaled_multiplier; /* The table may be any memory but this. */
    int64_t product = (int64_t)(INT8_MIN - params->scaled_zero_point) * multiplier;
    product += 1 << (30 - HEADROOM_BITS);
    for (int32_t code = INT8_MIN; code <= INT8_MAX; ++code) {
        int32_t value = (int32_t)(product >> (31 - HEADROOM_BITS));
        value += ((value >> 31) & sign) + half;
        table[(uint8_t)code] = (value >> right_shift) - exact_zero_point;
        product += multiplier;
    }
    if (params->scaled_is_subtracted) {
        for (int32_t code = 0; code <= UINT8_MAX; ++code) {
            table[code] = -table[code] - 2 * exact_zero_point;
        }
    }
}

typedef struct {
    int32_t exact_unit;
    int32_t multiplier;
    int32_t rounding;
    int32_t right_shift;
} finish;

static inline int32_t sum_of(const int32_t *table, int8_t scaled, int8_t exact, finish how) {
    return table[(uint8_t)scaled] + exact * how.exact_unit;
}

static inline int32_t output_of(int32_t sum, finish how) {
    sum = te_rounded_high_plus(sum, how.multiplier);
    sum += (sum >> 31) + how.rounding;
    return te_saturate8(sum >> how.right_shift);
}

void te_add_s8_dsp(const te_add_dsp_params *params, const int8_t *scaled, const int8_t *exact, int8_t *output,
                   void *scratch) {
    int32_t *table = scratch;
    const finish how = {params->exact_unit, params->output_multiplier, params->output_rounding, params->output_right_shift};
    int32_t left = params->count;
    fill_table(params, table);
    /* Four elements are read before the first is written, so that no load waits for a store, as far as the compiler knows. */
    for (; left >= 4; left -= 4) {
        const int32_t sum0 = sum_of(table, scaled[0], exact[0], how);
        const int32_t sum1 = sum_of(table, scaled[1], exact[1], how);
        const int32_t sum2 = sum_of(table, scaled[2], exact[2], how);
        const int32_t sum3 = sum_of(table, scaled[3], exact[3], how);
        uint32_t word = (uint32_t)output_of(sum0, how);
        word = te_insert_byte(word, output_of(sum1, how), 8);
        word = te_insert_byte(word, output_of(sum2, how), 16);
        word = te_insert_byte(word, output_of(sum3, how), 24);
        te_store4(output, word);
        scaled += 4;
        exact += 4;
        output += 4;
    }
    for (; left > 0; --left) {
        *output++ = (int8_t)output_of(sum_of(table, *scaled++, *exact++, how), how);
    }
}
