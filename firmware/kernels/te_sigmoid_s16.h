/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_sigmoid_s16.h
 *  What LOGISTIC and TANH of int16 values share: one half of a sigmoid as a table of 256 points. */
#ifndef TE_SIGMOID_S16_H
#define TE_SIGMOID_S16_H

#include <stdint.h>

#include "te_kernels.h"

/** round(x * multiplier / 2^shift), halves towards plus infinity. */
static inline int32_t te_sigmoid_argument(const te_sigmoid_s16_params *params, int32_t x) {
    const int32_t half = params->shift > 0 ? (int32_t)1 << (params->shift - 1) : 0;
    return (x * params->multiplier + half) >> params->shift;
}

/** The table at a magnitude in steps of 2^-fraction_bits points, as a fraction of 2^(16 + fraction_bits).
 *  @param beyond  Returned from the last point but one on. */
static inline int32_t te_sigmoid_of_magnitude(const te_sigmoid_s16_params *params, int32_t magnitude,
                                              int32_t fraction_bits, int32_t beyond) {
    const int32_t point = magnitude >> fraction_bits;
    if (point >= 255) {
        return beyond;
    }
    const int32_t here = params->table[point];
    const int32_t rise = params->table[point + 1] - here;
    return (here << fraction_bits) + (magnitude & ((1 << fraction_bits) - 1)) * rise;
}

#endif /* TE_SIGMOID_S16_H */
