/* SPDX-License-Identifier: Apache-2.0 */
#include "te_depthwise3_s8_dsp.h"
#include "te_dsp.h"
#include "te_kernels.h"
#include "te_requantise.h"

/* Channels whose rows are widened together: those of one word. */
#define PLANES 4

/** The input rows that a window needs, as int16 values, one plane a channel: row Y of the padded input is in slot
 *  Y % slots, and in a slot the channels lie `width` values apart. */
typedef struct {
    int16_t *values;
    int32_t slots;
    int32_t width; /**< Of the padded input, and what is read past it; even. */
    int32_t loaded; /**< Rows of the padded input that were loaded. */
} ring;

static int16_t *slot_of(const ring *rows, int32_t y) {
    return rows->values + y % rows->slots * PLANES * rows->width;
}

static void fill(int16_t *values, int32_t count, int32_t value) {
    for (int32_t i = 0; i < count; ++i) {
        values[i] = (int16_t)value;
    }
}

/** Four channels of a row, two pixels at a time. */
static void widen_four(int16_t *slot, int32_t width, const int8_t *pixels, int32_t count, int32_t stride, int32_t odd) {
    int16_t *planes[PLANES] = {slot, slot + width, slot + 2 * width, slot + 3 * width};
    int32_t i = 0;
    if (odd) { /* Then pairs of pixels are whole words. */
        for (int32_t c = 0; c < PLANES; ++c) {
            *planes[c]++ = pixels[c];
        }
        pixels += stride;
        i = 1;
    }
    for (; i + 1 < count; i += 2) {
        const uint32_t a = te_load4(pixels);
        const uint32_t b = te_load4(pixels + stride);
        const uint32_t a_even = te_even_bytes(a);
        const uint32_t b_even = te_even_bytes(b);
        const uint32_t a_odd = te_odd_bytes(a);
        const uint32_t b_odd = te_odd_bytes(b);
        te_store4(planes[0], (a_even & 0xffffu) | (b_even << 16));
        te_store4(planes[1], (a_odd & 0xffffu) | (b_odd << 16));
        te_store4(planes[2], (a_even >> 16) | (b_even & 0xffff0000u));
        te_store4(planes[3], (a_odd >> 16) | (b_odd & 0xffff0000u));
        planes[0] += 2;
        planes[1] += 2;
        planes[2] += 2;
        planes[3] += 2;
        pixels += 2 * stride;
    }
    if (i < count) {
        for (int32_t c = 0; c < PLANES; ++c) {
            *planes[c] = pixels[c];
        }
    }
}

/** The last channels of a number that is no multiple of four. */
static void widen_few(int16_t *slot, int32_t width, const int8_t *pixels, int32_t count, int32_t stride,
                      int32_t channels) {
    for (int32_t i = 0; i < count; ++i) {
        for (int32_t c = 0; c < channels; ++c) {
            slot[c * width + i] = pixels[c];
        }
        pixels += stride;
    }
}

/** Brings rows up to `last` of the padded input into the ring, those from `first` on at least.
 *  @param input  The first channel of the group. */
static void load_rows(ring *rows, const te_depthwise_conv2d_dsp_params *params, const int8_t *input, int32_t channels,
                      int32_t first, int32_t last) {
    rows->loaded = rows->loaded < first ? first : rows->loaded;
    for (; rows->loaded <= last; ++rows->loaded) {
        int16_t *slot = slot_of(rows, rows->loaded);
        const int32_t y = rows->loaded - params->pad_top;
        const int8_t *pixels = input + y * params->in_w * params->in_c;
        if (y < 0 || y >= params->in_h) {
            fill(slot, PLANES * rows->width, params->input_zero_point);
        } else if (channels == PLANES) {
            widen_four(slot + params->pad_left, rows->width, pixels, params->in_w, params->in_c, params->pad_left & 1);
        } else {
            widen_few(slot + params->pad_left, rows->width, pixels, params->in_w, params->in_c, channels);
        }
    }
}

