/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_convolve_scalar.h
 *  The windows of te_conv2d_s8_scalar(), with the matrix product left open: TE_GEMM4 is te_gemm4_s8_scalar(), or that of
 *  weights of another width, of which a word of the stream has TE_WORD_WEIGHTS. */
#ifndef TE_CONVOLVE_SCALAR_H
#define TE_CONVOLVE_SCALAR_H

#include <string.h>

#include "te_gemm_s8_scalar.h"
#include "te_kernels.h"

/** What all pixels of a layer share. */
typedef struct {
    const te_conv2d_scalar_params *params;
    const int8_t *input;   /**< The group's first channel of the image. */
    const int8_t *padding; /**< kernel_w * group_c times the input's zero point. */
    int32_t row;           /**< Bytes from an input row to the next. */
    int32_t runs;          /**< Whether the taps of a row are one after the other in memory. */
} layer;

/** Where a window's first tap falls on the input. */
typedef struct {
    int32_t y;
    int32_t x;
} place;

static void gather(const layer *of, const place places[TE_SCALAR_SUMS], uint32_t *columns) {
    const te_conv2d_scalar_params *const params = of->params;
    const te_window *const geometry = &params->window;
    const int32_t step_y = geometry->dilation_h * of->row;
    const int32_t step_x = geometry->dilation_w * geometry->in_c;
    int32_t taps = geometry->kernel_w;
    int32_t run = params->group_c;
    int32_t whole = of->runs;
    const int8_t *corners[TE_SCALAR_SUMS];
    for (int32_t i = 0; i < TE_SCALAR_SUMS; ++i) {
        whole = whole && places[i].x >= 0 && places[i].x + taps <= geometry->in_w;
        corners[i] = of->input + places[i].y * of->row + places[i].x * geometry->in_c;
    }
    if (whole) {
        run *= taps;
        taps = 1;
    }
    for (int32_t tap_y = 0; tap_y < geometry->kernel_h; ++tap_y) {
        for (int32_t tap_x = 0; tap_x < taps; ++tap_x) {
            const int8_t *pixels[TE_SCALAR_SUMS];
            for (int32_t i = 0; i < TE_SCALAR_SUMS; ++i) {
                const uint32_t y = (uint32_t)(places[i].y + tap_y * geometry->dilation_h);
                const uint32_t x = (uint32_t)(places[i].x + tap_x * geometry->dilation_w);
                const int inside = y < (uint32_t)geometry->in_h && x < (uint32_t)geometry->in_w;
                pixels[i] = inside ? corners[i] + tap_x * step_x : of->padding;
            }
            columns = te_columns4_s8_scalar(columns, pixels, run);
        }
        for (int32_t i = 0; i < TE_SCALAR_SUMS; ++i) {
            corners[i] += step_y;
        }
    }
}

static void convolve_group(const layer *of, const te_gemm_s8_scalar *gemm, const uint32_t *streams,
                           const int8_t *shifts, int32_t filters, uint32_t *columns, int8_t *output) {
    const te_window *const geometry = &of->params->window;
    place places[TE_SCALAR_SUMS];
    place next = {-geometry->pad_top, -geometry->pad_left};
    int32_t left_in_row = geometry->out_w;
    for (int32_t left = geometry->out_h * geometry->out_w; left > 0; left -= TE_SCALAR_SUMS) {
        const int32_t pixels = left < TE_SCALAR_SUMS ? left : TE_SCALAR_SUMS;
        for (int32_t i = 0; i < TE_SCALAR_SUMS; ++i) {
            places[i] = next;
            if (i + 1 < left) { /* Else the last pixel stands for those that are not there. */
                next.x += geometry->stride_w;
                if (--left_in_row == 0) {
                    left_in_row = geometry->out_w;
                    next.x = -geometry->pad_left;
                    next.y += geometry->stride_h;
                }
            }
        }
        gather(of, places, columns);
        TE_GEMM4(gemm, streams, shifts, filters, columns, output, pixels);
        output += pixels * gemm->out_stride;
    }
}

static void te_convolve_scalar(const te_conv2d_scalar_params *params, const int8_t *input, int8_t *output, void *scratch) {
    const te_window *const geometry = &params->window;
    const int32_t groups = geometry->in_c / params->group_c;
    const int32_t filters = params->out_c / groups;
    const int32_t depth = geometry->kernel_h * geometry->kernel_w * params->group_c;
    const int32_t words = (depth + TE_WORD_WEIGHTS - 1) / TE_WORD_WEIGHTS;
    const int32_t group_words = filters * (words + TE_SCALAR_REQUANTISATION_WORDS);
    const te_gemm_s8_scalar gemm = {
        words, params->out_c, {2 * params->output_zero_point + 1, params->output_min, params->output_max}};
    uint32_t *const columns = scratch;
    int8_t *const padding = (int8_t *)(columns + 2 * TE_WORD_WEIGHTS * words);
    layer of = {params, input, padding, geometry->in_w * geometry->in_c, geometry->dilation_w == 1 && groups == 1};
    memset(padding, params->input_zero_point, (size_t)(geometry->kernel_w * params->group_c));
    for (int32_t batch = 0; batch < geometry->batches; ++batch) {
        for (int32_t group = 0; group < groups; ++group) {
            of.input = input + group * params->group_c;
            convolve_group(&of, &gemm, params->packed + group * group_words, params->shifts + group * filters, filters,
                           columns, output + group * filters);
        }
        input += geometry->in_h * of.row;
        output += geometry->out_h * geometry->out_w * params->out_c;
    }
}

#endif /* TE_CONVOLVE_SCALAR_H */
