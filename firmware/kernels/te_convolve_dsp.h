/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_convolve_dsp.h
 *  The windows of te_conv2d_s8_dsp(), with the matrix product left open: TE_GEMM4 and TE_GEMM1 are
 *  te_gemm4_s8_dsp() and te_gemm1_s8_dsp(), or those of weights of other widths. */
#ifndef TE_CONVOLVE_DSP_H
#define TE_CONVOLVE_DSP_H

#include <stddef.h>
#include "te_gather_dsp.h"
#include "te_gemm_s8_dsp.h"
#include "te_kernels.h"
#include "te_pixels_dsp.h"

/** What all pixels of a layer share. */
typedef struct {
    const te_conv2d_dsp_params *params;
    const int8_t *input; /**< The group's first channel of the image. */
    int32_t row;         /**< Bytes from an input row to the next. */
    int32_t words;       /**< Depth in units of 4 bytes, the last one maybe in part. */
    int32_t has_runs;    /**< Whether a row of a window is a run of bytes. */
    int8_t *spare;       /**< One tap of padding, or the gathered windows of all pixels. */
} layer;

static uint32_t *widen(int32_t count, const int8_t *const *sources, uint32_t *columns, int32_t words) {
    return count == TE_GEMM_PIXELS ? te_widen4_dsp(columns, sources, words)
                                   : te_widen1_dsp(columns, sources[0], words);
}

/** Channels in fours, four neighbouring windows within the input: their rows are widened where they lie.
 *  @param window  The first one. */
static void widen_rows(const layer *of, const int8_t *window, uint32_t *columns) {
    const te_conv2d_dsp_params *params = of->params;
    const te_window *const geometry = &params->window;
    const int32_t words = geometry->kernel_w * params->group_c / 4;
    const int32_t step = geometry->stride_w * geometry->in_c;
    for (int32_t tap_y = 0; tap_y < geometry->kernel_h; ++tap_y) {
        const int8_t *const sources[TE_GEMM_PIXELS] = {window, window + step, window + 2 * step, window + 3 * step};
        columns = te_widen4_dsp(columns, sources, words);
        window += geometry->dilation_h * of->row;
    }
}

/** Channels in fours, windows anywhere: their taps are widened where they lie, or padding in their place. */
static void widen_taps(const layer *of, const te_pixels *at, uint32_t *columns) {
    const te_conv2d_dsp_params *params = of->params;
    const te_window *const geometry = &params->window;
    for (int32_t tap_y = 0; tap_y < geometry->kernel_h; ++tap_y) {
        for (int32_t tap_x = 0; tap_x < geometry->kernel_w; ++tap_x) {
            const int8_t *sources[TE_GEMM_PIXELS];
            for (int32_t i = 0; i < at->count; ++i) {
                const int32_t y = at->origin_y[i] + tap_y * geometry->dilation_h;
                const int32_t x = at->origin_x[i] + tap_x * geometry->dilation_w;
                /* Below 0 is above all as an unsigned number. */
                const int32_t inside = (uint32_t)y < (uint32_t)geometry->in_h && (uint32_t)x < (uint32_t)geometry->in_w;
                sources[i] = inside ? of->input + y * of->row + x * geometry->in_c : of->spare;
            }
            columns = widen(at->count, sources, columns, params->group_c / 4);
        }
    }
}

/** Any number of channels, four neighbouring windows within the input: their rows are gathered, then widened.
 *  @param window  The first one. */
static void gather_rows(const layer *of, const int8_t *window, uint32_t *columns) {
    const te_conv2d_dsp_params *params = of->params;
    const te_window *const geometry = &params->window;
    const int32_t bytes = geometry->kernel_w * params->group_c;
    const int32_t row = geometry->dilation_h * of->row;
    const int8_t *sources[TE_GEMM_PIXELS];
    for (int32_t i = 0; i < TE_GEMM_PIXELS; ++i) {
        const int8_t *run = window;
        int8_t *to = of->spare + 4 * i * of->words;
        sources[i] = to;
        for (int32_t tap_y = geometry->kernel_h; tap_y > 0; --tap_y) {
            to = te_copy_run(to, run, bytes);
            run += row;
        }
        window += geometry->stride_w * geometry->in_c;
    }
    te_widen4_dsp(columns, sources, of->words);
}

/** A window without dilation or groups: each of its rows is padding, a run of the input, and padding. */
static void gather_runs(const layer *of, const te_pixels *at, int32_t i, int8_t *window) {
    const te_conv2d_dsp_params *params = of->params;
    const te_window *const geometry = &params->window;
    const int32_t x = at->origin_x[i];
    const int32_t past = x + geometry->kernel_w - geometry->in_w;
    const int32_t before = (x < 0 ? -x : 0) * geometry->in_c;
    const int32_t after = (past > 0 ? past : 0) * geometry->in_c;
    const int32_t run = geometry->kernel_w * geometry->in_c - before - after;
    int32_t y = at->origin_y[i];
    for (int32_t tap_y = 0; tap_y < geometry->kernel_h; ++tap_y) {
        if (y >= 0 && y < geometry->in_h && run > 0) {
            window = te_pad_run(window, params->input_zero_point, before);
            window = te_copy_run(window, of->input + y * of->row + (x > 0 ? x : 0) * geometry->in_c, run);
            window = te_pad_run(window, params->input_zero_point, after);
        } else {
            window = te_pad_run(window, params->input_zero_point, geometry->kernel_w * geometry->in_c);
        }
        y += geometry->dilation_h;
    }
}

