/* SPDX-License-Identifier: Apache-2.0 */
#include "te_pool_mve.h"
#include "te_requantise.h"

/* A sum of n values is at most 2^15 * n in magnitude, which half of n is added to. Twice that times 2^31 / n, rounded up, is
 * too large by less than one part in n for all n up to 256: its upper 32 bits are the quotient, rounded down. */

/** 2^31 / count, rounded up. */
static inline uint32_t reciprocal_of(int32_t count) {
    /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): a window has a tap inside. */
    return ((1u << 31) + (uint32_t)count - 1u) / (uint32_t)count;
}

#if TE_MVE_ASSEMBLY

#include <arm_mve.h>

/** Bytes of a vector of values, each in 32 bits then. */
#define VECTOR_BYTES 8

static inline void pool_channels(const te_pool_params *params, const te_pool_mve_window *window, int8_t *output) {
    const int32_t count = window->height * window->width;
    const uint32x4_t reciprocal = vdupq_n_u32(reciprocal_of(count));
    const int8_t *corner = window->corner;
    for (int32_t left = window->step; left > 0; left -= VECTOR_BYTES) {
        const mve_pred16_t lanes = vctp16q((uint32_t)left);
        int32x4_t sums = vdupq_n_s32(0);
        const int8_t *row = corner;
        for (int32_t y = window->height; y > 0; --y) {
            const int8_t *at = row;
            for (int32_t x = window->width; x > 0; --x) {
                sums = vaddq_s32(sums, vldrhq_z_s32((const int16_t *)(const void *)at, lanes));
                at += window->step;
            }
            row += window->row;
        }
        const int32x4_t raised = vaddq_n_s32(vabsq_s32(sums), count / 2);
        const uint32x4_t twice = vshlq_n_u32(vreinterpretq_u32_s32(raised), 1);
        int32x4_t means = vreinterpretq_s32_u32(vmulhq_u32(twice, reciprocal));
        means = vnegq_m_s32(means, means, vcmpltq_n_s32(sums, 0));
        means = vmaxq_s32(means, vdupq_n_s32(params->output_min));
        means = vminq_s32(means, vdupq_n_s32(params->output_max));
        vstrhq_p_s32((int16_t *)(void *)output, means, lanes);
        corner += VECTOR_BYTES;
        output += VECTOR_BYTES;
    }
}

#else /* The same in C, one channel at a time. */

static void pool_channels(const te_pool_params *params, const te_pool_mve_window *window, int8_t *output) {
    const int32_t count = window->height * window->width;
    const uint32_t reciprocal = reciprocal_of(count);
    int16_t *outputs = (int16_t *)(void *)output;
    for (int32_t channel = 0; channel < params->channels; ++channel) {
        int32_t sum = 0;
        for (int32_t y = 0; y < window->height; ++y) {
            for (int32_t x = 0; x < window->width; ++x) {
                const int8_t *pixel = window->corner + y * window->row + x * window->step;
                sum += ((const int16_t *)(const void *)pixel)[channel];
            }
        }
        const uint32_t raised = (uint32_t)((sum < 0 ? -sum : sum) + count / 2);
        const int32_t mean = (int32_t)((uint64_t)(2u * raised) * reciprocal >> 32);
        outputs[channel] = te_clamp_s16(sum < 0 ? -mean : mean, params->output_min, params->output_max);
    }
}

#endif

void te_average_pool_s16_mve(const te_pool_params *params, const int16_t *input, int16_t *output, void *scratch) {
    (void)scratch;
    te_pool_mve(params, (int32_t)sizeof *output, (const int8_t *)input, (int8_t *)output, pool_channels);
}
