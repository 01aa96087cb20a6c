/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_depthwise3_layer_dsp.h
 *  The stripes of te_depthwise_conv2d_s8_dsp(), with what unpacks the constants left open: TE_UNPACK3 is a function with the
 *  prototype void(te_depthwise3_channel *channels, const uint32_t *packed, const te_depthwise_conv2d_dsp_params *params,
 *  int32_t count), which ends a channel with te_set_rounding(). */
#ifndef TE_DEPTHWISE3_LAYER_DSP_H
#define TE_DEPTHWISE3_LAYER_DSP_H

#include "te_depthwise3_s8_dsp.h"
#include "te_dsp.h"
#include "te_kernels.h"
#include "te_planes_s8_dsp.h"

/** Consecutive rows of the padded input as int16 values, a plane a channel: the input of some output rows. */
typedef struct {
    int16_t *values;
    int32_t width;  /**< Of a row of the padded input; even. */
    int32_t plane;  /**< Values from a channel to the next. */
    int32_t top;    /**< Which row of the padded input comes first. */
    int32_t loaded; /**< Rows of the padded input up to here were loaded. */
} stripe;

/** Moves the stripe down the input: what rows it holds from `first` on stays, and rows up to `last` are loaded.
 *  @param input  The first channel of the group. */
static void advance(stripe *rows, const te_depthwise_conv2d_dsp_params *params, const int8_t *input, int32_t channels,
                    int32_t first, int32_t last) {
    const int32_t kept = rows->loaded - first;
    if (kept > 0) {
        for (int32_t c = 0; c < channels; ++c) {
            int16_t *plane = rows->values + c * rows->plane;
            memmove(plane, plane + (first - rows->top) * rows->width, (size_t)(kept * rows->width) * sizeof *plane);
        }
    } else {
        rows->loaded = first;
    }
    const int32_t begin = rows->loaded - params->pad_top;
    const int32_t end = last + 1 - params->pad_top;
    const int32_t inside_begin = begin > 0 ? begin : 0;
    const int32_t inside_end = end < params->in_h ? end : params->in_h;
    int16_t *const values = rows->values + (rows->loaded - first) * rows->width;
    for (int32_t y = begin; y < end; ++y) {
        if (y == inside_begin && inside_begin < inside_end) {
            y = inside_end - 1;
            continue;
        }
        for (int32_t c = 0; c < channels; ++c) {
            te_fill_values_dsp(values + c * rows->plane + (y - begin) * rows->width, rows->width, params->input_zero_point);
        }
    }
    if (inside_begin < inside_end) {
        const int32_t row = params->in_w * params->in_c;
        const te_plane_runs runs = {values + (inside_begin - begin) * rows->width + params->pad_left,
                                    2 * rows->plane,
                                    input + inside_begin * row,
                                    params->in_c,
                                    params->in_w,
                                    inside_end - inside_begin,
                                    2 * rows->width,
                                    row};
        te_widen_channels_dsp(&runs, channels);
    }
    rows->top = first;
    rows->loaded = last + 1;
}

/** What all groups of channels share. */
typedef struct {
    const te_depthwise_conv2d_dsp_params *params;
    int32_t reach; /**< Rows from a window's first to its last. */
    te_depthwise3_channel *constants;
    stripe rows;
} layer;

static void make_rows(const te_depthwise_conv2d_dsp_params *params, te_depthwise3_rows *rows) {
    if (te_is_quick(params)) {
        (params->stride_w == 2 ? te_depthwise3_stride2_quick_dsp : te_depthwise3_stride1_quick_dsp)(rows);
    } else {
        (params->stride_w == 2 ? te_depthwise3_stride2_dsp : te_depthwise3_stride1_dsp)(rows);
    }
}

