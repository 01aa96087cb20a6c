/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_taps_s8_scalar.h
 *  The inner loop of depthwise convolutions for processors without SIMD instructions: four windows of one channel share
 *  each weight. */
#ifndef TE_TAPS_S8_SCALAR_H
#define TE_TAPS_S8_SCALAR_H

#include <stdint.h>

#include "te_scalar.h"

/** How windows lie on the input, in bytes. */
typedef struct {
    int32_t rows;      /**< Of taps, at least 1. */
    int32_t width;     /**< Taps in a row, at least 1. */
    int32_t tap_step;  /**< From a tap to the next. */
    int32_t row_skip;  /**< From behind the last tap of a row to the first of the next. */
    int32_t next;      /**< From a window to the next. */
} te_taps_s8_scalar;

/** sum of weights[tap] * the values under it of four windows.
 *  @param input  The first tap of the first window. */
void te_taps4_s8_scalar(const te_taps_s8_scalar *taps, const int8_t *input, const int8_t *weights,
                        int32_t sums[TE_SCALAR_SUMS]);

#endif /* TE_TAPS_S8_SCALAR_H */
