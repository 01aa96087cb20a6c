/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_depthwise3_s8_dsp.h
 *  One output row of a depthwise convolution with 3x3 kernels, for up to four channels. */
#ifndef TE_DEPTHWISE3_S8_DSP_H
#define TE_DEPTHWISE3_S8_DSP_H

#include <stdint.h>

/** What a channel's row needs; the words after one another for one channel after the other. */
typedef struct {
    /** For each row of the kernel (w0, w1) and (w1, w2), as halves of a word. */
    uint32_t weights[6];
    int32_t bias;
    /** As in the `plain` stream of te_gemm_s8_dsp.h. */
    int32_t multiplier;
    int32_t rounding;
    int32_t right_shift;
} te_depthwise3_channel;

/** Is changed by the call. */
typedef struct {
    /** Three rows of the first channel's int16 values, padding included, 4-byte aligned. */
    const int16_t *rows[3];
    const te_depthwise3_channel *channels;
    int8_t *output;
    int32_t out_stride; /**< Bytes from an output to its right neighbour. */
    int32_t out_w;
    int32_t count;       /**< Channels. */
    int32_t plane_bytes; /**< From a channel's row to the next channel's. */
} te_depthwise3_row;

/** Each output one value to the right of the one before. Reads up to 3 values past the last window. */
void te_depthwise3_stride1_dsp(te_depthwise3_row *row);

/** Each output two values to the right of the one before. */
void te_depthwise3_stride2_dsp(te_depthwise3_row *row);

#endif /* TE_DEPTHWISE3_S8_DSP_H */
