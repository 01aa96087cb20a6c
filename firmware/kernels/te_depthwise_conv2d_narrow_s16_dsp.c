/* SPDX-License-Identifier: Apache-2.0 */
#include "te_depthwise_windows_s16.h"
#include "te_dsp.h"
#include "te_kernels.h"

/** Channels of one pass over a window: two words of values and one of weights a tap. */
#define CHANNELS 4

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

static void convolve_four(const te_depthwise_conv2d_narrow_s16_dsp_params *params, const te_tap_grid *grid,
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

static void convolve_one(const te_depthwise_conv2d_narrow_s16_dsp_params *params, const te_tap_grid *grid,
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
static void convolve_pixel(const void *opaque, const te_tap_grid *grid, const int16_t *input, const int8_t *weights,
                           int16_t *output) {
    const te_depthwise_conv2d_narrow_s16_dsp_params *params = opaque;
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
    (void)scratch;
    te_for_each_window_s16(&params->window, params->weights, params->window.in_c, convolve_pixel, params, input, output);
}
