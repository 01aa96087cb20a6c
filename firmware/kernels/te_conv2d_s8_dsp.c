/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_gemm_s8_dsp.h"
#include "te_kernels.h"

/** What all pixels of a layer share. */
typedef struct {
    const te_conv2d_dsp_params *params;
    const int8_t *input; /**< The group's first channel of the image. */
    int32_t row;         /**< Bytes from an input row to the next. */
    int32_t words;       /**< Depth in units of 4 bytes, the last one maybe in part. */
    int8_t *spare;       /**< A row of padding, or the gathered windows of all pixels. */
} layer;

/** The pixels of one pass over the filters. */
typedef struct {
    int32_t count;
    int32_t origin_y[TE_GEMM_PIXELS];
    int32_t origin_x[TE_GEMM_PIXELS];
    int32_t inside; /**< Whether no window reaches over the left or right border. */
} pixels;

static void place(pixels *at, const te_conv2d_dsp_params *params, int32_t out_y, int32_t out_x) {
    const int32_t reach = (params->kernel_w - 1) * params->dilation_w;
    at->inside = 1;
    for (int32_t i = 0; i < at->count; ++i) {
        at->origin_y[i] = out_y * params->stride_h - params->pad_top;
        at->origin_x[i] = out_x * params->stride_w - params->pad_left;
        if (at->origin_x[i] < 0 || at->origin_x[i] + reach >= params->in_w) {
            at->inside = 0;
        }
        if (++out_x == params->out_w) {
            out_x = 0;
            ++out_y;
        }
    }
}

/** Where a tap of a pixel's window is; NULL outside of the input. */
static const int8_t *tap_of(const layer *of, const pixels *at, int32_t i, int32_t tap_y, int32_t tap_x) {
    const te_conv2d_dsp_params *params = of->params;
    const int32_t y = at->origin_y[i] + tap_y * params->dilation_h;
    const int32_t x = at->origin_x[i] + tap_x * params->dilation_w;
    if (y < 0 || y >= params->in_h || x < 0 || x >= params->in_w) {
        return NULL;
    }
    return of->input + y * of->row + x * params->in_c;
}

/** Channels in fours: the windows are widened where they lie, in runs of whole kernel rows or of single taps. */
static void widen_in_place(const layer *of, const pixels *at, uint32_t *columns) {
    const te_conv2d_dsp_params *params = of->params;
    const int32_t whole_rows = at->inside && params->dilation_w == 1 && params->group_c == params->in_c;
    const int32_t runs = whole_rows ? 1 : params->kernel_w;
    const int32_t words = (whole_rows ? params->kernel_w : 1) * params->group_c / 4;
    for (int32_t tap_y = 0; tap_y < params->kernel_h; ++tap_y) {
        for (int32_t run = 0; run < runs; ++run) {
            const int8_t *sources[TE_GEMM_PIXELS];
            for (int32_t i = 0; i < at->count; ++i) {
                const int8_t *tap = tap_of(of, at, i, tap_y, run);
                sources[i] = tap != NULL ? tap : of->spare;
            }
            columns = at->count == TE_GEMM_PIXELS ? te_widen4_dsp(columns, sources, words)
                                                  : te_widen1_dsp(columns, sources[0], words);
        }
    }
}

/** Any number of channels: the windows are gathered first. */
static void gather_and_widen(const layer *of, const pixels *at, uint32_t *columns) {
    const te_conv2d_dsp_params *params = of->params;
    const int32_t whole_rows = at->inside && params->dilation_w == 1 && params->group_c == params->in_c;
    const int32_t runs = whole_rows ? 1 : params->kernel_w;
    const size_t bytes = (size_t)((whole_rows ? params->kernel_w : 1) * params->group_c);
    const int8_t *sources[TE_GEMM_PIXELS];
    for (int32_t i = 0; i < at->count; ++i) {
        int8_t *window = of->spare + 4 * i * of->words;
        sources[i] = window;
        for (int32_t tap_y = 0; tap_y < params->kernel_h; ++tap_y) {
            for (int32_t run = 0; run < runs; ++run) {
                const int8_t *tap = tap_of(of, at, i, tap_y, run);
                if (tap != NULL) {
                    memcpy(window, tap, bytes);
                } else {
                    memset(window, params->input_zero_point, bytes);
                }
                window += bytes;
            }
        }
    }
    if (at->count == TE_GEMM_PIXELS) {
        te_widen4_dsp(columns, sources, of->words);
    } else {
        te_widen1_dsp(columns, sources[0], of->words);
    }
}

static void convolve_group(const layer *of, te_gemm_s8_dsp *gemm, int8_t *output, uint32_t *columns) {
    const te_conv2d_dsp_params *params = of->params;
    const int32_t total = params->out_h * params->out_w;
    pixels at;
    int32_t out_y = 0;
    int32_t out_x = 0;
    for (int32_t pixel = 0; pixel < total; pixel += at.count) {
        at.count = total - pixel >= TE_GEMM_PIXELS ? TE_GEMM_PIXELS : 1;
        place(&at, params, out_y, out_x);
        (params->group_c % 4 == 0 ? widen_in_place : gather_and_widen)(of, &at, columns);
        if (at.count == TE_GEMM_PIXELS) {
            (params->plain ? te_gemm4_plain_s8_dsp : te_gemm4_general_s8_dsp)(gemm, columns, output);
        } else {
            (params->plain ? te_gemm1_plain_s8_dsp : te_gemm1_general_s8_dsp)(gemm, columns, output);
        }
        output += at.count * params->out_c;
        out_x += at.count;
        while (out_x >= params->out_w) {
            out_x -= params->out_w;
            ++out_y;
        }
    }
}

void te_conv2d_s8_dsp(const te_conv2d_dsp_params *params, const int8_t *input, int8_t *output, void *scratch) {
    const int32_t groups = params->in_c / params->group_c;
    const int32_t filters = params->out_c / groups;
    const int32_t depth = params->kernel_h * params->kernel_w * params->group_c;
    const int32_t words = (depth + 3) / 4;
    const int32_t total = params->out_h * params->out_w;
    const int32_t at_once = total >= TE_GEMM_PIXELS ? TE_GEMM_PIXELS : 1;
    uint32_t *columns = scratch;
    te_gemm_s8_dsp gemm = {params->packed,     2 * words,          filters,           params->out_c, params->output_zero_point,
                           params->output_min, params->output_max};
    layer of = {params, input, params->in_w * params->in_c, words, (int8_t *)(columns + 2 * words * at_once)};
    if (params->group_c % 4 == 0) {
        memset(of.spare, params->input_zero_point, (size_t)(params->kernel_w * params->group_c));
    } else {
        memset(of.spare, 0, (size_t)(4 * words * at_once));
    }
    for (int32_t batch = 0; batch < params->batches; ++batch) {
        gemm.packed = params->packed;
        for (int32_t group = 0; group < groups; ++group) {
            of.input = input + group * params->group_c;
            convolve_group(&of, &gemm, output + group * filters, columns);
            gemm.packed += params->group_words;
        }
        input += params->in_h * of.row;
        output += total * params->out_c;
    }
}
