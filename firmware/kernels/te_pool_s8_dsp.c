/* SPDX-License-Identifier: Apache-2.0 */
#include "te_pool_s8_dsp.h"

#include "te_dot.h"

#define LANES 4

static void pool_channels(const te_pool_params *params, te_pool_window window, int8_t *output, te_pool_function *four,
                          te_pool_function *one) {
    int32_t left = params->channels;
    if (left < LANES) {
        for (; left > 0; --left) {
            one(params, &window, output++);
            ++window.corner;
        }
        return;
    }
    for (; left >= LANES; left -= LANES) {
        four(params, &window, output);
        window.corner += LANES;
        output += LANES;
    }
    if (left > 0) {
        window.corner -= LANES - left;
        four(params, &window, output - (LANES - left));
    }
}

void te_pool_s8_dsp(const te_pool_params *params, const int8_t *input, int8_t *output, te_pool_function *four,
                    te_pool_function *one) {
    te_pool_window window;
    window.step = params->channels;
    window.row = params->in_w * params->channels;
    for (int32_t batch = 0; batch < params->batches; ++batch) {
        for (int32_t out_y = 0; out_y < params->out_h; ++out_y) {
            const int32_t origin_y = out_y * params->stride_h - params->pad_top;
            const te_taps taps_y = te_taps_inside(origin_y, params->in_h, params->kernel_h, 1);
            window.height = taps_y.end - taps_y.begin;
            for (int32_t out_x = 0; out_x < params->out_w; ++out_x) {
                const int32_t origin_x = out_x * params->stride_w - params->pad_left;
                const te_taps taps_x = te_taps_inside(origin_x, params->in_w, params->kernel_w, 1);
                window.width = taps_x.end - taps_x.begin;
                window.corner =
                    input + (origin_y + taps_y.begin) * window.row + (origin_x + taps_x.begin) * window.step;
                pool_channels(params, window, output, four, one);
                output += params->channels;
            }
        }
        input += params->in_h * window.row;
    }
}
