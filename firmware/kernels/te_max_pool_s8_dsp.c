/* SPDX-License-Identifier: Apache-2.0 */
#include "te_pool_s8_dsp.h"
#include "te_requantise.h"

static void pool_four(const te_pool_params *params, const te_pool_window *window, int8_t *output) {
    const int8_t *row = window->corner;
    uint32_t largest = te_repeat_byte(params->output_min);
    for (int32_t y = window->height; y > 0; --y) {
        const int8_t *at = row;
        for (int32_t x = window->width; x > 0; --x) {
            largest = te_max_bytes(largest, te_load4(at));
            at += window->step;
        }
        row += window->row;
    }
    te_store4(output, te_min_bytes(largest, te_repeat_byte(params->output_max)));
}

static void pool_one(const te_pool_params *params, const te_pool_window *window, int8_t *output) {
    int32_t largest = INT8_MIN;
    for (int32_t y = 0; y < window->height; ++y) {
        for (int32_t x = 0; x < window->width; ++x) {
            const int32_t value = window->corner[y * window->row + x * window->step];
            largest = value > largest ? value : largest;
        }
    }
    *output = te_clamp(largest, params->output_min, params->output_max);
}

void te_max_pool_s8_dsp(const te_pool_params *params, const int8_t *input, int8_t *output, void *scratch) {
    (void)scratch;
    te_pool_s8_dsp(params, input, output, pool_four, pool_one);
}
