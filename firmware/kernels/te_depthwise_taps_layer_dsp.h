/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_depthwise_taps_layer_dsp.h
 *  The stripes of te_depthwise_taps_s8_dsp(), with what unpacks the streams left open: a channel of te_taps_s8_dsp.h with
 *  `words` words takes TE_TAPS_PACKED_WORDS(words) of them, and TE_TAPS_STREAMS(packed, words, channels, spare) returns the
 *  streams of up to TE_PLANES channels, which it may write to `spare`.
 *
 *  Taps that are d columns apart are neighbours among every d-th column, so a padded row is d parts of a plane then: columns
 *  0, d, 2 * d, ..., columns 1, d + 1, ... Outputs d columns apart are a run over one part. */
#ifndef TE_DEPTHWISE_TAPS_LAYER_DSP_H
#define TE_DEPTHWISE_TAPS_LAYER_DSP_H

#include "te_dsp.h"
#include "te_kernels.h"
#include "te_planes_s8_dsp.h"
#include "te_requantise.h"
#include "te_taps_s8_dsp.h"

/** Rows of the padded input as int16 values, a plane a channel: the input of some output rows. A line of a plane is a row
 *  or, where kernels are tall, a column. */
typedef struct {
    int16_t *values;
    int32_t plane;  /**< Values from a channel to the next. */
    int32_t top;    /**< Which row of the padded input comes first. */
    int32_t loaded; /**< Rows of the padded input up to here were loaded. */
} stripe;

/** What all groups of channels share. */
typedef struct {
    const te_depthwise_taps_dsp_params *params;
    int32_t channel_words; /**< Of a channel's stream. */
    uint32_t *spare;       /**< Past the planes. */
    int32_t reach;         /**< Rows from a window's first to its last. */
    int32_t parts;         /**< Of a padded row; its columns in turn. */
    te_taps_run run;
    stripe rows;
} layer;

static int32_t limit(int32_t value, int32_t low, int32_t high) {
    return value < low ? low : (value > high ? high : value);
}

/** Moves the stripe down the input: what rows it holds from `first` on stays, and rows up to `last` are loaded.
 *  @param input  The first channel of the group. */
static void advance(layer *of, const int8_t *input, int32_t channels, int32_t first, int32_t last) {
    const te_depthwise_taps_dsp_params *params = of->params;
    stripe *rows = &of->rows;
    const int32_t row = params->in_w * params->in_c;
    const int32_t kept = rows->loaded > first ? rows->loaded - first : 0;
    const int32_t lines = params->tall ? params->in_w : 1;
    const int32_t unit = params->tall ? 1 : params->line; /* Values of a row that lie together. */
    const int32_t begin = first + kept - params->pad_top;
    const int32_t end = last + 1 - params->pad_top;
    const int32_t inside_begin = limit(0, begin, end);
    const int32_t inside_end = limit(params->in_h, inside_begin, end);
    const int32_t padded = inside_end - inside_begin < end - begin;
    for (int32_t c = 0; (kept > 0 || padded) && c < channels; ++c) {
        int16_t *line = rows->values + c * rows->plane;
        for (int32_t x = 0; x < lines; ++x) {
            if (kept > 0) {
                memmove(line, line + (first - rows->top) * unit, (size_t)(kept * unit) * sizeof *line);
            }
            if (padded) {
                te_fill_values_dsp(line + kept * unit, (inside_begin - begin) * unit, params->input_zero_point);
                te_fill_values_dsp(line + (kept + inside_end - begin) * unit, (end - inside_end) * unit,
                                   params->input_zero_point);
            }
            line += params->line;
        }
    }
    if (inside_begin < inside_end) {
        te_plane_runs runs;
        runs.plane_bytes = 2 * rows->plane;
        runs.pixels = input + inside_begin * row;
        runs.step = params->tall ? row : of->parts * params->in_c;
        runs.runs = params->tall ? params->in_w : inside_end - inside_begin;
        runs.values_bytes = 2 * params->line;
        runs.pixels_bytes = params->tall ? params->in_c : row;
        int16_t *const values = rows->values + (kept + inside_begin - begin) * unit;
        for (int32_t x = 0; x < of->parts && x < params->in_w; ++x) {
            const int32_t column = params->pad_left + x;
            runs.values = values + column % of->parts * (params->line / of->parts) + column / of->parts;
            runs.count = params->tall ? inside_end - inside_begin : (params->in_w - x - 1) / of->parts + 1;
            te_widen_channels_dsp(&runs, channels);
            runs.pixels += params->in_c;
        }
    }
    rows->top = first;
    rows->loaded = last + 1;
}

/** A run of outputs of one channel with any dilation, clamp range and requantisation multiplier. */
static void convolve_any(const layer *of, const int16_t *values, const uint32_t *stream, int8_t *output) {
    const te_depthwise_taps_dsp_params *params = of->params;
    const te_taps_run *run = &of->run;
    const int32_t taps = params->tall ? params->kernel_h : params->kernel_w;
    const int32_t dilation = params->tall ? params->dilation_h : params->dilation_w;
    const int32_t right_shift = (int32_t)(stream[2] & 0xffu);
    const int32_t left_shift = (int32_t)(stream[2] >> 8);
    const int32_t half = (int32_t)(((uint32_t)1 << right_shift) >> 1);
    for (int32_t i = run->outputs; i > 0; --i) {
        const int8_t *weights = (const int8_t *)(stream + TE_TAPS_REQUANTISATION_WORDS);
        int32_t sum = (int32_t)stream[0];
        for (int32_t y = 0; y < run->rows; ++y) {
            const int16_t *at = values + y * params->dilation_h * params->line;
            for (int32_t tap = 0; tap < taps; ++tap) {
                /* Of four, the middle two are the other way round. */
                sum += *at * weights[(tap & ~3) | ((tap & 1) << 1) | ((tap >> 1) & 1)];
                at += dilation;
            }
            weights += (taps + 3) / 4 * 4;
        }
        sum = te_rounded_high_plus((int32_t)((uint32_t)sum << left_shift), (int32_t)stream[1]);
        sum += (sum < 0 && right_shift != 0 ? -1 : 0) + half;
        sum = (sum >> right_shift) + params->output_zero_point;
        *output = te_clamp(sum, params->output_min, params->output_max);
        output += run->out_stride;
        values += run->step_bytes / 2;
    }
}

