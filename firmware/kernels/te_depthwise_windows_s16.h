/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_depthwise_windows_s16.h
 *  The walk over the windows of a depthwise convolution of int16 values with one filter a channel. */
#ifndef TE_DEPTHWISE_WINDOWS_S16_H
#define TE_DEPTHWISE_WINDOWS_S16_H

#include <stdint.h>

#include "te_dot.h"
#include "te_kernels.h"

/** The part of a window that lies on the input. */
typedef struct {
    int32_t height;
    int32_t width;
    int32_t input_row;   /**< Values from past a row of taps to the next one. */
    int32_t input_step;  /**< Values from one tap to the next. */
    int32_t weights_row; /**< The same in the weights. */
    int32_t weights_step;
} te_tap_grid;

/** Makes all channels of one pixel.
 *  @param input    The first channel of the first tap on the input.
 *  @param weights  The same in the weights. */
typedef void te_pixel_function(const void *params, const te_tap_grid *grid, const int16_t *input, const int8_t *weights,
                               int16_t *output);

/** Calls the function for each pixel, row after row.
 *  @param weights       (kernel_h, kernel_w, weights_step)
 *  @param weights_step  Values from a tap to the next one. */
static inline void te_for_each_window_s16(const te_window *geometry, const int8_t *weights, int32_t weights_step,
                                          te_pixel_function *make, const void *params, const int16_t *input,
                                          int16_t *output) {
    const int32_t in_c = geometry->in_c;
    const int32_t row = geometry->in_w * in_c;
    te_tap_grid grid;

    grid.input_step = geometry->dilation_w * in_c;
    grid.weights_step = weights_step;
    for (int32_t batch = 0; batch < geometry->batches; ++batch) {
        for (int32_t out_y = 0; out_y < geometry->out_h; ++out_y) {
            const int32_t origin_y = out_y * geometry->stride_h - geometry->pad_top;
            const te_taps taps_y = te_taps_inside(origin_y, geometry->in_h, geometry->kernel_h, geometry->dilation_h);
            const int32_t first_y = origin_y + taps_y.begin * geometry->dilation_h;
            for (int32_t out_x = 0; out_x < geometry->out_w; ++out_x) {
                const int32_t origin_x = out_x * geometry->stride_w - geometry->pad_left;
                const te_taps taps_x =
                    te_taps_inside(origin_x, geometry->in_w, geometry->kernel_w, geometry->dilation_w);
                const int32_t first_x = origin_x + taps_x.begin * geometry->dilation_w;
                const int32_t inside = taps_y.end > taps_y.begin && taps_x.end > taps_x.begin;
                const int32_t corner = inside ? first_y * row + first_x * in_c : 0;
                const int32_t tap = inside ? (taps_y.begin * geometry->kernel_w + taps_x.begin) * weights_step : 0;
                grid.height = inside ? taps_y.end - taps_y.begin : 0;
                grid.width = taps_x.end - taps_x.begin;
                grid.input_row = geometry->dilation_h * row - grid.width * grid.input_step;
                grid.weights_row = (geometry->kernel_w - grid.width) * weights_step;
                make(params, &grid, input + corner, weights + tap, output);
                output += in_c;
            }
        }
        input += geometry->in_h * row;
    }
}

#endif /* TE_DEPTHWISE_WINDOWS_S16_H */
