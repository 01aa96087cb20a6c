/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_depthwise3_s8_dsp.h
 *  Output rows of a depthwise convolution with 3x3 kernels, for up to four channels. */
#ifndef TE_DEPTHWISE3_S8_DSP_H
#define TE_DEPTHWISE3_S8_DSP_H

#include <stdint.h>

#include "te_assembly.h"
#include "te_dsp.h"
#include "te_kernels.h"

/** What a channel's row needs; the words after one another for one channel after the other. */
typedef struct {
    /** For each row of the kernel (w0, w1) and (w1, w2), as halves of a word. */
    uint32_t weights[6];
    int32_t bias;
    int32_t multiplier; /**< As in te_gemm_s8_dsp.h. */
    /** Half a unit of the right shift, and the output's zero point above it; of a quick layer te_quick_factor(). */
    int32_t rounding;
    int32_t right_shift; /**< Of a quick layer the zero point in its place. */
} te_depthwise3_channel;

/** Whether the variants for quick layers serve: they are others' with fewer instructions. */
static inline int te_is_quick(const te_depthwise_conv2d_dsp_params *params) {
    return !TE_SMALL && params->quick;
}

/** How a channel's products with its multiplier become outputs. */
static inline void te_set_rounding(te_depthwise3_channel *channel, int32_t right_shift,
                                   const te_depthwise_conv2d_dsp_params *params) {
    const int32_t zero_point = params->output_zero_point;
    if (te_is_quick(params)) {
        channel->rounding = te_quick_factor(right_shift, zero_point);
        channel->right_shift = zero_point;
    } else {
        channel->rounding = (2 * zero_point + 1) * (1 << (right_shift - 1));
        channel->right_shift = right_shift;
    }
}

/** Is changed by the call. */
typedef struct {
    /** The first channel's int16 values, padding included, from the first output row's window on; 4-byte aligned. */
    const int16_t *values;
    const te_depthwise3_channel *channels;
    int8_t *output;
    int32_t plane_bytes; /**< From a channel's values to the next channel's. */
    int32_t tap_bytes;   /**< From a row of a window to its next row; a multiple of 4, as the other two. */
    int32_t step_bytes;  /**< From an output row's window to the next row's. */
    int32_t out_stride;  /**< Bytes from an output to its right neighbour, and from a row's last to the next one's first. */
    int32_t out_w;       /**< At least 2. */
    int32_t out_h;
    int32_t count; /**< Channels. */
} te_depthwise3_rows;

/** Each output one value to the right of the one before. May read one value past the last window. */
void te_depthwise3_stride1_dsp(te_depthwise3_rows *rows);

/** The same of a quick layer. */
void te_depthwise3_stride1_quick_dsp(te_depthwise3_rows *rows);

/** Each output two values to the right of the one before. Reads one value past the last window. */
void te_depthwise3_stride2_dsp(te_depthwise3_rows *rows);

/** The same of a quick layer. */
void te_depthwise3_stride2_quick_dsp(te_depthwise3_rows *rows);

#endif /* TE_DEPTHWISE3_S8_DSP_H */
