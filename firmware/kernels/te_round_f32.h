/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_round_f32.h
 *  Rounding of floats as the reference interpreter rounds them. */
#ifndef TE_ROUND_F32_H
#define TE_ROUND_F32_H

#include <stdint.h>

/** Beyond every quantised value with any zero point, and exact as a float. */
#define TE_ROUND_F32_LIMIT 1048576

/** The nearest integer, halves away from zero, of what is limited to TE_ROUND_F32_LIMIT either way; NaN is the lowest. */
static inline int32_t te_round_f32(float real) {
    if (!(real > -(float)TE_ROUND_F32_LIMIT)) {
        return -TE_ROUND_F32_LIMIT;
    }
    if (real > (float)TE_ROUND_F32_LIMIT) {
        return TE_ROUND_F32_LIMIT;
    }
    const int32_t truncated = (int32_t)real;
    const float rest = real - (float)truncated; /* Exact, so that 0.49999997 stays below a half. */
    return truncated + (rest >= 0.5f) - (rest <= -0.5f);
}

#endif /* TE_ROUND_F32_H */
