/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_scalar.h
 *  What the kernels for processors without SIMD instructions share (Cortex-M0+, M3, M23). */
#ifndef TE_SCALAR_H
#define TE_SCALAR_H

#include <stdint.h>

#include "te_requantise.h"

/** Outputs that are summed together. */
#define TE_SCALAR_SUMS 4
/** Words of a channel's stream after its weights: its bias and its multiplier. */
#define TE_SCALAR_REQUANTISATION_WORDS 2

#if defined(__ARM_ARCH_ISA_THUMB)
/** Which instructions there are in assembly: 1 for Armv6-M and Armv8-M Baseline, 2 for all others, 0 for C. */
#define TE_SCALAR_THUMB __ARM_ARCH_ISA_THUMB
#else
#define TE_SCALAR_THUMB 0
#endif

/** What becomes of the sums of a layer. */
typedef struct {
    int32_t offset; /**< Twice the zero point, and 1. */
    int32_t min;
    int32_t max;
} te_scalar_range;

/** te_requantise() and the zero point, for sums below 2^30: halving the last bit away rounds halves up, so of a negative
 *  product 1 is taken before, which leaves its halves below.
 *  @param shift  [0, 30] By how much the product with the multiplier is shifted to the right, less 1. */
static inline int8_t te_output_scalar(const te_scalar_range *range, int32_t sum, int32_t multiplier, int32_t shift) {
    int32_t product = te_high_product(sum, multiplier);
    product -= product < 0 ? 1 : 0;
    return te_clamp(((product >> shift) + range->offset) >> 1, range->min, range->max);
}

#endif /* TE_SCALAR_H */
