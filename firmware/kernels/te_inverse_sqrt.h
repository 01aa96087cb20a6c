/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_inverse_sqrt.h
 *  1 / sqrt(x) of an integer, in fixed-point arithmetic. */
#ifndef TE_INVERSE_SQRT_H
#define TE_INVERSE_SQRT_H

#include <stdint.h>

#include "te_fixed_point.h"
#include "te_requantise.h"

/** Writes 1 / sqrt(value) as multiplier * 2^(shift - 31), by five Newton steps from 1.
 *  @param value       Not negative; 0 counts as 1.
 *  @param multiplier  [0, 2^31)
 *  @param shift       [-15, 0] */
static inline void te_inverse_sqrt(int32_t value, int32_t *multiplier, int32_t *shift) {
    const int32_t one_and_a_half = (1 << 28) + (1 << 27); /* In Q3, which has 28 bits behind the point. */
    const int32_t half_sqrt_2 = 1518500250;               /* In Q0. */
    int32_t right_shift = 11;
    int32_t estimate = 1 << 28;
    int32_t half;
    if (value <= 1) {
        *multiplier = INT32_MAX;
        *shift = 0;
        return;
    }
    while (value >= 1 << 29) {
        value /= 4;
        ++right_shift;
    }
    while (value < 1 << 27) {
        value *= 4;
        --right_shift;
    }
    half = te_rounding_shift(value >> 1, 1);
    for (int32_t i = 0; i < 5; ++i) {
        const int32_t square = te_high_mul(estimate, estimate);
        const int32_t cube = te_saturating_shift(te_high_mul(square, estimate), 6);
        estimate = te_saturating_shift(te_high_mul(one_and_a_half, estimate) - te_high_mul(half, cube), 3);
    }
    estimate = te_high_mul(estimate, half_sqrt_2);
    if (right_shift < 0) {
        estimate = (int32_t)((uint32_t)estimate << -right_shift);
        right_shift = 0;
    }
    *multiplier = estimate;
    *shift = -right_shift;
}

#endif /* TE_INVERSE_SQRT_H */
