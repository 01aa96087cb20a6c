/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"
#include "te_requantise.h"

/* The sum of exponentials has this many integer bits. */
#define SUM_INTEGER_BITS 12

static int32_t saturating_shift(int32_t x, int32_t exponent) {
    const int64_t shifted = (int64_t)x * ((int64_t)1 << exponent);
    if (shifted > INT32_MAX) {
        return INT32_MAX;
    }
    return shifted < INT32_MIN ? INT32_MIN : (int32_t)shifted;
}

static int32_t leading_zeros(uint32_t x) {
    int32_t zeros = 0;
    while (zeros < 32 && (x & 0x80000000u) == 0) {
        x <<= 1;
        ++zeros;
    }
    return zeros;
}

/* 1 / (1 + x) for fractions of 2^31: three Newton steps from the linear estimate 48/17 - 32/17 * (1 + x) / 2, on
 * numbers with two integer bits. */
static int32_t reciprocal_of_one_plus(int32_t x) {
    const int32_t one = (int32_t)1 << 29;
    const int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2);
    int32_t estimate = 1515870810 + te_high_mul(half, -1010580540);
    for (int32_t step = 0; step < 3; ++step) {
        const int32_t error = one - te_high_mul(half, estimate);
        estimate += saturating_shift(te_high_mul(estimate, error), 2);
    }
    return saturating_shift(estimate, 1);
}

void te_softmax_s8(const te_softmax_params *params, const int8_t *input, int8_t *output, void *scratch) {
    const int32_t depth = params->depth;
    (void)scratch;

    for (int32_t row = 0; row < params->rows; ++row) {
        int32_t largest = INT8_MIN;
        for (int32_t i = 0; i < depth; ++i) {
            largest = input[i] > largest ? input[i] : largest;
        }
        int32_t sum = 0;
        for (int32_t i = 0; i < depth; ++i) {
            const int32_t below = largest - input[i];
            if (below < params->levels) {
                sum += te_rounding_shift(params->exps[below], SUM_INTEGER_BITS);
            }
        }
        /* sum = 2^(SUM_INTEGER_BITS - zeros) * (1 + x), so that only 1 / (1 + x) needs computing. */
        const int32_t zeros = leading_zeros((uint32_t)sum);
        const int32_t x = (int32_t)(((uint32_t)sum << zeros) - 0x80000000u);
        const int32_t reciprocal = reciprocal_of_one_plus(x);
        const int32_t exponent = SUM_INTEGER_BITS - zeros + 31 - 8;
        for (int32_t i = 0; i < depth; ++i) {
            const int32_t below = largest - input[i];
            int32_t share = 0;
            /* Beyond 31 bits, which takes a sum of 512 and more, no share reaches half a step. */
            if (below < params->levels && exponent <= 31) {
                share = te_rounding_shift(te_high_mul(reciprocal, params->exps[below]), exponent);
            }
            output[i] = te_clamp(share + INT8_MIN, INT8_MIN, INT8_MAX);
        }
        input += depth;
        output += depth;
    }
}
