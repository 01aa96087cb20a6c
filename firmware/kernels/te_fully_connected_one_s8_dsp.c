/* SPDX-License-Identifier: Apache-2.0 */
#include "te_dsp.h"
#include "te_kernels.h"
#include "te_requantise.h"

/** Adds the products of four bytes and four bytes to a sum. */
static inline int32_t four_products(uint32_t values, uint32_t weights, int32_t sum) {
    sum = te_dual_mac(te_even_bytes(values), te_even_bytes(weights), sum);
    return te_dual_mac(te_odd_bytes(values), te_odd_bytes(weights), sum);
}

void te_fully_connected_one_s8_dsp(const te_fully_connected_one_dsp_params *params, const int8_t *input, int8_t *output,
                                   void *scratch) {
    const int32_t right_shift = params->right_shift;
    const int32_t half = (int32_t)(((uint32_t)1 << right_shift) >> 1);
    const int32_t rest = params->in_c & 3;
    (void)scratch;
    for (int32_t left = params->batches; left > 0; --left) {
        const uint32_t *weights = params->packed;
        const uint32_t *const end = weights + (params->in_c >> 2);
        int32_t sum = params->bias;
        for (; end - weights >= 4; weights += 4, input += 16) {
            sum = four_products(te_load4(input), weights[0], sum);
            sum = four_products(te_load4(input + 4), weights[1], sum);
            sum = four_products(te_load4(input + 8), weights[2], sum);
            sum = four_products(te_load4(input + 12), weights[3], sum);
        }
        for (; weights != end; ++weights, input += 4) {
            sum = four_products(te_load4(input), *weights, sum);
        }
        if (rest != 0) {
            uint32_t last = 0;
            memcpy(&last, input, (size_t)rest);
            sum = four_products(last, *weights, sum);
            input += rest;
        }
        sum = te_rounded_high_plus((int32_t)((uint32_t)sum << params->left_shift), params->multiplier);
        sum += (sum < 0 && right_shift != 0 ? -1 : 0) + half;
        *output++ = te_clamp((sum >> right_shift) + params->output_zero_point, params->output_min, params->output_max);
    }
}
