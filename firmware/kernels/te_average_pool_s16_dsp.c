/* SPDX-License-Identifier: Apache-2.0 */
#include "te_pool_dsp.h"
#include "te_requantise.h"

/** The quotient, rounded half away from zero. */
static inline int32_t rounded_quotient(int32_t sum, int32_t count) {
    const int32_t half = count / 2;
    /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): a window has a tap inside. */
    return (sum > 0 ? sum + half : sum - half) / count;
}

static void pool_words(const te_pool_params *params, const te_pool_window *window, int8_t *output) {
    const uint32_t least = te_repeat_half(params->output_min);
    const uint32_t most = te_repeat_half(params->output_max);
    const te_pool_window own = *window; /* The output may be any memory but this. */
    const int32_t last = own.step - 4;
    int32_t word = -4;
    const int32_t count = own.height * own.width;
    do {
        word = word + 4 < last ? word + 4 : last; /* The last four bytes, whatever was before. */
        const int8_t *row = own.corner + word;
        int32_t low = 0;
        int32_t high = 0;
        for (int32_t y = own.height; y > 0; --y) {
            const int8_t *pixel = row;
            for (int32_t x = own.width; x > 0; --x) {
                const uint32_t two = te_load4(pixel);
                low += te_low(two);
                high += te_high(two);
                pixel += own.step;
            }
            row += own.row;
        }
        const uint32_t means = te_pack(rounded_quotient(low, count), rounded_quotient(high, count));
        te_store4(output + word, te_min_halves(te_max_halves(means, least), most));
    } while (word < last);
}

static void pool_one(const te_pool_params *params, const te_pool_window *window, int8_t *output) {
    int32_t sum = 0;
    for (int32_t y = 0; y < window->height; ++y) {
        for (int32_t x = 0; x < window->width; ++x) {
            sum += te_low(te_load2(window->corner + y * window->row + x * window->step));
        }
    }
    sum = rounded_quotient(sum, window->height * window->width);
    *(int16_t *)(void *)output = te_clamp_s16(sum, params->output_min, params->output_max);
}

void te_average_pool_s16_dsp(const te_pool_params *params, const int16_t *input, int16_t *output, void *scratch) {
    (void)scratch;
    te_pool_dsp(params, (int32_t)sizeof *output, input, output, pool_words, pool_one);
}