static void gather_taps(const layer *of, const te_pixels *at, int32_t i, int8_t *window) {
    const te_conv2d_dsp_params *params = of->params;
    const te_window *const geometry = &params->window;
    for (int32_t tap_y = 0; tap_y < geometry->kernel_h; ++tap_y) {
        for (int32_t tap_x = 0; tap_x < geometry->kernel_w; ++tap_x) {
            const int32_t y = at->origin_y[i] + tap_y * geometry->dilation_h;
            const int32_t x = at->origin_x[i] + tap_x * geometry->dilation_w;
            const int32_t inside = y >= 0 && y < geometry->in_h && x >= 0 && x < geometry->in_w;
            window = inside ? te_copy_run(window, of->input + y * of->row + x * geometry->in_c, params->group_c)
                            : te_pad_run(window, params->input_zero_point, params->group_c);
        }
    }
}

/** Any number of channels: the windows are gathered first. */
static void gather_and_widen(const layer *of, const te_pixels *at, uint32_t *columns) {
    const int8_t *sources[TE_GEMM_PIXELS];
    for (int32_t i = 0; i < at->count; ++i) {
        int8_t *window = of->spare + 4 * i * of->words;
        (of->has_runs ? gather_runs : gather_taps)(of, at, i, window);
        sources[i] = window;
    }
    widen(at->count, sources, columns, of->words);
}

static void convolve_group(const layer *of, te_gemm_s8_dsp *gemm, int8_t *output, uint32_t *columns) {
    const te_conv2d_dsp_params *params = of->params;
    const te_window *const geometry = &params->window;
    const int32_t total = geometry->out_h * geometry->out_w;
    const int32_t in_fours = params->group_c % 4 == 0;
    const int32_t last_y = geometry->in_h - 1 - (geometry->kernel_h - 1) * geometry->dilation_h;
    const int32_t last_x = geometry->in_w - geometry->kernel_w - (TE_GEMM_PIXELS - 1) * geometry->stride_w;
    te_pixels at;
    int32_t out_y = 0;
    int32_t out_x = 0;
    for (int32_t pixel = 0; pixel < total; pixel += at.count) {
        const int32_t y = out_y * geometry->stride_h - geometry->pad_top;
        const int32_t x = out_x * geometry->stride_w - geometry->pad_left;
        at.count = total - pixel >= TE_GEMM_PIXELS ? TE_GEMM_PIXELS : 1;
        if (of->has_runs && at.count == TE_GEMM_PIXELS && out_x + TE_GEMM_PIXELS <= geometry->out_w &&
            y >= 0 && y <= last_y && x >= 0 && x <= last_x) {
            (in_fours ? widen_rows : gather_rows)(of, of->input + y * of->row + x * geometry->in_c, columns);
        } else {
            te_place_pixels(&at, geometry, out_y, out_x);
            (in_fours ? widen_taps : gather_and_widen)(of, &at, columns);
        }
        (at.count == TE_GEMM_PIXELS ? TE_GEMM4 : TE_GEMM1)(gemm, columns, output);
        output += at.count * params->out_c;
        out_x += at.count;
        while (out_x >= geometry->out_w) {
            out_x -= geometry->out_w;
            ++out_y;
        }
    }
}

static void te_convolve_dsp(const te_conv2d_dsp_params *params, const int8_t *input, int8_t *output, void *scratch) {
    const te_window *const geometry = &params->window;
    const int32_t groups = geometry->in_c / params->group_c;
    const int32_t filters = params->out_c / groups;
    const int32_t depth = geometry->kernel_h * geometry->kernel_w * params->group_c;
    const int32_t words = (depth + 3) / 4;
    const int32_t total = geometry->out_h * geometry->out_w;
    const int32_t at_once = total >= TE_GEMM_PIXELS ? TE_GEMM_PIXELS : 1;
    uint32_t *columns = scratch;
    te_gemm_s8_dsp gemm = {
        params->packed,     2 * words,          filters,      params->out_c, params->output_zero_point,
        params->output_min, params->output_max, params->plain, 1};
    const int32_t has_runs = geometry->dilation_w == 1 && groups == 1;
    layer of = {params, input,    geometry->in_w * geometry->in_c,
                words,  has_runs, (int8_t *)(columns + 2 * words * at_once)};
    if (params->group_c % 4 == 0) {
        memset(of.spare, params->input_zero_point, (size_t)params->group_c);
    } else {
        memset(of.spare, 0, (size_t)(4 * words * at_once));
    }
    for (int32_t batch = 0; batch < geometry->batches; ++batch) {
        gemm.packed = params->packed;
        for (int32_t group = 0; group < groups; ++group) {
            of.input = input + group * params->group_c;
            convolve_group(&of, &gemm, output + group * filters, columns);
            gemm.packed += params->group_words;
        }
        input += geometry->in_h * of.row;
        output += total * params->out_c;
    }
}

#endif /* TE_CONVOLVE_DSP_H */
