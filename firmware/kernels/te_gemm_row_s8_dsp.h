/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_gemm_row_s8_dsp.h
 *  The matrix product of te_gemm_s8_dsp.h for one row, eight channels at a time: every weight is read once, so that fewer
 *  loads of values for it are what there is to save.
 *
 *  Two products of a first channel's weights v and w with values x and y are one, and what does not depend on both:
 *  v * x + w * y = (v + y) * (w + x) - v * w - x * y. So SXTAB16 widens weights and adds values to them, and the sums of two
 *  steps take one multiplication; v * w is in the bias, and x * y is the same for all channels.
 *
 *  The stream of eight channels, four pairs as in a quick layer there, is in words: the biases of the first channels of the
 *  pairs, less the products of each two steps' weights; those biases themselves and 256 times those of the second ones; for
 *  every two steps the weights of pair 0 in the first and in the second one, then those of pairs 1 to 3; a byte each of the
 *  first channels, by how many bits the layer's factor is shifted to the left; their multipliers; and the same of the second
 *  ones. */
#ifndef TE_GEMM_ROW_S8_DSP_H
#define TE_GEMM_ROW_S8_DSP_H

#include <stdint.h>

#include "te_gemm_s8_dsp.h"

#define TE_GEMM_ROW_CHANNELS 8

/** Words of the stream of eight channels. */
static inline int32_t te_gemm_row_words(int32_t steps) {
    return 18 + 4 * steps;
}

/** The channels up to the last multiple of eight, at least eight.
 *  @param gemm     Quick, with streams of eight channels.
 *  @param columns   (steps) words.
 *  @param products  te_gemm_row_products() of them. */
void te_gemm_row_s8_dsp(const te_gemm_s8_dsp *gemm, const uint32_t *columns, int8_t *output, int32_t products);

/** The products of each two steps' values. */
static inline int32_t te_gemm_row_products(const uint32_t *columns, int32_t steps) {
    int32_t sum = 0;
    for (; steps > 0; steps -= 2) {
        sum = te_dual_mac(columns[0], columns[1], sum);
        columns += 2;
    }
    return sum;
}

#endif /* TE_GEMM_ROW_S8_DSP_H */
