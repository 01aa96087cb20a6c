/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_dot.h"
#include "te_kernels.h"
#include "te_nibbles.h"
#include "te_requantise.h"

/** The part of a window that lies on the input. */
typedef struct {
    te_taps y;
    te_taps x;
    int32_t origin_y;
    int32_t origin_x;
} window_part;

static int32_t window_sum(const te_depthwise_conv2d_params *params, const window_part *part, const int8_t *image,
                          int32_t source, int32_t channel) {
    const te_window *const geometry = &params->window;
    const int32_t out_c = geometry->in_c * params->multiplier_c;
    int32_t sum = 0;
    for (int32_t y = part->y.begin; y < part->y.end; ++y) {
        for (int32_t x = part->x.begin; x < part->x.end; ++x) {
            const int32_t in_y = part->origin_y + y * geometry->dilation_h;
            const int32_t in_x = part->origin_x + x * geometry->dilation_w;
            const int32_t value = image[(in_y * geometry->in_w + in_x) * geometry->in_c + source];
            const int32_t position = (y * geometry->kernel_w + x) * out_c + channel;
            sum += (value - params->input_zero_point) * te_nibble(params->weights, position);
        }
    }
    return sum;
}

void te_depthwise_conv2d_s4(const te_depthwise_conv2d_params *params, const int8_t *input, int8_t *output,
                            void *scratch) {
    const te_window *const geometry = &params->window;
    (void)scratch;

    for (int32_t batch = 0; batch < geometry->batches; ++batch) {
        for (int32_t out_y = 0; out_y < geometry->out_h; ++out_y) {
            window_part part;
            part.origin_y = out_y * geometry->stride_h - geometry->pad_top;
            part.y = te_taps_inside(part.origin_y, geometry->in_h, geometry->kernel_h, geometry->dilation_h);
            for (int32_t out_x = 0; out_x < geometry->out_w; ++out_x) {
                int32_t channel = 0;
                part.origin_x = out_x * geometry->stride_w - geometry->pad_left;
                part.x = te_taps_inside(part.origin_x, geometry->in_w, geometry->kernel_w, geometry->dilation_w);
                for (int32_t source = 0; source < geometry->in_c; ++source) {
                    for (int32_t copy = 0; copy < params->multiplier_c; ++copy, ++channel) {
                        int32_t sum = window_sum(params, &part, input, source, channel);
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
        input += geometry->in_h * geometry->in_w * geometry->in_c;
    }
}
