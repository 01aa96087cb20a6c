/* SPDX-License-Identifier: Apache-2.0 */
#include "te_dot.h"
#include "te_kernels.h"
#include "te_requantise.h"

static int32_t window_sum(const int16_t *input, int32_t height, int32_t width, int32_t row, int32_t channels) {
    int32_t sum = 0;
    for (int32_t y = 0; y < height; ++y) {
        const int16_t *at = input + y * row;
        for (int32_t x = 0; x < width; ++x) {
            sum += *at;
            at += channels;
        }
    }
    return sum;
}

void te_average_pool_s16(const te_pool_params *params, const int16_t *input, int16_t *output, void *scratch) {
    const int32_t channels = params->channels;
    const int32_t row = params->in_w * channels;
    (void)scratch;

    for (int32_t batch = 0; batch < params->batches; ++batch) {
        for (int32_t out_y = 0; out_y < params->out_h; ++out_y) {
            const int32_t origin_y = out_y * params->stride_h - params->pad_top;
            const te_taps taps_y = te_taps_inside(origin_y, params->in_h, params->kernel_h, 1);
            for (int32_t out_x = 0; out_x < params->out_w; ++out_x) {
                const int32_t origin_x = out_x * params->stride_w - params->pad_left;
                const te_taps taps_x = te_taps_inside(origin_x, params->in_w, params->kernel_w, 1);
                const int32_t height = taps_y.end - taps_y.begin;
                const int32_t width = taps_x.end - taps_x.begin;
                const int32_t count = height * width;
                const int16_t *corner = input + (origin_y + taps_y.begin) * row + (origin_x + taps_x.begin) * channels;
                for (int32_t channel = 0; channel < channels; ++channel) {
                    const int32_t sum = window_sum(corner + channel, height, width, row, channels);
                    const int32_t half = sum > 0 ? count / 2 : -(count / 2);
                    /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): a window has a tap inside. */
                    *output++ = te_clamp_s16((sum + half) / count, params->output_min, params->output_max);
                }
            }
        }
        input += params->in_h * row;
    }
}
