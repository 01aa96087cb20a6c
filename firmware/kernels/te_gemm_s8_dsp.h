/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_gemm_s8_dsp.h
 *  The matrix product that convolutions and fully connected layers share: columns of activations, widened to int16,
 *  times filters that are packed at compile time.
 *
 *  Depth goes by steps of two values, in the order in which SXTB16 takes a word of four bytes apart: values 0 and 2, then
 *  1 and 3. The depth is a multiple of four; what is missing has weights of 0. The zero point of the input is in the
 *  biases, so that padding is a column value like any other.
 *
 *  The weight stream of a pair of channels is in words: two biases; a word a step, whose bytes are the first value of the first
 *  channel, that of the second channel, then their second values; two multipliers; and a word of bytes, two right shifts
 *  and two left shifts. A multiplier is that of te_requantise.h, doubled, less 2^32, for SMMLAR adds the sum itself.
 *  A sum becomes (round((sum << left) * multiplier / 2^32) - (1 if negative) + half) >> right, and gets the zero point
 *  and the clamp range of the struct.
 *
 *  In a `plain` layer, every right shift is at least 1, no left shift is needed, biases fit 24 bits, and the clamp range
 *  is that of 8 bits: there the zero point is added with the half, and the word of shifts is missing, for each bias has its
 *  right shift less one in the byte below it. An odd number of channels ends with a pair of which the second channel
 *  is 0.
 *
 *  A `quick` layer is a plain one of which every right shift is at least 2, every two channels' weights that share a half
 *  word make an int16 value, and every second channel's sum fits 24 bits. There a word of weights is two such values, of the
 *  first channel's weight and 256 times the second's: products with them make 256 times the second channel's sum beside the
 *  first one's, which the lower bytes alone make again. The byte below a bias is the largest shift of the layer less its own;
 *  so many powers of two times te_quick_factor() are 2^(32 - right), or little more, and the rounded upper half of a product
 *  with that is the shift, and rounds halves away from zero. */
#ifndef TE_GEMM_S8_DSP_H
#define TE_GEMM_S8_DSP_H

#include <stdint.h>

#include "te_dsp.h"
#include "te_gemm_block_dsp.h"

typedef struct {
    const uint32_t *packed; /**< The streams of all pairs of channels. */
    int32_t steps;          /**< Half the depth; even. */
    int32_t out_c;
    int32_t out_stride; /**< Bytes from a pixel's outputs to the next's. */
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    int32_t plain;  /**< 0, 1, or of a quick layer the largest right shift. */
    int32_t blocks; /**< Of four pixels; 2 with an even number of channels, else 1. */
} te_gemm_s8_dsp;

/** Four pixels, or eight in two blocks: then the filters of a pair of channels are read for one block after the other,
 *  the second time from the cache of a slow flash, if that holds them.
 *  @param columns  (blocks, steps, 4) words of two values: of a block the four pixels' first step, their second, ...
 *  @param output   out_c values a pixel, at `out_stride` from one to the next. */
void te_gemm4_s8_dsp(const te_gemm_s8_dsp *gemm, const uint32_t *columns, int8_t *output);

/** One pixel.
 *  @param columns  (steps) words. */
void te_gemm1_s8_dsp(const te_gemm_s8_dsp *gemm, const uint32_t *columns, int8_t *output);

/** Widens four runs of bytes and interleaves them.
 *  @param columns  Receives (2 * words, 4) words.
 *  @param sources  The runs, at any addresses.
 *  @param words    Their length in units of 4 bytes, at least 1.
 *  @return One past the last word written. */
uint32_t *te_widen4_dsp(uint32_t *columns, const int8_t *const sources[4], int32_t words);

/** Widens one run of bytes: (2 * words) words. */
static inline uint32_t *te_widen1_dsp(uint32_t *columns, const int8_t *source, int32_t words) {
    for (; words > 0; --words) {
        const uint32_t bytes = te_load4(source);
        *columns++ = te_even_bytes(bytes);
        *columns++ = te_odd_bytes(bytes);
        source += 4;
    }
    return columns;
}

#endif /* TE_GEMM_S8_DSP_H */
