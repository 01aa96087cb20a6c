/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_gemm_mve.h
 *  What the matrix products of int8 and of int16 values share, for processors with MVE: te_gemm_s8_mve.h and
 *  te_gemm_s16_mve.h say what their streams hold. */
#ifndef TE_GEMM_MVE_H
#define TE_GEMM_MVE_H

#include <stdint.h>

#include "te_mve.h"

/** Channels of a stream. */
#define TE_MVE_LANES 4
/** Bytes of the depth that one instruction multiplies. */
#define TE_MVE_CHUNK_BYTES 16

/** A layer's filters, and where its outputs go. */
typedef struct {
    const uint32_t *packed; /**< The streams of all fours of channels. */
    int32_t chunks;         /**< At least 1. */
    int32_t out_c;
    int32_t out_stride; /**< Bytes from a pixel's outputs to the next's. */
    int32_t output_min;
    int32_t output_max;
    int32_t first_addend;  /**< Added to every sum of the first pixel, by the `_plus` functions only. */
    int32_t second_addend; /**< The same of the second one. */
} te_gemm_mve;

/** Makes the outputs of one pixel.
 *  @param pixel   TE_MVE_CHUNK_BYTES * chunks bytes are read of it.
 *  @param output  out_c values. */
typedef void te_gemm1_function(const te_gemm_mve *gemm, const void *pixel, void *output);

/** Makes those of two pixels, the second one's `out_stride` bytes behind the first one's. */
typedef void te_gemm2_function(const te_gemm_mve *gemm, const void *first, const void *second, void *output);

#endif /* TE_GEMM_MVE_H */
