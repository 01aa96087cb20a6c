/* SPDX-License-Identifier: Apache-2.0 */
#include "te_pool_mve.h"
#include "te_requantise.h"

#if TE_MVE_ASSEMBLY

#include <arm_mve.h>

/** Bytes of a vector. */
#define VECTOR_BYTES 16

static inline void pool_channels(const te_pool_params *params, const te_pool_mve_window *window, int8_t *output) {
    const int8_t *corner = window->corner;
    for (int32_t left = window->step; left > 0; left -= VECTOR_BYTES) {
        const mve_pred16_t lanes = vctp8q((uint32_t)left);
        int16x8_t largest = vdupq_n_s16((int16_t)params->output_min);
        const int8_t *row = corner;
        for (int32_t y = window->height; y > 0; --y) {
            const int8_t *at = row;
            for (int32_t x = window->width; x > 0; --x) {
                largest = vmaxq_s16(largest, vldrhq_z_s16((const int16_t *)(const void *)at, lanes));
                at += window->step;
            }
            row += window->row;
        }
        largest = vminq_s16(largest, vdupq_n_s16((int16_t)params->output_max));
        vstrhq_p_s16((int16_t *)(void *)output, largest, lanes);
        corner += VECTOR_BYTES;
        output += VECTOR_BYTES;
    }
}

#else /* The same in C, one channel at a time. */

static void pool_channels(const te_pool_params *params, const te_pool_mve_window *window, int8_t *output) {
    int16_t *outputs = (int16_t *)(void *)output;
    for (int32_t channel = 0; channel < params->channels; ++channel) {
        int32_t largest = params->output_min;
        for (int32_t y = 0; y < window->height; ++y) {
            for (int32_t x = 0; x < window->width; ++x) {
                const int8_t *pixel = window->corner + y * window->row + x * window->step;
                const int32_t value = ((const int16_t *)(const void *)pixel)[channel];
                largest = value > largest ? value : largest;
            }
        }
        outputs[channel] = te_clamp_s16(largest, params->output_min, params->output_max);
    }
}

#endif

void te_max_pool_s16_mve(const te_pool_params *params, const int16_t *input, int16_t *output, void *scratch) {
    (void)scratch;
    te_pool_mve(params, (int32_t)sizeof *output, (const int8_t *)input, (int8_t *)output, pool_channels);
}
