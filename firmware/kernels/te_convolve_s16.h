/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_convolve_s16.h
 *  The loops of the convolutions of int16 values with int8 weights. */
#ifndef TE_CONVOLVE_S16_H
#define TE_CONVOLVE_S16_H

#include <stddef.h>

#include "te_dot.h"
#include "te_kernels.h"
#include "te_requantise.h"

/** Filters of which the sums are made at once, at most. */
#define TE_CONVOLVE_FILTERS 2

/** The sums of some filters over one run of values.
 *  @param values       (count)
 *  @param filters      The run's weights in the first filter.
 *  @param filter_size  Weights from one filter to the next.
 *  @param sums         Of TE_CONVOLVE_FILTERS filters, or of one. Products are added. */
typedef void te_dots_function(const int16_t *values, const int8_t *filters, int32_t filter_size, int32_t count,
                              int64_t *sums);

/** What a sum of products and the bias is worth in steps of the output. */
typedef int32_t te_sum_function(int64_t sum, int32_t multiplier, int32_t shift);

/** How the sums of a convolution are made. */
typedef struct {
    te_dots_function *one;  /**< Of one filter. */
    te_dots_function *many; /**< Of TE_CONVOLVE_FILTERS filters, or NULL where filters are taken one by one. */
    te_sum_function *rescale;
} te_convolve_sums;

/** te_dots_function of one filter. */
static inline void te_dot_of_one_s16(const int16_t *values, const int8_t *filters, int32_t filter_size, int32_t count,
                                     int64_t *sums) {
    (void)filter_size;
    sums[0] += te_dot_s16(values, filters, count);
}

/** te_conv2d_s16() with the sums and the rounding of the accumulators left open. */
static inline void te_convolve_s16(const te_convolve_sums made, const te_conv2d_s16_params *params,
                                   const int16_t *input, int16_t *output) {
    const te_window *const geometry = &params->window;
    const int32_t group_c = params->group_c;
    const int32_t groups = geometry->in_c / group_c;
    const int32_t group_filters = params->out_c / groups;
    const int32_t filter_size = geometry->kernel_h * geometry->kernel_w * group_c;
    /* Without dilation and groups, the taps of a kernel row are contiguous in the input and in the filter. */
    const int32_t contiguous = geometry->dilation_w == 1 && groups == 1;
    const int32_t row = geometry->in_w * geometry->in_c;

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
                int32_t at_once = 1;
                for (int32_t out_c = 0; out_c < params->out_c; out_c += at_once) {
                    const int32_t group = out_c / group_filters;
                    const int32_t left = (group + 1) * group_filters - out_c;
                    const int8_t *filter = params->weights + out_c * filter_size;
                    int64_t sums[TE_CONVOLVE_FILTERS] = {0};
                    at_once = made.many != NULL && left >= TE_CONVOLVE_FILTERS ? TE_CONVOLVE_FILTERS : 1;
                    for (int32_t tap_y = taps_y.begin; tap_y < taps_y.end; ++tap_y) {
                        const int32_t in_y = origin_y + tap_y * geometry->dilation_h;
                        const int32_t start = in_y * row + first_x * geometry->in_c + group * group_c;
                        const int8_t *taps = filter + (tap_y * geometry->kernel_w + taps_x.begin) * group_c;
                        for (int32_t run = 0; run < runs; ++run) {
                            (at_once > 1 ? made.many : made.one)(
                                input + start + run * geometry->dilation_w * geometry->in_c, taps + run * group_c,
                                filter_size, run_length, sums);
                        }
                    }
                    for (int32_t i = 0; i < at_once; ++i) {
                        const int64_t bias = params->bias != NULL ? params->bias[out_c + i] : 0;
                        *output++ = te_clamp_s16(
                            made.rescale(bias + sums[i], params->multipliers[out_c + i], params->shifts[out_c + i]),
                            params->output_min, params->output_max);
                    }
                }
            }
        }
        input += geometry->in_h * row;
    }
}

#endif /* TE_CONVOLVE_S16_H */
