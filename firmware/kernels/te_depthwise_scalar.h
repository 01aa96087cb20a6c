/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_depthwise_scalar.h
 *  The rows of te_depthwise_conv2d_s8_scalar(), with the width of weights left open: a word of the stream has
 *  TE_WORD_WEIGHTS of them, 4, or 8 of 4 bits, which are taken apart to scratch where a channel's row begins. */
#ifndef TE_DEPTHWISE_SCALAR_H
#define TE_DEPTHWISE_SCALAR_H

#include <string.h>

#include "te_dot.h"
#include "te_kernels.h"
#include "te_taps_s8_scalar.h"

/** A row of one channel's outputs. */
typedef struct {
    const te_depthwise_conv2d_scalar_params *params;
    const int8_t *input;   /**< The first row of taps that is inside, at this channel's column 0. */
    const int8_t *weights; /**< Of that row. */
    int32_t rows;          /**< Of taps that are inside. */
    int32_t bias;          /**< With the zero points under the others. */
    int32_t multiplier;
    int32_t shift;
} channel_row;

/** sum of the products of a window of which columns may be outside. */
static int32_t window_sum(const channel_row *of, int32_t origin_x) {
    const te_window *const geometry = &of->params->window;
    const int32_t row = geometry->dilation_h * geometry->in_w * geometry->in_c;
    const int8_t *weight = of->weights;
    int32_t sum = 0;
    for (int32_t y = 0; y < of->rows; ++y) {
        const int8_t *const line = of->input + y * row;
        int32_t at_x = origin_x;
        for (int32_t x = geometry->kernel_w; x > 0; --x) {
            const int inside = (uint32_t)at_x < (uint32_t)geometry->in_w;
            sum += (inside ? line[at_x * geometry->in_c] : of->params->input_zero_point) * *weight++;
            at_x += geometry->dilation_w;
        }
    }
    return sum;
}

/** Outputs [begin, end) one by one. */
static void make_single(const channel_row *of, const te_scalar_range *range, int32_t begin, int32_t end,
                        int8_t *output) {
    const te_window *const geometry = &of->params->window;
    for (int32_t x = begin; x < end; ++x) {
        const int32_t sum = window_sum(of, x * geometry->stride_w - geometry->pad_left) + of->bias;
        output[x * geometry->in_c] = te_output_scalar(range, sum, of->multiplier, of->shift);
    }
}

/** Outputs [begin, end) by fours, of which the last may begin among those before.
 *  @param first  The first tap of output 0. */
static void make_fours(const channel_row *of, const te_scalar_range *range, const te_taps_s8_scalar *taps,
                       const int8_t *first, int32_t begin, int32_t end, int8_t *output) {
    const int32_t in_c = of->params->window.in_c;
    for (int32_t x = begin; x < end; x += TE_SCALAR_SUMS) {
        const int32_t from = x + TE_SCALAR_SUMS <= end || end - begin < TE_SCALAR_SUMS ? x : end - TE_SCALAR_SUMS;
        const int32_t made = end - from < TE_SCALAR_SUMS ? end - from : TE_SCALAR_SUMS;
        int32_t sums[TE_SCALAR_SUMS];
        te_taps4_s8_scalar(taps, first + from * taps->next, of->weights, sums);
        int8_t *at = output + x * in_c;
        for (int32_t i = x - from; i < made; ++i) {
            *at = te_output_scalar(range, sums[i] + of->bias, of->multiplier, of->shift);
            at += in_c;
        }
    }
}

/** Copies the channel's rows of taps that are inside. */
static void copy_lines(const channel_row *of, int8_t *lines) {
    const te_window *const geometry = &of->params->window;
    const int32_t in_c = geometry->in_c;
    const int8_t *line = of->input;
    for (int32_t y = 0; y < of->rows; ++y) {
        const int8_t *from = line;
        int8_t *const to = lines + y * of->params->line;
        for (int32_t x = 0; x < geometry->in_w; ++x) {
            to[x] = *from;
            from += in_c;
        }
        line += geometry->dilation_h * geometry->in_w * in_c;
    }
}

#if TE_WORD_WEIGHTS == 8

/** Words of eight weights, of which the first four are in the lower halves of the bytes, as two words of bytes each. */
static void take_apart(const uint32_t *words, int32_t count, uint32_t *weights) {
    for (; count > 0; --count) {
        const uint32_t first = *words & 0x0f0f0f0fu;
        const uint32_t second = (*words++ >> 4) & 0x0f0f0f0fu;
        *weights++ = first | (first & 0x08080808u) * 30u; /* The sign fills the upper half: 8 * 30 is 0xf0. */
        *weights++ = second | (second & 0x08080808u) * 30u;
    }
}

