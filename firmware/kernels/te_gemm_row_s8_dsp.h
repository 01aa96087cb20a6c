/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_gemm_row_s8_dsp.h
 *  The matrix product of te_gemm_s8_dsp.h for one row, eight channels at a time: every weight is read once, so that fewer
 *  loads of values for it are what there is to save.
 *
 *  The stream of eight channels, four pairs as in a quick layer there, is in words: the biases of the first channels of the
 *  pairs, and 256 times those of the second ones above them; for every two steps the weights of pair 3 in the second step,
 *  of pairs 0 to 3 in the first one, and of pairs 0 to 2 in the second one; a byte each of the first channels, by how many
 *  bits the layer's factor is shifted to the left; their multipliers; and the same of the second ones. */
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
 *  @param columns  (steps) words. */
void te_gemm_row_s8_dsp(const te_gemm_s8_dsp *gemm, const uint32_t *columns, int8_t *output);

#endif /* TE_GEMM_ROW_S8_DSP_H */
