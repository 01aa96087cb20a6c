/* SPDX-License-Identifier: Apache-2.0 */
#include "te_depthwise_stripes_mve.h"

void te_depthwise_conv2d_s8_mve(const te_depthwise_conv2d_mve_params *params, const int8_t *input, int8_t *output,
                                void *scratch) {
    const int full = params->output_min == -128 && params->output_max == 127;
    const te_depthwise_products products = {full ? te_depthwise2_full_s8_mve : te_depthwise2_limited_s8_mve,
                                            full ? te_depthwise1_full_s8_mve : te_depthwise1_limited_s8_mve,
                                            TE_DEPTHWISE_STREAM_WORDS};
    te_depthwise_mve(params, &products, input, output, scratch);
}
