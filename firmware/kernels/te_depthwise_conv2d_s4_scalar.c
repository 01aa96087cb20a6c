/* SPDX-License-Identifier: Apache-2.0 */
#define TE_WORD_WEIGHTS 8
#include "te_depthwise_scalar.h"

void te_depthwise_conv2d_s4_scalar(const te_depthwise_conv2d_scalar_params *params, const int8_t *input, int8_t *output,
                                   void *scratch) {
    te_depthwise_scalar(params, input, output, scratch);
}
