/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"
#include "te_requantise.h"

void te_prelu_s16(const te_prelu_params *params, const int16_t *input, int16_t *output, void *scratch) {
    const int32_t *dims = params->dims;
    const int32_t *strides = params->strides;
    const int32_t *slope_strides = params->slope_strides;
    (void)scratch;

    for (int32_t i = 0; i < dims[0]; ++i) {
        for (int32_t j = 0; j < dims[1]; ++j) {
            for (int32_t k = 0; k < dims[2]; ++k) {
                const int16_t *at = input + i * strides[0] + j * strides[1] + k * strides[2];
                const int8_t *slope =
                    params->slopes + i * slope_strides[0] + j * slope_strides[1] + k * slope_strides[2];
                for (int32_t l = 0; l < dims[3]; ++l) {
                    const int32_t value = *at - params->input_zero_point;
                    int32_t scaled;
                    if (value >= 0) {
                        scaled = te_requantise(value, params->above_multiplier, params->above_shift);
                    } else {
                        const int32_t product = value * (*slope - params->slope_zero_point);
                        scaled = te_requantise(product, params->below_multiplier, params->below_shift);
                    }
                    *output++ = te_clamp_s16(te_add_wrapping(scaled, params->output_zero_point), INT16_MIN, INT16_MAX);
                    at += strides[3];
                    slope += slope_strides[3];
                }
            }
        }
    }
}
