/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"
#include "te_mve.h"
#include "te_requantise.h"

/** Channels of a vector of sums. */
#define LANES 4

#if TE_MVE_ASSEMBLY

#include <arm_mve.h>

static void mean_of(const te_mean_s16_mve_params *params, const int16_t *input, int16_t *output, int32_t channels) {
    const mve_pred16_t lanes = vctp32q((uint32_t)channels);
    int32x4_t sums = vdupq_n_s32(0);
    for (int32_t i = params->count; i > 0; --i) {
        sums = vaddq_s32(sums, vldrhq_z_s32(input, lanes));
        input += params->channels;
    }
    /* Less one where it is negative, so that the shift rounds halves away from zero. */
    const int32x4_t scaled = vqrdmlahq_n_s32(vshrq_n_s32(sums, 31), sums, params->multiplier);
    const int32x4_t means = vrshlq_n_s32(scaled, params->left_shift);
    vstrhq_p_s32(output, vreinterpretq_s32_s16(vqmovnbq_s32(vreinterpretq_s16_s32(means), means)), lanes);
}

#else /* The same in C, one channel at a time. */

static void mean_of(const te_mean_s16_mve_params *params, const int16_t *input, int16_t *output, int32_t channels) {
    for (int32_t channel = 0; channel < channels; ++channel) {
        int32_t sum = 0;
        for (int32_t i = 0; i < params->count; ++i) {
            sum += input[i * params->channels + channel];
        }
        output[channel] = te_clamp_s16(te_requantise(sum, params->multiplier, params->left_shift), INT16_MIN, INT16_MAX);
    }
}

#endif

void te_mean_s16_mve(const te_mean_s16_mve_params *params, const int16_t *input, int16_t *output, void *scratch) {
    (void)scratch;
    for (int32_t batch = 0; batch < params->batches; ++batch) {
        for (int32_t channel = 0; channel < params->channels; channel += LANES) {
            const int32_t left = params->channels - channel;
            mean_of(params, input + channel, output + channel, left < LANES ? left : LANES);
        }
        input += params->count * params->channels;
        output += params->channels;
    }
}
