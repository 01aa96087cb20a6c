/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_fixed_point.h
 *  Functions of fixed-point numbers. Qm has m integer bits and 31 - m behind the point. */
#ifndef TE_FIXED_POINT_H
#define TE_FIXED_POINT_H

#include <stdint.h>

#include "te_requantise.h"

/** x * 2^exponent, limited to 32 bits. */
static inline int32_t te_saturating_shift(int32_t x, int32_t exponent) {
    const int64_t shifted = (int64_t)x * ((int64_t)1 << exponent);
    if (shifted > INT32_MAX) {
        return INT32_MAX;
    }
    return shifted < INT32_MIN ? INT32_MIN : (int32_t)shifted;
}

static inline int32_t te_leading_zeros(uint32_t x) {
    int32_t zeros = 0;
    while (zeros < 32 && (x & 0x80000000u) == 0) {
        x <<= 1;
        ++zeros;
    }
    return zeros;
}

/** 1 / (1 + x) in Q0 for a Q0 number x in [0, 1]: three Newton steps from the linear estimate
 *  48/17 - 32/17 * (1 + x) / 2, in Q2. */
static inline int32_t te_reciprocal_of_one_plus(int32_t x) {
    const int32_t one = (int32_t)1 << 29;
    const int32_t half = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2);
    int32_t estimate = 1515870810 + te_high_mul(half, -1010580540);
    for (int32_t step = 0; step < 3; ++step) {
        const int32_t error = one - te_high_mul(half, estimate);
        estimate += te_saturating_shift(te_high_mul(estimate, error), 2);
    }
    return te_saturating_shift(estimate, 1);
}

#endif /* TE_FIXED_POINT_H */
