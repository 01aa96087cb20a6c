/* SPDX-License-Identifier: Apache-2.0 */
#include "te_dot.h"
#include "te_kernels.h"
#include "te_wasm.h"

/** Channels that one pass over a window computes. */
#define TE_TOGETHER 8

/** Eight channels of a pixel.
 *  @param taps  Where the values of each tap lie, an even number of them.
 *  @return      The filters of the next eight. */
static const int8_t *eight_channels(const te_depthwise_conv2d_wasm_params *params, const int8_t *const *taps,
                                    int32_t channel, const int8_t *packed, const int32_t *constants, int8_t *output) {
    te_vector first = te_load_vector(constants);
    te_vector last = te_load_vector(constants + TE_WASM_CONSTANTS);
    for (int32_t tap = 0; tap < params->taps; tap += 2) {
        const te_vector a = te_load_widened(taps[tap] + channel);
        const te_vector b = te_load_widened(taps[tap + 1] + channel);
        first = te_add_products(first, te_zip_first(a, b), te_load_widened(packed));
        last = te_add_products(last, te_zip_last(a, b), te_load_widened(packed + 8));
        packed += 16;
    }
    first = te_requantise_four(first, constants, params->shift);
    last = te_requantise_four(last, constants + TE_WASM_CONSTANTS, params->shift);
    te_store_limited(output + channel, first, last, te_splat16(params->output_min), te_splat16(params->output_max),
                     TE_TOGETHER);
    return packed;
}

void te_depthwise_conv2d_s8_wasm(const te_depthwise_conv2d_wasm_params *params, const int8_t *input, int8_t *output,
                                 void *scratch) {
    const te_window *const window = &params->window;
    const int32_t channels = window->in_c;
    const int32_t row = window->in_w * channels;
    const int8_t **taps = scratch;
    int8_t *padding = (int8_t *)(taps + params->taps);

    memset(padding, params->input_zero_point, (size_t)channels);
    for (int32_t batch = 0; batch < window->batches; ++batch) {
        for (int32_t out_y = 0; out_y < window->out_h; ++out_y) {
            const int32_t origin_y = out_y * window->stride_h - window->pad_top;
            const int32_t reach = (window->kernel_w - 1) * window->dilation_w;
            int32_t moves = 0; /* Whether all taps of the pixel before lay inside the columns. */
            for (int32_t out_x = 0; out_x < window->out_w; ++out_x) {
                const int32_t origin_x = out_x * window->stride_w - window->pad_left;
                const int32_t inside = origin_x >= 0 && origin_x + reach < window->in_w;
                const int8_t *packed = params->packed;
                const int32_t *constants = params->constants;
                int32_t at = 0;
                for (int32_t y = 0; y < window->kernel_h; ++y) {
                    const int32_t in_y = origin_y + y * window->dilation_h;
                    const int32_t is_row = in_y >= 0 && in_y < window->in_h;
                    for (int32_t x = 0; x < window->kernel_w; ++x, ++at) {
                        const int32_t in_x = origin_x + x * window->dilation_w;
                        if (moves && inside) {
                            taps[at] += is_row ? window->stride_w * channels : 0;
                        } else {
                            const int32_t there = is_row && in_x >= 0 && in_x < window->in_w;
                            taps[at] = there ? input + in_y * row + in_x * channels : padding;
                        }
                    }
                }
                if (at < params->taps) {
                    taps[at] = padding; /* Its filters are 0. */
                }
                moves = inside;
                int32_t channel = 0;
                for (; channel + TE_TOGETHER <= channels; channel += TE_TOGETHER) {
                    packed = eight_channels(params, taps, channel, packed, constants, output);
                    constants += 2 * TE_WASM_CONSTANTS;
                }
                if (channel < channels) { /* The last eight, some again: the input under a row outlasts it. */
                    (void)eight_channels(params, taps, channels - TE_TOGETHER, packed, constants, output);
                }
                output += channels;
            }
        }
        input += window->in_h * row;
    }
}
