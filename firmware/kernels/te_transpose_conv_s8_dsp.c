/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_gather_dsp.h"
#include "te_gemm_s8_dsp.h"
#include "te_kernels.h"
#include "te_transpose_conv.h"

/** Copies the window of one output position, whose inputs outside the image are padding. */
static void gather(const te_transpose_conv_dsp_params *params, const int8_t *input, te_phase y, te_phase x,
                   int8_t *window) {
    const te_window *const geometry = &params->window;
    const int32_t in_c = geometry->in_c;
    const int32_t past = x.origin + x.taps - geometry->in_w;
    const int32_t before = (x.origin < 0 ? -x.origin : 0) * in_c;
    const int32_t after = (past > 0 ? past : 0) * in_c;
    const int32_t run = x.taps * in_c - before - after;
    for (int32_t tap_y = 0; tap_y < y.taps; ++tap_y) {
        const int32_t in_y = y.origin + tap_y;
        if (in_y >= 0 && in_y < geometry->in_h && run > 0) {
            const int32_t in_x = x.origin > 0 ? x.origin : 0;
            window = te_pad_run(window, params->input_zero_point, before);
            window = te_copy_run(window, input + (in_y * geometry->in_w + in_x) * in_c, run);
            window = te_pad_run(window, params->input_zero_point, after);
        } else {
            window = te_pad_run(window, params->input_zero_point, x.taps * in_c);
        }
    }
}

/** One row of the outputs of a pair of residues.
 *  @param x  Of the first of them.
 *  @param count    How many there are.
 *  @param columns  Scratch.
 *  @param output   The first of them. */
static void convolve_row(const te_transpose_conv_dsp_params *params, const te_gemm_s8_dsp *gemm, const int8_t *input,
                         te_phase y, te_phase x, int32_t count, uint32_t *columns, int8_t *output) {
    const int32_t words = gemm->steps / 2;
    const int32_t at_once = count >= TE_GEMM_PIXELS ? TE_GEMM_PIXELS : 1;
    const int32_t first_origin = x.origin;
    int8_t *const spare = (int8_t *)(columns + 2 * params->words * TE_GEMM_PIXELS);
    for (int32_t next = 0; next < count; next += at_once) {
        /* The last pixels join some that are made already. */
        const int32_t first = next + at_once > count ? count - at_once : next;
        const int8_t *sources[TE_GEMM_PIXELS];
        for (int32_t i = 0; i < at_once; ++i) {
            int8_t *const window = spare + 4 * i * words;
            x.origin = first_origin + first + i;
            gather(params, input, y, x, window);
            sources[i] = window;
        }
        if (at_once == TE_GEMM_PIXELS) {
            (void)te_widen4_dsp(columns, sources, words);
            te_gemm4_s8_dsp(gemm, columns, output + first * gemm->out_stride);
        } else {
            (void)te_widen1_dsp(columns, sources[0], words);
            te_gemm1_s8_dsp(gemm, columns, output + first * gemm->out_stride);
        }
    }
}

void te_transpose_conv_s8_dsp(const te_transpose_conv_dsp_params *params, const int8_t *input, int8_t *output,
                              void *scratch) {
    const te_window *const geometry = &params->window;
    const int32_t stride_w = geometry->stride_w;
    uint32_t *const columns = scratch;
    /* Weights of 0 follow the last taps of a window, whose bytes have to be some. */
    memset(columns + 2 * params->words * TE_GEMM_PIXELS, 0, (size_t)(4 * params->words * TE_GEMM_PIXELS));
    for (int32_t batch = 0; batch < geometry->batches; ++batch) {
        for (int32_t out_y = 0; out_y < geometry->out_h; ++out_y) {
            const te_phase y = te_phase_at(out_y + geometry->pad_top, geometry->stride_h, geometry->kernel_h);
            for (int32_t out_x = 0; out_x < stride_w && out_x < geometry->out_w; ++out_x) {
                const te_phase x = te_phase_at(out_x + geometry->pad_left, stride_w, geometry->kernel_w);
                const int32_t part = y.residue * stride_w + x.residue;
                const int32_t depth = y.taps * x.taps * geometry->in_c;
                const te_gemm_s8_dsp gemm = {params->packed + params->starts[part],
                                             depth > 0 ? 2 * ((depth + 3) / 4) : 2,
                                             params->out_c,
                                             stride_w * params->out_c,
                                             params->output_zero_point,
                                             params->output_min,
                                             params->output_max,
                                             params->plain[part],
                                             1};
                const int32_t count = (geometry->out_w - out_x + stride_w - 1) / stride_w;
                convolve_row(params, &gemm, input, y, x, count, columns,
                             output + (out_y * geometry->out_w + out_x) * params->out_c);
            }
        }
        input += geometry->in_h * geometry->in_w * geometry->in_c;
        output += geometry->out_h * geometry->out_w * params->out_c;
    }
}