/** The constants of up to four channels, widened once for all rows. */
static void unpack3(te_depthwise3_channel *channels, const uint32_t *packed, int32_t count, int32_t words) {
    for (int32_t c = 0; c < count; ++c) {
        const int8_t *taps = (const int8_t *)(packed + 5);
        te_depthwise3_channel *channel = channels + c;
        channel->bias = (int32_t)packed[0];
        channel->multiplier = (int32_t)packed[1];
        channel->rounding = (int32_t)packed[2];
        channel->right_shift = (int32_t)packed[3];
        for (int32_t y = 0; y < 3; ++y) {
            channel->weights[2 * y] = te_pack(taps[3 * y], taps[3 * y + 1]);
            channel->weights[2 * y + 1] = te_pack(taps[3 * y + 1], taps[3 * y + 2]);
        }
        packed += words;
    }
}

/** One output row of one channel, for any kernel and factor.
 *  @param values  The channel's plane in slot 0. */
static void convolve_row(const te_depthwise_conv2d_dsp_params *params, const ring *rows, const int16_t *values,
                         const uint32_t *packed, int32_t out_y, int8_t *output) {
    const int32_t multiplier = (int32_t)packed[1];
    const int32_t rounding = (int32_t)packed[2];
    const int32_t sign = rounding != 0 ? -1 : 0;
    for (int32_t x = 0; x < params->out_w; ++x) {
        const int8_t *taps = (const int8_t *)(packed + 5);
        int32_t sum = (int32_t)packed[0];
        for (int32_t y = 0; y < params->kernel_h; ++y) {
            const int32_t slot = (out_y * params->stride_h + y * params->dilation_h) % rows->slots;
            const int16_t *at = values + slot * PLANES * rows->width + x * params->stride_w;
            for (int32_t tap = params->kernel_w; tap > 0; --tap) {
                sum += *at * *taps++;
                at += params->dilation_w;
            }
        }
        sum = te_rounded_high_plus((int32_t)((uint32_t)sum << packed[4]), multiplier);
        sum += (sum < 0 ? sign : 0) + rounding;
        sum = (sum >> packed[3]) + (params->plain ? 0 : params->output_zero_point);
        *output = te_clamp(sum, params->output_min, params->output_max);
        output += params->in_c;
    }
}

static void convolve_group(const te_depthwise_conv2d_dsp_params *params, const int8_t *input, int8_t *output,
                           int32_t channels, const uint32_t *packed, void *scratch) {
    const int32_t words = 5 + (params->kernel_h * params->kernel_w + 3) / 4;
    const int32_t reach = (params->kernel_h - 1) * params->dilation_h;
    const int32_t is3x3 = params->plain && params->kernel_h == 3 && params->kernel_w == 3 && params->dilation_w == 1 &&
                          params->stride_w <= 2;
    te_depthwise3_channel *constants = scratch;
    ring rows = {(int16_t *)(constants + PLANES), reach + 1, params->plane_w, 0};
    fill(rows.values, rows.slots * PLANES * rows.width, params->input_zero_point);
    if (is3x3) {
        unpack3(constants, packed, channels, words);
    }
    for (int32_t out_y = 0; out_y < params->out_h; ++out_y) {
        const int32_t first = out_y * params->stride_h;
        load_rows(&rows, params, input, channels, first, first + reach);
        if (is3x3) {
            te_depthwise3_row row = {{slot_of(&rows, first), slot_of(&rows, first + params->dilation_h),
                                      slot_of(&rows, first + 2 * params->dilation_h)},
                                     constants,
                                     output,
                                     params->in_c,
                                     params->out_w,
                                     channels,
                                     2 * rows.width};
            (params->stride_w == 1 ? te_depthwise3_stride1_dsp : te_depthwise3_stride2_dsp)(&row);
        } else {
            for (int32_t c = 0; c < channels; ++c) {
                convolve_row(params, &rows, rows.values + c * rows.width, packed + c * words, out_y, output + c);
            }
        }
        output += params->out_w * params->in_c;
    }
}

void te_depthwise_conv2d_s8_dsp(const te_depthwise_conv2d_dsp_params *params, const int8_t *input, int8_t *output,
                                void *scratch) {
    const int32_t words = 5 + (params->kernel_h * params->kernel_w + 3) / 4;
    for (int32_t batch = 0; batch < params->batches; ++batch) {
        for (int32_t channel = 0; channel < params->in_c; channel += PLANES) {
            const int32_t left = params->in_c - channel;
            convolve_group(params, input + channel, output + channel, left < PLANES ? left : PLANES,
                           params->packed + channel * words, scratch);
        }
        input += params->in_h * params->in_w * params->in_c;
        output += params->out_h * params->out_w * params->in_c;
    }
}
