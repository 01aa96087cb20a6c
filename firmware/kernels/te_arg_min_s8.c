/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"

void te_arg_min_s8(const te_arg_params *params, const int8_t *input, int32_t *output, void *scratch) {
    (void)scratch;
    for (int32_t i = 0; i < params->outer; ++i) {
        for (int32_t j = 0; j < params->inner; ++j) {
            const int8_t *at = input + j;
            int8_t smallest = *at;
            int32_t index = 0;
            for (int32_t k = 1; k < params->count; ++k) {
                at += params->inner;
                if (*at < smallest) {
                    smallest = *at;
                    index = k;
                }
            }
            *output++ = index;
        }
        input += params->count * params->inner;
    }
}
