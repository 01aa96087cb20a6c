/* SPDX-License-Identifier: Apache-2.0 */
#define TE_WEIGHT_BITS 8
#include "te_depthwise_whole_mve.h"

void te_depthwise_whole_s8_mve(const te_depthwise_whole_mve_params *params, const int8_t *input, int8_t *output,
                               void *scratch) {
    (void)scratch;
    te_depthwise_whole_mve(params, input, output);
}
