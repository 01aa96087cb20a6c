/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_gemm_s16_mve.h
 *  The matrix product of convolutions and fully connected layers of int16 values whose sums fit 32 bits, for processors
 *  with MVE (Cortex-M55, M85): pixels, which are runs of values, times filters that are packed at compile time.
 *
 *  Depth goes by chunks of 8 values. What the depth lacks has weights of 0, so that whatever values follow a pixel do not
 *  matter; but they are read.
 *
 *  The weight stream of four channels is in words: per chunk 8 weights of the first channel, of the second, ...; then four
 *  words, one a channel, of biases, and four of multipliers. An output is round(sum * multiplier / 2^32), halves towards
 *  plus infinity, before it is limited, as in te_gemm_s16_dsp.h. The last stream holds channels of zeros where there are no
 *  more. */
#ifndef TE_GEMM_S16_MVE_H
#define TE_GEMM_S16_MVE_H

#include "te_gemm_mve.h"

/** Values of the depth that one instruction multiplies. */
#define TE_MVE_CHUNK_S16 8

/** Two pixels.
 *  @param first   8 * chunks values are read of it, and of the second.
 *  @param output  out_c values, and as many at `out_stride` bytes. */
void te_gemm2_s16_mve(const te_gemm_mve *gemm, const void *first, const void *second, void *output);

/** One pixel. */
void te_gemm1_s16_mve(const te_gemm_mve *gemm, const void *pixel, void *output);

#endif /* TE_GEMM_S16_MVE_H */
