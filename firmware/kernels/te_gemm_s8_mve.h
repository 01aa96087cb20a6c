/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_gemm_s8_mve.h
 *  The matrix product that convolutions and fully connected layers share, for processors with MVE (Cortex-M55, M85):
 *  pixels, which are runs of bytes, times filters that are packed at compile time.
 *
 *  Depth goes by chunks of 16 values. What the depth lacks has weights of 0, so that whatever bytes follow a pixel do not
 *  matter; but they are read. The zero point of the input is in the biases.
 *
 *  The weight stream of four channels is in words: per chunk 16 weights of the first channel, of the second, ...; then four
 *  words, one a channel, of each of: bias, multiplier, rounding, 24 - right shift. With r = round(sum * multiplier /
 *  2^31), an output is (r - (1 if the sum is negative) + rounding) >> right shift, clamped to 8 bits; `rounding` holds
 *  half a unit and the output's zero point. The right shift is in [1, 31]: the sum is shifted left instead, saturating,
 *  until the output is its highest byte. The last stream holds channels of zeros where there are no more.
 *
 *  In the streams of the `_s4` functions a chunk has half of the words, for weights of 4 bits: 16 bytes of the first and the
 *  second channel, each 16 times the second one's weight and the first one's, which fits a byte; and of the third and
 *  fourth. */
#ifndef TE_GEMM_S8_MVE_H
#define TE_GEMM_S8_MVE_H

#include "te_gemm_mve.h"

/** Values of the depth that one instruction multiplies. */
#define TE_MVE_CHUNK 16
/** Words of a stream after its weights. */
#define TE_MVE_REQUANTISATION_WORDS 16

/** Two pixels, the clamp range of 8 bits.
 *  @param first   16 * chunks bytes are read of it, and of the second.
 *  @param output  out_c values, and as many at `out_stride`. */
void te_gemm2_full_s8_mve(const te_gemm_mve *gemm, const void *first, const void *second, void *output);

/** Two pixels, any clamp range. */
void te_gemm2_limited_s8_mve(const te_gemm_mve *gemm, const void *first, const void *second, void *output);

/** Two pixels, addends, the clamp range of 8 bits. */
void te_gemm2_plus_s8_mve(const te_gemm_mve *gemm, const void *first, const void *second, void *output);

/** One pixel, the clamp range of 8 bits. */
void te_gemm1_full_s8_mve(const te_gemm_mve *gemm, const void *pixel, void *output);

/** One pixel, any clamp range. */
void te_gemm1_limited_s8_mve(const te_gemm_mve *gemm, const void *pixel, void *output);

/** One pixel, its addend, the clamp range of 8 bits. */
void te_gemm1_plus_s8_mve(const te_gemm_mve *gemm, const void *pixel, void *output);

/** te_gemm2_full_s8_mve() of weights of 4 bits. */
void te_gemm2_full_s4_mve(const te_gemm_mve *gemm, const void *first, const void *second, void *output);

/** te_gemm2_limited_s8_mve() of weights of 4 bits. */
void te_gemm2_limited_s4_mve(const te_gemm_mve *gemm, const void *first, const void *second, void *output);

/** te_gemm1_full_s8_mve() of weights of 4 bits. */
void te_gemm1_full_s4_mve(const te_gemm_mve *gemm, const void *pixel, void *output);

/** te_gemm1_limited_s8_mve() of weights of 4 bits. */
void te_gemm1_limited_s4_mve(const te_gemm_mve *gemm, const void *pixel, void *output);

/** Which function a layer's clamp range needs. */
static inline te_gemm2_function *te_gemm2_for(const te_gemm_mve *gemm) {
    const int full = gemm->output_min == -128 && gemm->output_max == 127;
    return full ? te_gemm2_full_s8_mve : te_gemm2_limited_s8_mve;
}

static inline void te_gemm1_s8_mve(const te_gemm_mve *gemm, const void *pixel, void *output) {
    const int full = gemm->output_min == -128 && gemm->output_max == 127;
    (full ? te_gemm1_full_s8_mve : te_gemm1_limited_s8_mve)(gemm, pixel, output);
}

#endif /* TE_GEMM_S8_MVE_H */
