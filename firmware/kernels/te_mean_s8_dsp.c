/* SPDX-License-Identifier: Apache-2.0 */
#include "te_dsp.h"
#include "te_kernels.h"
#include "te_requantise.h"

/** Channels of one word. */
#define CHANNELS 4
/** The sum of so many int8 values fits 16 bits. */
#define PIXELS 256

static inline int8_t mean_of(const te_mean_dsp_params *params, int32_t sum) {
    const int32_t mean = te_requantise(sum + params->offset, params->multiplier, params->shift);
    return te_clamp(te_add_wrapping(mean, params->output_zero_point), INT8_MIN, INT8_MAX);
}

static void mean_of_four(const te_mean_dsp_params *params, const int8_t *input, int8_t *output) {
    int32_t sums[CHANNELS] = {0, 0, 0, 0};
    int32_t count;
    for (int32_t left = params->count; left > 0; left -= count) {
        uint32_t even = 0;
        uint32_t odd = 0;
        count = left < PIXELS ? left : PIXELS;
        for (int32_t pixel = count; pixel > 0; --pixel) {
            const uint32_t word = te_load4(input);
            even = te_add_even_bytes(even, word);
            odd = te_add_odd_bytes(odd, word);
            input += params->channels;
        }
        sums[0] += te_low(even);
        sums[1] += te_low(odd);
        sums[2] += te_high(even);
        sums[3] += te_high(odd);
    }
    for (int32_t i = 0; i < CHANNELS; ++i) {
        output[i] = mean_of(params, sums[i]);
    }
}

static void mean_of_one(const te_mean_dsp_params *params, const int8_t *input, int8_t *output) {
    int32_t sum = 0;
    for (int32_t pixel = params->count; pixel > 0; --pixel) {
        sum += *input;
        input += params->channels;
    }
    *output = mean_of(params, sum);
}

void te_mean_s8_dsp(const te_mean_dsp_params *params, const int8_t *input, int8_t *output, void *scratch) {
    (void)scratch;
    for (int32_t batch = 0; batch < params->batches; ++batch) {
        int32_t channel = 0;
        for (; channel + CHANNELS <= params->channels; channel += CHANNELS) {
            mean_of_four(params, input + channel, output + channel);
        }
        for (; channel < params->channels; ++channel) {
            mean_of_one(params, input + channel, output + channel);
        }
        input += params->count * params->channels;
        output += params->channels;
    }
}
