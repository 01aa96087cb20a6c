/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_convolve_rows_dsp.h
 *  The windows of te_conv2d_rows_s8_dsp(), with the matrix product left open: TE_GEMM4 and TE_GEMM1 are
 *  te_gemm4_s8_dsp() and te_gemm1_s8_dsp(), or those of weights of other widths or of many blocks; TE_GEMM_BLOCKS is how many
 *  blocks of four pixels TE_GEMM4 makes at once at most, of the params. */
#ifndef TE_CONVOLVE_ROWS_DSP_H
#define TE_CONVOLVE_ROWS_DSP_H

#include "te_columns_dsp.h"
#include "te_gemm_s8_dsp.h"
#include "te_kernels.h"
#include "te_planes_s8_dsp.h"

/** Rows of the padded input as int16 values: the input of some output rows. */
typedef struct {
    int16_t *values;
    int32_t top;    /**< Which row of the padded input comes first. */
    int32_t loaded; /**< Rows of the padded input up to here were loaded. */
} stripe;

/** What all stripes share. */
typedef struct {
    const te_conv2d_rows_dsp_params *params;
    int32_t reach; /**< Rows from a window's first to its last. */
    te_window_shape shape;
    te_gemm_s8_dsp gemm;
    uint32_t *columns;
    stripe rows;
} layer;

static void widen(int16_t *values, const int8_t *bytes, int32_t count) {
    for (; count >= 4; count -= 4) {
        const uint32_t four = te_load4(bytes);
        const uint32_t even = te_even_bytes(four);
        const uint32_t odd = te_odd_bytes(four);
        te_store4(values, te_low_halves(even, odd));
        te_store4(values + 2, te_high_halves(even, odd));
        values += 4;
        bytes += 4;
    }
    for (; count > 0; --count) {
        *values++ = *bytes++;
    }
}

/** Moves the stripe down the input: what rows it holds from `first` on stays, and rows up to `last` are loaded. */
static void advance(layer *of, const int8_t *input, int32_t first, int32_t last) {
    const te_conv2d_rows_dsp_params *params = of->params;
    const te_window *const geometry = &params->window;
    stripe *rows = &of->rows;
    const int32_t row = geometry->in_w * geometry->in_c;
    const int32_t before = geometry->pad_left * geometry->in_c;
    const int32_t kept = rows->loaded > first ? rows->loaded - first : 0;
    if (kept > 0) {
        memmove(rows->values, rows->values + (first - rows->top) * params->line,
                (size_t)(kept * params->line) * sizeof *rows->values);
    }
    int16_t *line = rows->values + kept * params->line;
    for (int32_t y = first + kept - geometry->pad_top; y <= last - geometry->pad_top; ++y) {
        if (y >= 0 && y < geometry->in_h) {
            widen(line + before, input + y * row, row);
        } else {
            te_fill_values_dsp(line, params->line, params->input_zero_point);
        }
        line += params->line;
    }
    rows->top = first;
    rows->loaded = last + 1;
}

/** Output pixels of the rows that the stripe lies under, in order.
 *  @param pixels  How many. */
