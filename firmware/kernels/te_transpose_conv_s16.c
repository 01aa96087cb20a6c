/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_dot.h"
#include "te_kernels.h"
#include "te_requantise.h"
#include "te_transpose_conv.h"

void te_transpose_conv_s16(const te_conv2d_s16_params *params, const int16_t *input, int16_t *output, void *scratch) {
    const te_window *const geometry = &params->window;
    const int32_t in_c = geometry->in_c;
    const int32_t row = geometry->in_w * in_c;
    (void)scratch;

    for (int32_t batch = 0; batch < geometry->batches; ++batch) {
        for (int32_t out_y = 0; out_y < geometry->out_h; ++out_y) {
            const te_phase y = te_phase_at(out_y + geometry->pad_top, geometry->stride_h, geometry->kernel_h);
            const te_taps taps_y = te_taps_inside(y.origin, geometry->in_h, y.taps, 1);
            for (int32_t out_x = 0; out_x < geometry->out_w; ++out_x) {
                const te_phase x = te_phase_at(out_x + geometry->pad_left, geometry->stride_w, geometry->kernel_w);
                const te_taps taps_x = te_taps_inside(x.origin, geometry->in_w, x.taps, 1);
                const int32_t run = taps_x.end > taps_x.begin ? (taps_x.end - taps_x.begin) * in_c : 0;
                const int32_t start = te_phase_start(y, x, geometry->stride_h, geometry->stride_w,
                                                     geometry->kernel_h, geometry->kernel_w);
                const int8_t *filter = params->weights + start * params->out_c * in_c;
                for (int32_t out_c = 0; out_c < params->out_c; ++out_c) {
                    int64_t sum = params->bias != NULL ? params->bias[out_c] : 0;
                    for (int32_t tap_y = taps_y.begin; tap_y < taps_y.end && run > 0; ++tap_y) {
                        const int16_t *from = input + (y.origin + tap_y) * row + (x.origin + taps_x.begin) * in_c;
                        const int8_t *taps = filter + (tap_y * x.taps + taps_x.begin) * in_c;
                        sum += te_dot_s16(from, taps, run);
                    }
                    filter += y.taps * x.taps * in_c;
                    *output++ =
                        te_clamp_s16(te_requantise_s64(sum, params->multipliers[out_c], params->shifts[out_c]),
                                     params->output_min, params->output_max);
                }
            }
        }
        input += geometry->in_h * row;
    }
}
