/* SPDX-License-Identifier: Apache-2.0 */
#include "te_pool_dsp.h"

#include "te_dot.h"

#define WORD_BYTES 4

static void pool_each(const te_pool_params *params, te_pool_window window, int8_t *output, int32_t value_bytes,
                      te_pool_function *one) {
    for (int32_t at = 0; at < window.step; at += value_bytes) {
        one(params, &window, output + at);
        window.corner += value_bytes;
    }
}

void te_pool_dsp(const te_pool_params *params, int32_t value_bytes, const void *input, void *output,
                 te_pool_function *words, te_pool_function *one) {
    const int8_t *image = input;
    int8_t *pixel = output;
    const int32_t step = params->channels * value_bytes;
    const int32_t row = params->in_w * step;
    te_pool_window window;
    window.step = step;
    window.row = row;
    for (int32_t batch = 0; batch < params->batches; ++batch) {
        for (int32_t out_y = 0; out_y < params->out_h; ++out_y) {
            const int32_t origin_y = out_y * params->stride_h - params->pad_top;
            const te_taps taps_y = te_taps_inside(origin_y, params->in_h, params->kernel_h, 1);
            const int8_t *top = image + (origin_y + taps_y.begin) * row;
            window.height = taps_y.end - taps_y.begin;
            for (int32_t out_x = 0; out_x < params->out_w; ++out_x) {
                const int32_t origin_x = out_x * params->stride_w - params->pad_left;
                const te_taps taps_x = te_taps_inside(origin_x, params->in_w, params->kernel_w, 1);
                window.width = taps_x.end - taps_x.begin;
                window.corner = top + (origin_x + taps_x.begin) * step;
                if (step >= WORD_BYTES) {
                    words(params, &window, pixel);
                } else {
                    pool_each(params, window, pixel, value_bytes, one);
                }
                pixel += step;
            }
        }
        image += params->in_h * row;
    }
}
