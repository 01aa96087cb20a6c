/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_dot.h"
#include "te_kernels.h"
#include "te_requantise.h"

void te_depthwise_conv2d_s8(const te_depthwise_conv2d_params *params, const int8_t *input, int8_t *output,
                            void *scratch) {
    const int32_t out_c = params->in_c * params->multiplier_c;
    const int32_t input_offset = -params->input_zero_point;
    const int32_t row = params->in_w * params->in_c;
    const int32_t input_step = params->dilation_w * params->in_c;
    (void)scratch;

    for (int32_t batch = 0; batch < params->batches; ++batch) {
        for (int32_t out_y = 0; out_y < params->out_h; ++out_y) {
            const int32_t origin_y = out_y * params->stride_h - params->pad_top;
            const te_taps taps_y = te_taps_inside(origin_y, params->in_h, params->kernel_h, params->dilation_h);
            for (int32_t out_x = 0; out_x < params->out_w; ++out_x) {
                const int32_t origin_x = out_x * params->stride_w - params->pad_left;
                const te_taps taps_x = te_taps_inside(origin_x, params->in_w, params->kernel_w, params->dilation_w);
                const int32_t first_x = origin_x + taps_x.begin * params->dilation_w;
                int32_t channel = 0;
                for (int32_t in_c = 0; in_c < params->in_c; ++in_c) {
                    for (int32_t copy = 0; copy < params->multiplier_c; ++copy, ++channel) {
                        int32_t sum = 0;
                        for (int32_t tap_y = taps_y.begin; tap_y < taps_y.end; ++tap_y) {
                            const int32_t in_y = origin_y + tap_y * params->dilation_h;
                            int32_t at = in_y * row + first_x * params->in_c + in_c;
                            int32_t tap = (tap_y * params->kernel_w + taps_x.begin) * out_c + channel;
                            for (int32_t tap_x = taps_x.begin; tap_x < taps_x.end; ++tap_x) {
                                sum += (input[at] + input_offset) * params->weights[tap];
                                at += input_step;
                                tap += out_c;
                            }
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
        input += params->in_h * row;
    }
}
