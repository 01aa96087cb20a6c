/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_dot.h"
#include "te_kernels.h"
#include "te_requantise.h"

/** The part of a window that lies on the input. */
typedef struct {
    int32_t height;
    int32_t width;
    int32_t input_row;   /**< Elements of the input from one row of taps to the next. */
    int32_t input_step;  /**< Elements of the input from one tap to the next. */
    int32_t weights_row; /**< The same in the weights. */
    int32_t weights_step;
} tap_grid;

static int32_t window_sum(const tap_grid *grid, const int8_t *input, const int8_t *weights, int32_t input_offset) {
    const int32_t input_step = grid->input_step;
    const int32_t weights_step = grid->weights_step;
    int32_t sum = 0;
    for (int32_t y = 0; y < grid->height; ++y) {
        const int8_t *at = input;
        const int8_t *tap = weights;
        for (int32_t x = grid->width; x > 0; --x) {
            sum += (*at + input_offset) * *tap;
            at += input_step;
            tap += weights_step;
        }
        input += grid->input_row;
        weights += grid->weights_row;
    }
    return sum;
}

#if TE_WASM_VECTORS
/** Channels that one pass over a window sums. */
#define TE_TOGETHER 8

/** window_sum() of TE_TOGETHER channels whose inputs and weights lie beside each other. */
static void window_sums(const tap_grid *grid, const int8_t *input, const int8_t *weights, int32_t input_offset,
                        int32_t *sums) {
    const v128_t offsets = wasm_i16x8_splat((int16_t)input_offset);
    v128_t low = wasm_i32x4_const_splat(0);
    v128_t high = low;
    for (int32_t y = 0; y < grid->height; ++y) {
        const int8_t *at = input;
        const int8_t *tap = weights;
        for (int32_t x = grid->width; x > 0; --x) {
            const v128_t values = wasm_i16x8_add(wasm_i16x8_load8x8(at), offsets);
            const v128_t factors = wasm_i16x8_load8x8(tap);
            low = wasm_i32x4_add(low, wasm_i32x4_extmul_low_i16x8(values, factors));
            high = wasm_i32x4_add(high, wasm_i32x4_extmul_high_i16x8(values, factors));
            at += grid->input_step;
            tap += grid->weights_step;
        }
        input += grid->input_row;
        weights += grid->weights_row;
    }
    wasm_v128_store(sums, low);
    wasm_v128_store(sums + 4, high);
}
#endif

void te_depthwise_conv2d_s8(const te_depthwise_conv2d_params *params, const int8_t *input, int8_t *output,
                            void *scratch) {
    const te_window *const geometry = &params->window;
    const int32_t in_c = geometry->in_c;
    const int32_t out_c = in_c * params->multiplier_c;
    const int32_t row = geometry->in_w * in_c;
    tap_grid grid;
    (void)scratch;

    grid.input_row = geometry->dilation_h * row;
    grid.input_step = geometry->dilation_w * in_c;
    grid.weights_row = geometry->kernel_w * out_c;
    grid.weights_step = out_c;
    for (int32_t batch = 0; batch < geometry->batches; ++batch) {
        for (int32_t out_y = 0; out_y < geometry->out_h; ++out_y) {
            const int32_t origin_y = out_y * geometry->stride_h - geometry->pad_top;
            const te_taps taps_y = te_taps_inside(origin_y, geometry->in_h, geometry->kernel_h, geometry->dilation_h);
            const int32_t first_y = origin_y + taps_y.begin * geometry->dilation_h;
            grid.height = taps_y.end - taps_y.begin;
            for (int32_t out_x = 0; out_x < geometry->out_w; ++out_x) {
                const int32_t origin_x = out_x * geometry->stride_w - geometry->pad_left;
                const te_taps taps_x =
                    te_taps_inside(origin_x, geometry->in_w, geometry->kernel_w, geometry->dilation_w);
                const int32_t first_x = origin_x + taps_x.begin * geometry->dilation_w;
                const int32_t corner = first_y * row + first_x * in_c;
                const int32_t tap = (taps_y.begin * geometry->kernel_w + taps_x.begin) * out_c;
                int32_t channel = 0;
#if TE_WASM_VECTORS
                int32_t sums[TE_TOGETHER];
                int32_t summed = 0; /* Channels whose sums were made, the last of them in `sums`. */
#endif
                grid.width = taps_x.end - taps_x.begin;
                for (int32_t source = 0; source < in_c; ++source) {
                    for (int32_t copy = 0; copy < params->multiplier_c; ++copy, ++channel) {
                        int32_t sum = 0;
#if TE_WASM_VECTORS
                        if (source == summed && params->multiplier_c == 1 && source + TE_TOGETHER <= in_c) {
                            window_sums(&grid, input + corner + source, params->weights + tap + source,
                                        -params->input_zero_point, sums);
                            summed += TE_TOGETHER;
                        }
                        if (source < summed) {
                            sum = sums[source % TE_TOGETHER];
                        } else
#endif
                        if (grid.height > 0 && grid.width > 0) {
                            sum = window_sum(&grid, input + corner + source, params->weights + tap + channel,
                                             -params->input_zero_point);
                        }
                        if (params->bias != NULL) {
                            sum = te_add_wrapping(sum, params->bias[channel]);
                        }
                        sum = te_requantise(sum, params->multipliers[channel], params->shifts[channel]);
                        sum = te_add_wrapping(sum, params->output_zero_point);
                        *output++ = te_clamp(sum, params->output_min, params->output_max);
                    }
                }
            }
        }
        input += geometry->in_h * row;
    }
}
