/* SPDX-License-Identifier: Apache-2.0 */
#include "te_pool_mve.h"
#include "te_requantise.h"

#if TE_MVE_ASSEMBLY

#include <arm_mve.h>

/** Channels of a vector. */
#define LANES 16

static inline void pool_channels(const te_pool_params *params, const te_pool_mve_window *window, int8_t *output) {
    const int8_t *corner = window->corner;
    for (int32_t left = window->step; left > 0; left -= LANES) {
        const mve_pred16_t lanes = vctp8q((uint32_t)left);
        int8x16_t largest = vdupq_n_s8((int8_t)params->output_min);
        const int8_t *row = corner;
        for (int32_t y = window->height; y > 0; --y) {
            const int8_t *at = row;
            for (int32_t x = window->width; x > 0; --x) {
                largest = vmaxq_s8(largest, vldrbq_z_s8(at, lanes));
                at += window->step;
            }
            row += window->row;
        }
        vstrbq_p_s8(output, vminq_s8(largest, vdupq_n_s8((int8_t)params->output_max)), lanes);
        corner += LANES;
        output += LANES;
    }
}

#else /* The same in C, one channel at a time. */

static void pool_channels(const te_pool_params *params, const te_pool_mve_window *window, int8_t *output) {
    for (int32_t channel = 0; channel < window->step; ++channel) {
        int32_t largest = params->output_min;
        for (int32_t y = 0; y < window->height; ++y) {
            for (int32_t x = 0; x < window->width; ++x) {
                const int32_t value = window->corner[y * window->row + x * window->step + channel];
                largest = value > largest ? value : largest;
            }
        }
        output[channel] = te_clamp(largest, params->output_min, params->output_max);
    }
}

#endif

void te_max_pool_s8_mve(const te_pool_params *params, const int8_t *input, int8_t *output, void *scratch) {
    (void)scratch;
    te_pool_mve(params, 1, input, output, pool_channels);
}
