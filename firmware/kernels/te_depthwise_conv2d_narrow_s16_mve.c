/* SPDX-License-Identifier: Apache-2.0 */
#include "te_depthwise_windows_s16.h"
#include "te_dsp.h"
#include "te_kernels.h"
#include "te_mve.h"

/** Channels of one vector of values. */
#define LANES 8
/** Words of eight channels: four even biases, four odd ones, and multipliers likewise. */
#define STREAM_WORDS 16

#if TE_MVE_ASSEMBLY

#include <arm_mve.h>

static void convolve_eight(const te_depthwise_conv2d_narrow_s16_mve_params *params, const te_tap_grid *grid,
                           const int16_t *input, const int8_t *weights, const int32_t *stream, int16_t *output) {
    int32x4_t even = vldrwq_s32(stream);
    int32x4_t odd = vldrwq_s32(stream + 4);
    for (int32_t y = grid->height; y > 0; --y) {
        for (int32_t x = grid->width; x > 0; --x) {
            const int16x8_t values = vldrhq_s16(input);
            const int16x8_t taps = vldrbq_s16(weights);
            even = vaddq_s32(even, vmullbq_int_s16(values, taps));
            odd = vaddq_s32(odd, vmulltq_int_s16(values, taps));
            input += grid->input_step;
            weights += grid->weights_step;
        }
        input += grid->input_row;
        weights += grid->weights_row;
    }
    even = vrmulhq_s32(even, vldrwq_s32(stream + 8)); /* round(sum * multiplier / 2^32) */
    odd = vrmulhq_s32(odd, vldrwq_s32(stream + 12));
    int16x8_t outputs = vqmovnbq_s32(vdupq_n_s16(0), even);
    outputs = vqmovntq_s32(outputs, odd);
    outputs = vmaxq_s16(outputs, vdupq_n_s16((int16_t)params->output_min));
    outputs = vminq_s16(outputs, vdupq_n_s16((int16_t)params->output_max));
    vstrhq_s16(output, outputs);
}

#else /* The same in C, one channel at a time. */

static void convolve_eight(const te_depthwise_conv2d_narrow_s16_mve_params *params, const te_tap_grid *grid,
                           const int16_t *input, const int8_t *weights, const int32_t *stream, int16_t *output) {
    for (int32_t lane = 0; lane < LANES; ++lane) {
        const int32_t *constants = stream + 4 * (lane & 1) + (lane >> 1);
        const int16_t *value = input + lane;
        const int8_t *tap = weights + lane;
        int32_t sum = constants[0];
        for (int32_t y = grid->height; y > 0; --y) {
            for (int32_t x = grid->width; x > 0; --x) {
                sum += *value * *tap;
                value += grid->input_step;
                tap += grid->weights_step;
            }
            value += grid->input_row;
            tap += grid->weights_row;
        }
        sum = te_rounded_high(sum, constants[8]);
        sum = sum < params->output_min ? params->output_min : sum;
        output[lane] = (int16_t)(sum > params->output_max ? params->output_max : sum);
    }
}

#endif

/** All channels of one pixel, the last ones of a number that is no multiple of eight together with some before them. */
static void convolve_pixel(const void *opaque, const te_tap_grid *grid, const int16_t *input, const int8_t *weights,
                           int16_t *output) {
    const te_depthwise_conv2d_narrow_s16_mve_params *params = opaque;
    const int32_t last = params->window.in_c - LANES;
    const int32_t *stream = params->packed;
    for (int32_t next = 0; next < last + LANES; next += LANES) {
        const int32_t channel = next < last ? next : last;
        convolve_eight(params, grid, input + channel, weights + channel, stream, output + channel);
        stream += STREAM_WORDS;
    }
}

void te_depthwise_conv2d_narrow_s16_mve(const te_depthwise_conv2d_narrow_s16_mve_params *params, const int16_t *input,
                                        int16_t *output, void *scratch) {
    (void)scratch;
    te_for_each_window_s16(&params->window, params->weights, convolve_pixel, params, input, output);
}
