/* SPDX-License-Identifier: Apache-2.0 */
#include "te_pool_s8_dsp.h"
#include "te_requantise.h"

/** The quotient, rounded half away from zero. */
static inline int32_t rounded_quotient(int32_t sum, int32_t count) {
    const int32_t half = count / 2;
    /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): a window has a tap inside. */
    return (sum > 0 ? sum + half : sum - half) / count;
}

static void pool_four(const te_pool_params *params, const te_pool_window *window, int8_t *output) {
    const int32_t count = window->height * window->width;
    const int8_t *row = window->corner;
    uint32_t even = 0;
    uint32_t odd = 0;
    for (int32_t y = window->height; y > 0; --y) {
        const int8_t *at = row;
        for (int32_t x = window->width; x > 0; --x) {
            const uint32_t bytes = te_load4(at);
            even = te_add_even_bytes(even, bytes);
            odd = te_add_odd_bytes(odd, bytes);
            at += window->step;
        }
        row += window->row;
    }
    even = te_pack(rounded_quotient(te_low(even), count), rounded_quotient(te_high(even), count));
    odd = te_pack(rounded_quotient(te_low(odd), count), rounded_quotient(te_high(odd), count));
    const uint32_t bytes = (even & 0x00ff00ffu) | (odd & 0x00ff00ffu) << 8;
    te_store4(output, te_min_bytes(te_max_bytes(bytes, te_repeat_byte(params->output_min)),
                                   te_repeat_byte(params->output_max)));
}

static void pool_one(const te_pool_params *params, const te_pool_window *window, int8_t *output) {
    int32_t sum = 0;
    for (int32_t y = 0; y < window->height; ++y) {
        for (int32_t x = 0; x < window->width; ++x) {
            sum += window->corner[y * window->row + x * window->step];
        }
    }
    sum = rounded_quotient(sum, window->height * window->width);
    *output = te_clamp(sum, params->output_min, params->output_max);
}

void te_average_pool_s8_dsp(const te_pool_params *params, const int8_t *input, int8_t *output, void *scratch) {
    (void)scratch;
    te_pool_s8_dsp(params, input, output, pool_four, pool_one);
}
