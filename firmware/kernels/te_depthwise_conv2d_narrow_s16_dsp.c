/* SPDX-License-Identifier: Apache-2.0 */
#include "te_dot.h"
#include "te_dsp.h"
#include "te_kernels.h"

/** Channels of one pass over a window: two words of values and one of weights a tap. */
#define CHANNELS 4

/** The part of a window that lies on the input. */
typedef struct {
    int32_t height;
    int32_t width;
    int32_t input_row;   /**< Values from past a row of taps to the next one. */
    int32_t input_step;  /**< Values from one tap to the next. */
    int32_t weights_row; /**< The same in the weights. */
    int32_t weights_step;
} tap_grid;

/** The output of a sum. */
static inline int32_t finish(const te_depthwise_conv2d_narrow_s16_dsp_params *params, int32_t sum, int32_t channel) {
    const int32_t scaled = te_rounded_high(sum, params->multipliers[channel]);
    const int32_t floored = scaled < params->output_min ? params->output_min : scaled;
    return floored > params->output_max ? params->output_max : floored;
}

/** The outputs of two neighbouring channels. */
static inline uint32_t finish_two(const te_depthwise_conv2d_narrow_s16_dsp_params *params, int32_t first,
                                  int32_t second, int32_t channel) {
    return te_low_halves((uint32_t)finish(params, first, channel), (uint32_t)finish(params, second, channel + 1));
}

static void convolve_four(const te_depthwise_conv2d_narrow_s16_dsp_params *params, const tap_grid *grid,
                          const int16_t *input, const int8_t *weights, int32_t channel, int16_t *output) {
    const int32_t input_step = grid->input_step;
    const int32_t weights_step = grid->weights_step;
    const int32_t *bias = params->bias + channel;
    int32_t first = bias[0];
    int32_t second = bias[1];
    int32_t third = bias[2];
    int32_t fourth = bias[3];
    for (int32_t y = grid->height; y > 0; --y) {
        for (int32_t x = grid->width; x > 0; --x) {
            const uint32_t low = te_load4(input);
            const uint32_t high = te_load4(input + 2);
            const uint32_t bytes = te_load4(weights);
            const uint32_t even = te_even_bytes(bytes);
            const uint32_t odd = te_odd_bytes(bytes);
            first += te_low(low) * te_low(even); /* SMLABB, and so on. */
            second += te_high(low) * te_low(odd);
            third += te_low(high) * te_high(even);
            fourth += te_high(high) * te_high(odd);
            input += input_step;
            weights += weights_step;
        }
        input += grid->input_row;
        weights += grid->weights_row;
    }
    te_store4(output, finish_two(params, first, second, channel));
    te_store4(output + 2, finish_two(params, third, fourth, channel + 2));
}

static void convolve_one(const te_depthwise_conv2d_narrow_s16_dsp_params *params, const tap_grid *grid,
                         const int16_t *input, const int8_t *weights, int32_t channel, int16_t *output) {
    int32_t sum = params->bias[channel];
    for (int32_t y = grid->height; y > 0; --y) {
        for (int32_t x = grid->width; x > 0; --x) {
            sum += *input * *weights;
            input += grid->input_step;
            weights += grid->weights_step;
        }
        input += grid->input_row;
        weights += grid->weights_row;
    }
    *output = (int16_t)finish(params, sum, channel);
}

/** All channels of one pixel, the last ones of a number that is no multiple of four together with some before them. */
static void convolve_pixel(const te_depthwise_conv2d_narrow_s16_dsp_params *params, const tap_grid *grid,
                           const int16_t *input, const int8_t *weights, int16_t *output) {
    const int32_t channels = params->window.in_c;
    int32_t channel = 0;
    if (channels < CHANNELS) {
        for (; channel < channels; ++channel) {
            convolve_one(params, grid, input + channel, weights + channel, channel, output + channel);
        }
        return;
    }
    for (; channel + CHANNELS <= channels; channel += CHANNELS) {
        convolve_four(params, grid, input + channel, weights + channel, channel, output + channel);
    }
    if (channel < channels) {
        channel = channels - CHANNELS;
        convolve_four(params, grid, input + channel, weights + channel, channel, output + channel);
    }
}

void te_depthwise_conv2d_narrow_s16_dsp(const te_depthwise_conv2d_narrow_s16_dsp_params *params, const int16_t *input,
                                        int16_t *output, void *scratch) {
    const te_window *const geometry = &params->window;
    const int32_t in_c = geometry->in_c;
    const int32_t row = geometry->in_w * in_c;
    tap_grid grid;
    (void)scratch;

    grid.input_step = geometry->dilation_w * in_c;
    grid.weights_step = in_c;
    for (int32_t batch = 0; batch < geometry->batches; ++batch) {
        for (int32_t out_y = 0; out_y < geometry->out_h; ++out_y) {
            const int32_t origin_y = out_y * geometry->stride_h - geometry->pad_top;
            const te_taps taps_y = te_taps_inside(origin_y, geometry->in_h, geometry->kernel_h, geometry->dilation_h);
            const int32_t first_y = origin_y + taps_y.begin * geometry->dilation_h;
            for (int32_t out_x = 0; out_x < geometry->out_w; ++out_x) {
                const int32_t origin_x = out_x * geometry->stride_w - geometry->pad_left;
                const te_taps taps_x =
                    te_taps_inside(origin_x, geometry->in_w, geometry->kernel_w, geometry->dilation_w);
                const int32_t first_x = origin_x + taps_x.begin * geometry->dilation_w;
                const int32_t inside = taps_y.end > taps_y.begin && taps_x.end > taps_x.begin;
                const int32_t corner = inside ? first_y * row + first_x * in_c : 0;
                const int32_t tap = inside ? (taps_y.begin * geometry->kernel_w + taps_x.begin) * in_c : 0;
                grid.height = inside ? taps_y.end - taps_y.begin : 0;
                grid.width = taps_x.end - taps_x.begin;
                grid.input_row = geometry->dilation_h * row - grid.width * grid.input_step;
                grid.weights_row = (geometry->kernel_w - grid.width) * in_c;
                convolve_pixel(params, &grid, input + corner, params->weights + tap, output);
                output += in_c;
            }
        }
        input += geometry->in_h * row;
    }
}
