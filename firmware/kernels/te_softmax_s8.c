/* SPDX-License-Identifier: Apache-2.0 */
#include "te_fixed_point.h"
#include "te_kernels.h"
#include "te_requantise.h"

/* The sum of exponentials has this many integer bits. */
#define SUM_INTEGER_BITS 12

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
        const int32_t zeros = te_leading_zeros((uint32_t)sum);
        const int32_t x = (int32_t)(((uint32_t)sum << zeros) - 0x80000000u);
        const int32_t reciprocal = te_reciprocal_of_one_plus(x);
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
