/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_gemm_channels_scalar.h
 *  The channels of te_gemm4_s8_scalar(), with their sums left open: TE_SUMS4 is te_sums4_s8_scalar(), or that of weights of
 *  another width. */
#ifndef TE_GEMM_CHANNELS_SCALAR_H
#define TE_GEMM_CHANNELS_SCALAR_H

#include "te_gemm_s8_scalar.h"

static void te_gemm_channels_scalar(const te_gemm_s8_scalar *gemm, const uint32_t *streams, const int8_t *shifts, int32_t channels,
                                    const uint32_t *columns, int8_t *output, int32_t pixels) {
    for (int32_t channel = 0; channel < channels; ++channel) {
        int32_t sums[TE_SCALAR_SUMS];
        TE_SUMS4(columns, streams, gemm->words, sums);
        streams += gemm->words;
        const int32_t bias = (int32_t)streams[0];
        const int32_t multiplier = (int32_t)streams[1];
        const int32_t shift = shifts[channel];
        int8_t *at = output + channel;
        for (int32_t pixel = 0; pixel < pixels; ++pixel) {
            *at = te_output_scalar(&gemm->range, sums[pixel] + bias, multiplier, shift);
            at += gemm->out_stride;
        }
        streams += TE_SCALAR_REQUANTISATION_WORDS;
    }
}

#endif /* TE_GEMM_CHANNELS_SCALAR_H */
