/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_depthwise_s8_mve.h"
#include "te_kernels.h"

/** The channels of a stripe of `rows` output rows, 16 at a time. */
static void convolve_stripe(const te_depthwise_conv2d_mve_params *params, const int8_t *input, int32_t out_y,
                           int32_t rows, int8_t *output, int8_t *tile) {
    const int8_t *padding = tile + params->columns * TE_TILE_COLUMN_BYTES;
    const int full = params->output_min == -128 && params->output_max == 127;
    te_depthwise_stripe stripe = {tile,
                                TE_TILE_CHANNELS,
                                params->out_w,
                                params->in_c,
                                params->out_w * params->in_c,
                                params->stride_w * TE_TILE_COLUMN_BYTES,
                                params->output_min,
                                params->output_max};
    const int8_t *sources[TE_TILE_ROWS];
    int32_t steps[TE_TILE_ROWS];
    for (int32_t row = 0; row < TE_TILE_ROWS; ++row) {
        const int32_t y = out_y * params->stride_h - params->pad_top + row;
        const int32_t inside = row < params->kernel_h + rows - 1 && y >= 0 && y < params->in_h;
        sources[row] = inside ? input + y * params->in_w * params->in_c : padding;
        steps[row] = inside ? params->in_c : 0;
    }
    for (int32_t channel = 0; channel < params->in_c; channel += TE_TILE_CHANNELS) {
        const int32_t left = params->in_c - channel;
        const uint32_t *stream = params->packed + TE_DEPTHWISE_STREAM_WORDS * channel;
        stripe.channels = left < TE_TILE_CHANNELS ? left : TE_TILE_CHANNELS;
        te_load_tile_s8_mve(tile + params->pad_left * TE_TILE_COLUMN_BYTES, sources, steps, params->in_w,
                            stripe.channels);
        if (rows == 2) {
            (full ? te_depthwise2_full_s8_mve : te_depthwise2_limited_s8_mve)(&stripe, stream, output + channel);
        } else {
            (full ? te_depthwise1_full_s8_mve : te_depthwise1_limited_s8_mve)(&stripe, stream, output + channel);
        }
        for (int32_t row = 0; row < TE_TILE_ROWS; ++row) {
            sources[row] += steps[row] != 0 ? TE_TILE_CHANNELS : 0;
        }
    }
}

void te_depthwise_conv2d_s8_mve(const te_depthwise_conv2d_mve_params *params, const int8_t *input, int8_t *output,
                                void *scratch) {
    /* Columns of padding are never written again. */
    te_fill_mve(scratch, params->input_zero_point, params->columns * TE_TILE_COLUMN_BYTES + TE_TILE_CHANNELS);
    for (int32_t batch = 0; batch < params->batches; ++batch) {
        int32_t out_y = 0;
        while (out_y < params->out_h) {
            const int32_t rows = params->two_rows && out_y + 2 <= params->out_h ? 2 : 1;
            convolve_stripe(params, input, out_y, rows, output, scratch);
            output += rows * params->out_w * params->in_c;
            out_y += rows;
        }
        input += params->in_h * params->in_w * params->in_c;
    }
}
