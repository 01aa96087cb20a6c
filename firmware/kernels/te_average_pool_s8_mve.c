/* SPDX-License-Identifier: Apache-2.0 */
#include "te_pool_mve.h"
#include "te_requantise.h"

/* A sum of n values is at most 128 * n in magnitude, which half of n is added to. Times 2^24 / n, rounded up, it is less than
 * 2^32, and too large by less than one part in n: its highest byte is the quotient, rounded down. */

/** 2^24 / count, rounded up. */
static inline uint32_t reciprocal_of(int32_t count) {
    /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): a window has a tap inside. */
    return ((1u << 24) + (uint32_t)count - 1u) / (uint32_t)count;
}

#if TE_MVE_ASSEMBLY

#include <arm_mve.h>

/** Channels of a vector of sums. */
#define LANES 8

static inline void pool_channels(const te_pool_params *params, const te_pool_mve_window *window, int8_t *output) {
    const int32_t count = window->height * window->width;
    const uint32_t reciprocal = reciprocal_of(count);
    const int8_t *corner = window->corner;
    for (int32_t left = window->step; left > 0; left -= LANES) {
        const mve_pred16_t lanes = vctp16q((uint32_t)left);
        int16x8_t sums = vdupq_n_s16(0);
        const int8_t *row = corner;
        for (int32_t y = window->height; y > 0; --y) {
            const int8_t *at = row;
            for (int32_t x = window->width; x > 0; --x) {
                sums = vaddq_s16(sums, vldrbq_z_s16(at, lanes));
                at += window->step;
            }
            row += window->row;
        }
        /* The magnitude of -2^15 is 2^15 without a sign. */
        const uint16x8_t raised = vaddq_n_u16(vreinterpretq_u16_s16(vabsq_s16(sums)), (uint16_t)(count / 2));
        const uint32x4_t even = vshrq_n_u32(vmulq_n_u32(vmovlbq_u16(raised), reciprocal), 24);
        const uint32x4_t odd = vshrq_n_u32(vmulq_n_u32(vmovltq_u16(raised), reciprocal), 24);
        int16x8_t means = vreinterpretq_s16_u16(vmovntq_u32(vreinterpretq_u16_u32(even), odd));
        means = vnegq_m_s16(means, means, vcmpltq_n_s16(sums, 0));
        means = vmaxq_s16(means, vdupq_n_s16((int16_t)params->output_min));
        means = vminq_s16(means, vdupq_n_s16((int16_t)params->output_max));
        vstrbq_p_s16(output, means, lanes);
        corner += LANES;
        output += LANES;
    }
}

#else /* The same in C, one channel at a time. */

static void pool_channels(const te_pool_params *params, const te_pool_mve_window *window, int8_t *output) {
    const int32_t count = window->height * window->width;
    const uint32_t reciprocal = reciprocal_of(count);
    for (int32_t channel = 0; channel < window->step; ++channel) {
        int32_t sum = 0;
        for (int32_t y = 0; y < window->height; ++y) {
            for (int32_t x = 0; x < window->width; ++x) {
                sum += window->corner[y * window->row + x * window->step + channel];
            }
        }
        const uint32_t magnitude = (uint32_t)(sum < 0 ? -sum : sum);
        const int32_t mean = (int32_t)((magnitude + (uint32_t)(count / 2)) * reciprocal >> 24);
        output[channel] = te_clamp(sum < 0 ? -mean : mean, params->output_min, params->output_max);
    }
}

#endif

void te_average_pool_s8_mve(const te_pool_params *params, const int8_t *input, int8_t *output, void *scratch) {
    (void)scratch;
    te_pool_mve(params, 1, input, output, pool_channels);
}
