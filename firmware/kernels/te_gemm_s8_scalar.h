/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_gemm_s8_scalar.h
 *  The matrix product that convolutions and fully connected layers share, for processors without SIMD instructions
 *  (Cortex-M0+, M3, M23): one multiplication of 32 bits makes the products of two pixels and one weight.
 *
 *  A word of a column holds the values a and b of two pixels as a + b * 2^16, modulo 2^32; times a weight it is both
 *  products. Two such words, of two depths, are added: each sum is in [-32512, 32768], so with 32512 added it is a field
 *  of 16 bits without a sign. The upper field is added to one accumulator and the whole to another, whose upper sums are
 *  taken from it at the end.
 *
 *  The columns of four pixels are, depth by depth, the word of the first two and that of the others. The stream of a
 *  channel is its weights, four to a word and zeros where the depth ends, then its bias and its multiplier, both int32.
 *  The zero point of the input is in the biases. */
#ifndef TE_GEMM_S8_SCALAR_H
#define TE_GEMM_S8_SCALAR_H

#include <stdint.h>

#include "te_scalar.h"

/** What all channels of a layer share. */
typedef struct {
    int32_t words;      /**< Of a channel's weights: the depth in fours. */
    int32_t out_stride; /**< Bytes from a pixel's outputs to the next's. */
    te_scalar_range range;
} te_gemm_s8_scalar;

/** Some filters times four pixels.
 *  @param streams   Of `channels` channels, one after the other.
 *  @param shifts    (channels) By how much the product with the multiplier is shifted to the right, less 1.
 *  @param columns   8 * words words.
 *  @param output    Where the outputs of the first pixel go.
 *  @param pixels    How many have outputs, at most 4. */
void te_gemm4_s8_scalar(const te_gemm_s8_scalar *gemm, const uint32_t *streams, const int8_t *shifts, int32_t channels,
                        const uint32_t *columns, int8_t *output, int32_t pixels);

/** Some filters times one pixel, which is read where it lies.
 *  @param pixel  `depth` values.
 *  @param depth  At most 4 * words. */
void te_gemm1_s8_scalar(const te_gemm_s8_scalar *gemm, const uint32_t *streams, const int8_t *shifts, int32_t channels,
                        const int8_t *pixel, int32_t depth, int8_t *output);

/** The columns of `count` depths of four pixels.
 *  @return After the last word written. */
uint32_t *te_columns4_s8_scalar(uint32_t *columns, const int8_t *const pixels[TE_SCALAR_SUMS], int32_t count);

/** sum of row[i] * column[i] of four pixels, without a bias.
 *  @param row  4 * words weights, aligned to words. */
void te_sums4_s8_scalar(const uint32_t *columns, const uint32_t *row, int32_t words, int32_t sums[TE_SCALAR_SUMS]);

/** sum of rows[j][i] * values[i] of four rows. */
void te_dots4_s8_scalar(const int8_t *values, const int8_t *const rows[4], int32_t count, int32_t sums[4]);

#endif /* TE_GEMM_S8_SCALAR_H */