/** A row of outputs of one channel, the runs of its parts. */
static void convolve_parts(const layer *of, const int16_t *values, const uint32_t *stream, int8_t *output) {
    const te_depthwise_taps_dsp_params *params = of->params;
    te_taps_run run = of->run;
    run.out_stride *= of->parts;
    for (int32_t part = 0; part < of->parts && part < params->out_w; ++part) {
        run.outputs = (params->out_w - part - 1) / of->parts + 1;
        te_taps_stride1_dsp(&run, values, stream, output);
        values += params->line / of->parts;
        output += params->in_c;
    }
}

static void convolve_group(layer *of, const int8_t *input, int8_t *output, int32_t channels, const uint32_t *packed) {
    const te_depthwise_taps_dsp_params *params = of->params;
    const int32_t out_row = params->out_w * params->in_c;
    const uint32_t *streams = TE_TAPS_STREAMS(packed, of->channel_words, channels, of->spare);
    const int32_t unit_steps = params->plain && of->run.step_bytes == (int32_t)sizeof(int16_t) && of->parts == 1;
    of->rows.top = 0;
    of->rows.loaded = 0;
    for (int32_t out_y = 0; out_y < params->out_h; out_y += params->stripe_h) {
        const int32_t left = params->out_h - out_y;
        const int32_t count = left < params->stripe_h ? left : params->stripe_h;
        const int32_t first = out_y * params->stride_h;
        /* Runs go down the columns or along the rows. */
        const int32_t runs = params->tall ? params->out_w : count;
        const int32_t values_step = (params->tall ? params->stride_w : params->stride_h) * params->line;
        const int32_t output_step = params->tall ? params->in_c : out_row;
        advance(of, input, channels, first, first + (count - 1) * params->stride_h + of->reach);
        of->run.outputs = params->tall ? count : params->out_w;
        for (int32_t c = 0; c < channels; ++c) {
            const int16_t *values = of->rows.values + c * of->rows.plane;
            const uint32_t *stream = streams + c * of->channel_words;
            int8_t *to = output + c;
            for (int32_t run = 0; run < runs; ++run) {
                if (unit_steps) {
                    te_taps_stride1_dsp(&of->run, values, stream, to);
                } else if (!params->plain) {
                    convolve_any(of, values, stream, to);
                } else if (of->parts == 1) {
                    te_taps_strided_dsp(&of->run, values, stream, to);
                } else {
                    convolve_parts(of, values, stream, to);
                }
                values += values_step;
                to += output_step;
            }
        }
        output += count * out_row;
    }
}

static void te_depthwise_taps_layer_dsp(const te_depthwise_taps_dsp_params *params, const int8_t *input,
                                        int8_t *output, void *scratch) {
    const int32_t taps = params->tall ? params->kernel_h : params->kernel_w;
    const int32_t rows = params->tall ? 1 : params->kernel_h;
    layer of;
    of.params = params;
    of.channel_words = TE_TAPS_REQUANTISATION_WORDS + rows * ((taps + 3) / 4);
    of.reach = (params->kernel_h - 1) * params->dilation_h;
    of.parts = params->plain && !params->tall && params->kernel_w > 1 ? params->dilation_w : 1;
    of.run.out_stride = (params->tall ? params->out_w : 1) * params->in_c;
    of.run.step_bytes = 2 * (params->tall ? params->stride_h : params->stride_w);
    of.run.pairs = (taps + 1) / 2;
    of.run.rows = rows;
    of.run.skip_bytes = 2 * params->dilation_h * params->line - 8 * (of.run.pairs / 2);
    of.run.zero_point = params->output_zero_point;
    of.rows.values = scratch;
    of.rows.plane =
        params->line * (params->tall ? params->in_w : (params->stripe_h - 1) * params->stride_h + of.reach + 1);
    of.spare = (uint32_t *)scratch + 2 * of.rows.plane + 1; /* The runs may read a value past the planes. */
    if (!params->tall) { /* Borders to the left and right stay for all channels. */
        te_fill_values_dsp(of.rows.values, TE_PLANES * of.rows.plane, params->input_zero_point);
    }
    for (int32_t batch = 0; batch < params->batches; ++batch) {
        for (int32_t channel = 0; channel < params->in_c; channel += TE_PLANES) {
            const int32_t left = params->in_c - channel;
            convolve_group(&of, input + channel, output + channel, left < TE_PLANES ? left : TE_PLANES,
                           params->packed + channel * TE_TAPS_PACKED_WORDS(of.channel_words));
        }
        input += params->in_h * params->in_w * params->in_c;
        output += params->out_h * params->out_w * params->in_c;
    }
}

#endif /* TE_DEPTHWISE_TAPS_LAYER_DSP_H */
