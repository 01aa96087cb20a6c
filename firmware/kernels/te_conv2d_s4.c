/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_dot.h"
#include "te_kernels.h"
#include "te_nibbles.h"
#include "te_requantise.h"

/** sum of (values[i] + offset) * the weight at first + i. */
static int32_t dot(const int8_t *values, const int8_t *weights, int32_t first, int32_t count, int32_t offset) {
    int32_t sum = 0;
    if ((first & 1) != 0 && count > 0) {
        sum = (*values++ + offset) * te_high_nibble(weights[first >> 1]);
        ++first;
        --count;
    }
    const int8_t *pair = weights + (first >> 1);
    for (; count >= 2; count -= 2) {
        sum += (values[0] + offset) * te_low_nibble(*pair);
        sum += (values[1] + offset) * te_high_nibble(*pair);
        values += 2;
        ++pair;
    }
    if (count > 0) {
        sum += (*values + offset) * te_low_nibble(*pair);
    }
    return sum;
}

void te_conv2d_s4(const te_conv2d_params *params, const int8_t *input, int8_t *output, void *scratch) {
    const te_window *const geometry = &params->window;
    const int32_t group_c = params->group_c;
    const int32_t groups = geometry->in_c / group_c;
    const int32_t filters = params->out_c / groups;
    const int32_t filter_size = geometry->kernel_h * geometry->kernel_w * group_c;
    /* Without dilation and groups, the taps of a kernel row are contiguous in the input and in the filter. */
    const int32_t contiguous = geometry->dilation_w == 1 && groups == 1;
    const int32_t row = geometry->in_w * geometry->in_c;
    (void)scratch;

    for (int32_t batch = 0; batch < geometry->batches; ++batch) {
        for (int32_t out_y = 0; out_y < geometry->out_h; ++out_y) {
            const int32_t origin_y = out_y * geometry->stride_h - geometry->pad_top;
            const te_taps taps_y = te_taps_inside(origin_y, geometry->in_h, geometry->kernel_h, geometry->dilation_h);
            for (int32_t out_x = 0; out_x < geometry->out_w; ++out_x) {
                const int32_t origin_x = out_x * geometry->stride_w - geometry->pad_left;
                const te_taps taps_x =
                    te_taps_inside(origin_x, geometry->in_w, geometry->kernel_w, geometry->dilation_w);
                const int32_t width = taps_x.end > taps_x.begin ? taps_x.end - taps_x.begin : 0;
                const int32_t runs = contiguous ? (width > 0 ? 1 : 0) : width;
                const int32_t run_length = contiguous ? width * group_c : group_c;
                const int32_t first_x = origin_x + taps_x.begin * geometry->dilation_w;
                for (int32_t out_c = 0; out_c < params->out_c; ++out_c) {
                    const int32_t filter = out_c * filter_size;
                    const int32_t channel = out_c / filters * group_c;
                    int32_t sum = params->bias == NULL ? 0 : params->bias[out_c];
                    for (int32_t tap_y = taps_y.begin; tap_y < taps_y.end; ++tap_y) {
                        const int32_t in_y = origin_y + tap_y * geometry->dilation_h;
                        const int32_t start = in_y * row + first_x * geometry->in_c + channel;
                        const int32_t taps = filter + (tap_y * geometry->kernel_w + taps_x.begin) * group_c;
                        for (int32_t run = 0; run < runs; ++run) {
                            const int8_t *values = input + start + run * geometry->dilation_w * geometry->in_c;
                            sum = te_add_wrapping(sum, dot(values, params->weights, taps + run * group_c, run_length,
                                                           -params->input_zero_point));
                        }
                    }
                    sum = te_requantise(sum, params->multipliers[out_c], params->shifts[out_c]);
                    sum = te_add_wrapping(sum, params->output_zero_point);
                    *output++ = te_clamp(sum, params->output_min, params->output_max);
                }
            }
        }
        input += geometry->in_h * row;
    }
}