static void convolve_stripe(layer *of, int8_t *output, int32_t pixels) {
    const te_conv2d_rows_dsp_params *params = of->params;
    const te_window *const geometry = &params->window;
    const int32_t step = geometry->stride_w * geometry->in_c;
    const int16_t *row = of->rows.values;
    int32_t x = 0;
    uint32_t *columns = of->columns;
    while (pixels > 0) {
        const int16_t *windows[TE_GEMM_PIXELS];
        const int32_t count = pixels >= TE_GEMM_PIXELS ? TE_GEMM_PIXELS : 1;
        const int32_t right = geometry->out_w - x;
        windows[0] = row + x * step;
        windows[1] = windows[0] + step;
        windows[2] = windows[1] + step;
        windows[3] = windows[2] + step;
        x += count;
        if (right <= count) { /* The row ends here, or others do too. */
            x = 0;
            row += geometry->stride_h * params->line;
            for (int32_t i = right; i < count; ++i) {
                windows[i] = row + x * step;
                if (++x == geometry->out_w) {
                    x = 0;
                    row += geometry->stride_h * params->line;
                }
            }
        }
        pixels -= count;
        if (count == TE_GEMM_PIXELS && TE_GEMM_BLOCKS(params) > 1) {
            te_columns4_dsp(&of->shape, windows, columns);
            columns += TE_GEMM_PIXELS * of->gemm.steps;
            ++of->gemm.blocks;
            if (of->gemm.blocks == TE_GEMM_BLOCKS(params) || pixels < TE_GEMM_PIXELS) {
                TE_GEMM4(&of->gemm, of->columns, output);
                output += of->gemm.blocks * TE_GEMM_PIXELS * params->out_c;
                columns = of->columns;
                of->gemm.blocks = 0;
            }
            continue;
        }
        if (count == TE_GEMM_PIXELS) {
            te_columns4_dsp(&of->shape, windows, columns);
            TE_GEMM4(&of->gemm, columns, output);
        } else {
            te_columns1_dsp(&of->shape, windows[0], columns);
            TE_GEMM1(&of->gemm, columns, output);
        }
        output += count * params->out_c;
    }
}

static void te_convolve_rows_dsp(const te_conv2d_rows_dsp_params *params, const int8_t *input, int8_t *output, void *scratch) {
    const te_window *const geometry = &params->window;
    const int32_t pairs = (geometry->kernel_w * geometry->in_c + 1) / 2;
    const int32_t steps = (geometry->kernel_h * pairs + 1) / 2 * 2;
    const int32_t at_once =
        geometry->out_h * geometry->out_w >= TE_GEMM_PIXELS ? TE_GEMM_BLOCKS(params) * TE_GEMM_PIXELS : 1;
    layer of;
    of.params = params;
    of.reach = (geometry->kernel_h - 1) * geometry->dilation_h;
    of.shape.pairs = pairs;
    of.shape.rows = geometry->kernel_h;
    of.shape.skip_bytes = 2 * geometry->dilation_h * params->line - 4 * pairs;
    of.gemm.packed = params->packed;
    of.gemm.steps = steps;
    of.gemm.out_c = params->out_c;
    of.gemm.out_stride = params->out_c;
    of.gemm.output_zero_point = params->output_zero_point;
    of.gemm.output_min = params->output_min;
    of.gemm.output_max = params->output_max;
    of.gemm.plain = params->plain;
    of.gemm.blocks = TE_GEMM_BLOCKS(params) > 1 ? 0 : 1; /* Of many, those whose columns are there, but no outputs. */
    of.columns = scratch;
    of.rows.values = (int16_t *)(of.columns + steps * at_once);
    /* The borders to the left and right stay for all rows. */
    te_fill_values_dsp(of.rows.values, params->line * ((params->stripe_h - 1) * geometry->stride_h + of.reach + 1),
         params->input_zero_point);
    /* The last step may have weights of 0 alone, and is not gathered. */
    memset(of.columns, 0, (size_t)(steps * at_once) * sizeof *of.columns);
    for (int32_t batch = 0; batch < geometry->batches; ++batch) {
        of.rows.top = 0;
        of.rows.loaded = 0;
        for (int32_t out_y = 0; out_y < geometry->out_h; out_y += params->stripe_h) {
            const int32_t left = geometry->out_h - out_y;
            const int32_t count = left < params->stripe_h ? left : params->stripe_h;
            const int32_t first = out_y * geometry->stride_h;
            advance(&of, input, first, first + (count - 1) * geometry->stride_h + of.reach);
            convolve_stripe(&of, output, count * geometry->out_w);
            output += count * geometry->out_w * params->out_c;
        }
        input += geometry->in_h * geometry->in_w * geometry->in_c;
    }
}

#endif /* TE_CONVOLVE_ROWS_DSP_H */