#endif

/** What the taps of a filter add that see the zero point alone: all rows but [begin, end). */
static int32_t outer_sum(const te_window *geometry, const int8_t *weights, te_taps taps_y, int32_t zero_point) {
    int32_t sum = 0;
    for (int32_t y = 0; y < geometry->kernel_h; ++y) {
        for (int32_t x = 0; x < geometry->kernel_w && (y < taps_y.begin || y >= taps_y.end); ++x) {
            sum += weights[y * geometry->kernel_w + x];
        }
    }
    return zero_point * sum;
}

static void te_depthwise_scalar(const te_depthwise_conv2d_scalar_params *params, const int8_t *input, int8_t *output,
                                void *scratch) {
    const te_window *const geometry = &params->window;
    const int32_t in_c = geometry->in_c;
    const int32_t row = geometry->in_w * in_c;
    const int32_t words = (geometry->kernel_h * geometry->kernel_w + TE_WORD_WEIGHTS - 1) / TE_WORD_WEIGHTS;
    const te_scalar_range range = {2 * params->output_zero_point + 1, params->output_min, params->output_max};
    /* Outputs [inner, outer) have windows whose columns are all inside. */
    const int32_t inner = (geometry->pad_left + geometry->stride_w - 1) / geometry->stride_w;
    const int32_t last_x = geometry->in_w - 1 - (geometry->kernel_w - 1) * geometry->dilation_w + geometry->pad_left;
    const int32_t inside = last_x < 0 ? 0 : last_x / geometry->stride_w + 1;
    const int32_t outer = inside < geometry->out_w ? inside : geometry->out_w;
    /* Where many are not, rows are copied to where they are padded. */
    const int32_t step = params->line > 0 ? 1 : in_c;
    const int32_t tap_step = geometry->dilation_w * step;
    te_taps_s8_scalar taps = {0, geometry->kernel_w, tap_step,
                              (params->line > 0 ? params->line : geometry->dilation_h * row) -
                                  geometry->kernel_w * tap_step,
                              geometry->stride_w * step};
#if TE_WORD_WEIGHTS == 8
    uint32_t *const apart = scratch;
    int8_t *const lines = (int8_t *)(apart + 2 * words);
#else
    int8_t *const lines = scratch;
#endif
    channel_row of;

    if (params->line > 0) {
        memset(lines, params->input_zero_point, (size_t)(geometry->kernel_h * params->line));
    }
    of.params = params;
    for (int32_t batch = 0; batch < geometry->batches; ++batch) {
        for (int32_t out_y = 0; out_y < geometry->out_h; ++out_y) {
            const int32_t origin_y = out_y * geometry->stride_h - geometry->pad_top;
            const te_taps taps_y = te_taps_inside(origin_y, geometry->in_h, geometry->kernel_h, geometry->dilation_h);
            const int32_t first_y = origin_y + taps_y.begin * geometry->dilation_h;
            const uint32_t *stream = params->packed;
            of.rows = taps_y.end > taps_y.begin ? taps_y.end - taps_y.begin : 0;
            taps.rows = of.rows;
            for (int32_t channel = 0; channel < in_c; ++channel) {
#if TE_WORD_WEIGHTS == 8
                const int8_t *const weights = (const int8_t *)apart;
                take_apart(stream, words, apart);
#else
                const int8_t *const weights = (const int8_t *)stream;
#endif
                of.input = input + first_y * row + channel;
                of.weights = weights + taps_y.begin * geometry->kernel_w;
                of.bias = (int32_t)stream[words];
                of.multiplier = (int32_t)stream[words + 1];
                of.shift = params->shifts[channel];
                if (of.rows < geometry->kernel_h) {
                    of.bias += outer_sum(geometry, weights, taps_y, params->input_zero_point);
                }
                if (of.rows == 0) {
                    make_single(&of, &range, 0, geometry->out_w, output + channel);
                } else if (params->line > 0) {
                    copy_lines(&of, lines + geometry->pad_left);
                    make_fours(&of, &range, &taps, lines, 0, geometry->out_w, output + channel);
                } else {
                    make_single(&of, &range, 0, inner, output + channel);
                    make_fours(&of, &range, &taps, of.input - geometry->pad_left * in_c, inner, outer,
                               output + channel);
                    make_single(&of, &range, outer, geometry->out_w, output + channel);
                }
                stream += words + TE_SCALAR_REQUANTISATION_WORDS;
            }
            output += geometry->out_w * in_c;
        }
        input += geometry->in_h * row;
    }
}

#endif /* TE_DEPTHWISE_SCALAR_H */
