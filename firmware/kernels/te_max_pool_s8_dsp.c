/* SPDX-License-Identifier: Apache-2.0 */
#include "te_pool_dsp.h"
#include "te_requantise.h"

static void pool_words(const te_pool_params *params, const te_pool_window *window, int8_t *output) {
    const uint32_t least = te_repeat_byte(params->output_min);
    const uint32_t most = te_repeat_byte(params->output_max);
    const te_pool_window own = *window; /* The output may be any memory but this. */
    const int32_t last = own.step - 4;
    int32_t word = -4;
    do {
        word = word + 4 < last ? word + 4 : last; /* The last four bytes, whatever was before. */
        const int8_t *row = own.corner + word;
        uint32_t largest = least;
        for (int32_t y = own.height; y > 0; --y) {
            const int8_t *pixel = row;
            for (int32_t x = own.width; x > 0; --x) {
                largest = te_max_bytes(largest, te_load4(pixel));
                pixel += own.step;
            }
            row += own.row;
        }
        te_store4(output + word, te_min_bytes(largest, most));
    } while (word < last);
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
    te_pool_dsp(params, (int32_t)sizeof *output, input, output, pool_words, pool_one);
}
