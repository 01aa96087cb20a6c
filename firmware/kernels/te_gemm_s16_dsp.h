/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_gemm_s16_dsp.h
 *  The matrix product of convolutions and fully connected layers of int16 values whose sums fit 32 bits: columns of
 *  values times filters that are packed at compile time.
 *
 *  Depth goes by steps of two neighbouring values; an odd one ends with a weight of 0.
 *
 *  The weight stream of a pair of channels is in words: two biases; a word a step, whose bytes are the first value's weights
 *  in the first and the second channel, then the second value's; and two multipliers. A sum becomes
 *  round(sum * multiplier / 2^32), halves towards plus infinity, which is te_requantise_s64() with a multiplier of
 *  2^(17 + shift) times the size. An odd number of channels ends with a pair of which the second channel is 0. */
#ifndef TE_GEMM_S16_DSP_H
#define TE_GEMM_S16_DSP_H

#include <stdint.h>

#include "te_gemm_block_dsp.h"

typedef struct {
    const uint32_t *packed; /**< The streams of all pairs of channels. */
    int32_t steps;          /**< Half the depth, at least 1. */
    int32_t out_c;
    int32_t out_stride;  /**< Bytes from a pixel's outputs to the next's. */
    uint32_t output_min; /**< Twice, in both halves. */
    uint32_t output_max; /**< Likewise. */
    int32_t full_range;  /**< Whether these are the range of 16 bits. */
} te_gemm_s16_dsp;

/** Four pixels.
 *  @param columns  (steps, 4) words of two values: the four pixels' first step, their second, ...
 *  @param output   out_c values a pixel, at `out_stride` from one to the next. */
void te_gemm4_s16_dsp(const te_gemm_s16_dsp *gemm, const uint32_t *columns, int16_t *output);

/** One pixel.
 *  @param column  (2 * steps) values. */
void te_gemm1_s16_dsp(const te_gemm_s16_dsp *gemm, const int16_t *column, int16_t *output);

#endif /* TE_GEMM_S16_DSP_H */
