/* SPDX-License-Identifier: Apache-2.0 */
#include "te_fixed_point.h"
#include "te_kernels.h"
#include "te_requantise.h"

/* Of the sum of exponentials, of differences and logarithms, and of the logarithm while it is computed. */
#define SUM_INTEGER_BITS 12
#define INTEGER_BITS 5
#define WORK_INTEGER_BITS 6
/* The output has 16 steps to 1. */
#define OUTPUT_SHIFT (31 - INTEGER_BITS - 4)

/** The natural logarithm of a number of at least 1, in Q5: that of a power of two and of what is left in
 *  [sqrt(1/2), sqrt(2)), by a rational approximation around 1.
 *  @param sum  In Q12. */
static int32_t logarithm(int32_t sum) {
    /* In Q0. */
    const int32_t log_2 = 1488522236;
    const int32_t fourth_root_of_half = 1805811301;
    const int32_t root_of_half = 1518500250;
    const int32_t a_n = 117049297;
    const int32_t a_d = 127690142;
    const int32_t a_i = 1057819769;
    const int32_t a_f = 638450708;
    const int32_t quarter = 1 << (31 - WORK_INTEGER_BITS - 2);
    const int32_t zeros = te_leading_zeros((uint32_t)sum);
    const int32_t scaled = te_high_mul(te_saturating_shift(sum, zeros - 1), root_of_half);
    const int32_t rest_a = te_saturating_shift(scaled, 1);
    const int32_t power_a = te_saturating_shift(SUM_INTEGER_BITS - zeros, 31 - WORK_INTEGER_BITS) + quarter;
    const int32_t headroom_b = te_leading_zeros((uint32_t)te_high_mul(sum, root_of_half)) - 1;
    const int32_t rest_b = te_saturating_shift(sum, headroom_b);
    const int32_t power_b = te_saturating_shift(SUM_INTEGER_BITS - headroom_b, 31 - WORK_INTEGER_BITS) - quarter;
    const int32_t rest = rest_a < rest_b ? rest_a : rest_b;
    const int32_t power = power_a > power_b ? power_a : power_b;
    const int32_t p = (int32_t)(((int64_t)rest + fourth_root_of_half + 1) / 2);
    const int32_t q = 2 * (rest - fourth_root_of_half);
    const int32_t square = te_high_mul(q, q);
    const int32_t numerator = te_high_mul(q, rest) + te_high_mul(te_high_mul(q, square), a_n);
    const int32_t denominator_less_one =
        te_high_mul(p, a_i + q + te_high_mul(a_d, square)) + te_high_mul(a_f, q);
    const int32_t reciprocal = te_reciprocal_of_one_plus(denominator_less_one);
    const int32_t quotient = te_high_mul(te_rounding_shift(numerator, WORK_INTEGER_BITS), reciprocal);
    return te_saturating_shift(te_high_mul(power, log_2) + quotient, WORK_INTEGER_BITS - INTEGER_BITS);
}

void te_log_softmax_s8(const te_log_softmax_params *params, const int8_t *input, int8_t *output, void *scratch) {
    const int32_t depth = params->depth;
    (void)scratch;

    for (int32_t row = 0; row < params->rows; ++row) {
        int32_t largest = INT8_MIN;
        int32_t sum = 0;
        int32_t least;
        for (int32_t i = 0; i < depth; ++i) {
            largest = input[i] > largest ? input[i] : largest;
        }
        for (int32_t i = 0; i < depth; ++i) {
            const int32_t below = largest - input[i];
            if (below < params->levels) {
                sum += te_rounding_shift(params->exps[below], SUM_INTEGER_BITS);
            }
        }
        const int32_t log_sum = logarithm(sum);
        /* What lies further below the largest value has no logarithm in Q5. */
        least = te_requantise(log_sum + INT32_MIN, params->reverse_multiplier, params->reverse_shift);
        least = least > params->least ? least : params->least;
        for (int32_t i = 0; i < depth; ++i) {
            const int32_t difference = input[i] - largest;
            int32_t value = INT8_MIN;
            if (difference > least) {
                const int32_t real = te_requantise(difference, params->multiplier, params->shift);
                value = te_rounding_shift(real - log_sum, OUTPUT_SHIFT) + INT8_MAX;
            }
            output[i] = te_clamp(value, INT8_MIN, INT8_MAX);
        }
        input += depth;
        output += depth;
    }
}
