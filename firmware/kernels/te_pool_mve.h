/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_pool_mve.h
 *  The walk over windows that both poolings share, for processors with MVE. */
#ifndef TE_POOL_MVE_H
#define TE_POOL_MVE_H

#include "te_dot.h"
#include "te_kernels.h"
#include "te_mve.h"

/** The part of a window that lies on the input; at least one pixel. */
typedef struct {
    const int8_t *corner;
    int32_t height;
    int32_t width;
    int32_t row;  /**< Bytes from a row to the next. */
    int32_t step; /**< Bytes from a pixel to the next: all channels. */
} te_pool_mve_window;

/** Makes the outputs of all channels of a window. */
typedef void te_pool_mve_function(const te_pool_params *params, const te_pool_mve_window *window, int8_t *output);

/** @param value_bytes  Of an input or output value. */
static inline void te_pool_mve(const te_pool_params *params, int32_t value_bytes, const int8_t *input, int8_t *output,
                               te_pool_mve_function *pool) {
    te_pool_mve_window window;
    window.step = params->channels * value_bytes;
    window.row = params->in_w * params->channels * value_bytes;
    for (int32_t batch = 0; batch < params->batches; ++batch) {
        for (int32_t out_y = 0; out_y < params->out_h; ++out_y) {
            const int32_t origin_y = out_y * params->stride_h - params->pad_top;
            const te_taps taps_y = te_taps_inside(origin_y, params->in_h, params->kernel_h, 1);
            const int8_t *row = input + (origin_y + taps_y.begin) * window.row;
            window.height = taps_y.end - taps_y.begin;
            for (int32_t out_x = 0; out_x < params->out_w; ++out_x) {
                const int32_t origin_x = out_x * params->stride_w - params->pad_left;
                const te_taps taps_x = te_taps_inside(origin_x, params->in_w, params->kernel_w, 1);
                window.width = taps_x.end - taps_x.begin;
                window.corner = row + (origin_x + taps_x.begin) * window.step;
                pool(params, &window, output);
                output += params->channels * value_bytes;
            }
        }
        input += params->in_h * window.row;
    }
}

#endif /* TE_POOL_MVE_H */
