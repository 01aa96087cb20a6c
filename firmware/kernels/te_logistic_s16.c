/* SPDX-License-Identifier: Apache-2.0 */
#include "te_sigmoid_s16.h"

void te_logistic_s16(const te_sigmoid_s16_params *params, const int16_t *input, int16_t *output, void *scratch) {
    (void)scratch;
    for (int32_t i = 0; i < params->count; ++i) {
        const int32_t x = te_sigmoid_argument(params, input[i]);
        const int32_t sigmoid = te_sigmoid_of_magnitude(params, x < 0 ? -x : x, 9, 32767 << 10);
        /* 1 - sigmoid on the left of 0; then from 25 fraction bits to 15. */
        const int32_t side = x >= 0 ? sigmoid : (1 << 25) - sigmoid - 1;
        output[i] = (int16_t)((side + (1 << 9)) >> 10);
    }
}