static void convolve_group(layer *of, const int8_t *input, int8_t *output, int32_t channels, const uint32_t *packed) {
    const te_depthwise_conv2d_dsp_params *params = of->params;
    stripe *rows = &of->rows;
    const int32_t row_bytes = 2 * rows->width;
    rows->top = 0;
    rows->loaded = 0;
    TE_UNPACK3(of->constants, packed, params, channels);
    for (int32_t out_y = 0; out_y < params->out_h; out_y += params->stripe_h) {
        const int32_t left = params->out_h - out_y;
        const int32_t count = left < params->stripe_h ? left : params->stripe_h;
        const int32_t first = out_y * params->stride_h;
        advance(rows, params, input, channels, first, first + (count - 1) * params->stride_h + of->reach);
        te_depthwise3_rows three = {rows->values,
                                    of->constants,
                                    output,
                                    2 * rows->plane,
                                    params->dilation_h * row_bytes,
                                    params->stride_h * row_bytes,
                                    params->in_c,
                                    params->out_w,
                                    count,
                                    channels};
        make_rows(params, &three);
        output += count * params->out_w * params->in_c;
    }
}

/** An image whose outputs are one stripe: what lies around it in the planes stays for all channels. */
static void convolve_image(layer *of, const int8_t *input, int8_t *output) {
    const te_depthwise_conv2d_dsp_params *params = of->params;
    const stripe *rows = &of->rows;
    const int32_t row_bytes = 2 * rows->width;
    const int32_t rows_below = rows->plane / rows->width - params->pad_top;
    const int32_t row = params->in_w * params->in_c;
    te_plane_runs runs = {rows->values + params->pad_top * rows->width + params->pad_left,
                          2 * rows->plane,
                          input,
                          params->in_c,
                          params->in_w,
                          params->in_h < rows_below ? params->in_h : rows_below,
                          row_bytes,
                          row};
    te_depthwise3_rows three = {rows->values,
                                of->constants,
                                output,
                                2 * rows->plane,
                                params->dilation_h * row_bytes,
                                params->stride_h * row_bytes,
                                params->in_c,
                                params->out_w,
                                params->out_h,
                                TE_PLANES};
    const uint32_t *packed = params->packed;
    for (int32_t left = params->in_c; left > 0; left -= TE_PLANES) {
        three.count = left < TE_PLANES ? left : TE_PLANES;
        TE_UNPACK3(of->constants, packed, params, three.count);
        te_widen_channels_dsp(&runs, three.count);
        three.values = rows->values;
        three.channels = of->constants;
        three.output = output;
        make_rows(params, &three);
        runs.pixels += TE_PLANES;
        output += TE_PLANES;
        packed += TE_PLANES * params->words;
    }
}

static void te_depthwise3_layer_dsp(const te_depthwise_conv2d_dsp_params *params, const int8_t *input, int8_t *output,
                                    void *scratch) {
    te_depthwise3_channel *constants = scratch;
    layer of;
    of.params = params;
    of.reach = (params->kernel_h - 1) * params->dilation_h;
    of.constants = constants;
    of.rows.values = (int16_t *)(constants + TE_PLANES);
    of.rows.width = params->plane_w;
    of.rows.plane = ((params->stripe_h - 1) * params->stride_h + of.reach + 1) * params->plane_w;
    /* The borders to the left and right stay for all channels. */
    te_fill_values_dsp(of.rows.values, TE_PLANES * of.rows.plane, params->input_zero_point);
    for (int32_t batch = 0; batch < params->batches; ++batch) {
        if (!TE_SMALL && params->stripe_h >= params->out_h && params->pad_top * of.rows.width < of.rows.plane) {
            convolve_image(&of, input, output);
        } else {
            for (int32_t channel = 0; channel < params->in_c; channel += TE_PLANES) {
                const int32_t left = params->in_c - channel;
                convolve_group(&of, input + channel, output + channel, left < TE_PLANES ? left : TE_PLANES,
                               params->packed + channel * params->words);
            }
        }
        input += params->in_h * params->in_w * params->in_c;
        output += params->out_h * params->out_w * params->in_c;
    }
}

#endif /* TE_DEPTHWISE3_LAYER_DSP_H */
