/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_depthwise_stripes_mve.h
 *  The stripes of output rows that depthwise convolutions by weights of 8 and of 4 bits share, for processors with MVE. */
#ifndef TE_DEPTHWISE_STRIPES_MVE_H
#define TE_DEPTHWISE_STRIPES_MVE_H

#include <stddef.h>

#include "te_depthwise_s8_mve.h"
#include "te_kernels.h"

/** How the outputs of a stripe are made. */
typedef struct {
    te_depthwise_function *two; /**< Of two rows. */
    te_depthwise_function *one; /**< Of one row. */
    int32_t stream_words;       /**< Of a channel. */
} te_depthwise_products;

/** The channels of a stripe of `rows` output rows, 16 at a time. */
static inline void te_convolve_stripe_mve(const te_depthwise_conv2d_mve_params *params,
                                          const te_depthwise_products *products, const int8_t *input, int32_t out_y,
                                          int32_t rows, int8_t *output, int8_t *tile) {
    const int8_t *padding = tile + params->columns * TE_TILE_COLUMN_BYTES;
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
        const uint32_t *stream = params->packed + products->stream_words * channel;
        stripe.channels = left < TE_TILE_CHANNELS ? left : TE_TILE_CHANNELS;
        te_load_tile_s8_mve(tile + params->pad_left * TE_TILE_COLUMN_BYTES, sources, steps, params->in_w,
                            stripe.channels);
        (rows == 2 ? products->two : products->one)(&stripe, stream, output + channel);
        for (int32_t row = 0; row < TE_TILE_ROWS; ++row) {
            sources[row] += steps[row] != 0 ? TE_TILE_CHANNELS : 0;
        }
    }
}

static inline void te_depthwise_mve(const te_depthwise_conv2d_mve_params *params, const te_depthwise_products *products,
                                    const int8_t *input, int8_t *output, void *scratch) {
    /* Columns of padding are never written again. */
    te_fill_mve(scratch, params->input_zero_point, params->columns * TE_TILE_COLUMN_BYTES + TE_TILE_CHANNELS);
    for (int32_t batch = 0; batch < params->batches; ++batch) {
        int32_t out_y = 0;
        while (out_y < params->out_h) {
            const int32_t rows = params->two_rows && out_y + 2 <= params->out_h ? 2 : 1;
            te_convolve_stripe_mve(params, products, input, out_y, rows, output, scratch);
            output += rows * params->out_w * params->in_c;
            out_y += rows;
        }
        input += params->in_h * params->in_w * params->in_c;
    }
}

#endif /* TE_DEPTHWISE_STRIPES_MVE_H */
