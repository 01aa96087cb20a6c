/* SPDX-License-Identifier: Apache-2.0 */
#include "te_inverse_sqrt.h"
#include "te_kernels.h"
#include "te_requantise.h"

/* The output has 128 steps to 1. */
#define OUTPUT_BITS 7

void te_l2_normalization_s8(const te_l2_normalization_params *params, const int8_t *input, int8_t *output,
                            void *scratch) {
    (void)scratch;
    for (int32_t row = 0; row < params->rows; ++row) {
        int32_t sum = 0;
        int32_t multiplier;
        int32_t shift;
        for (int32_t i = 0; i < params->depth; ++i) {
            const int32_t value = input[i] - params->input_zero_point;
            sum += value * value;
        }
        te_inverse_sqrt(sum, &multiplier, &shift);
        for (int32_t i = 0; i < params->depth; ++i) {
            const int32_t value = input[i] - params->input_zero_point;
            output[i] = te_clamp(te_requantise(value, multiplier, shift + OUTPUT_BITS), -128, 127);
        }
        input += params->depth;
        output += params->depth;
    }
}
