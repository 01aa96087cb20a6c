/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"
#include "te_requantise.h"

static int32_t sum_of(const te_mean_params *params, const int16_t *input) {
    const int32_t *dims = params->reduced_dims;
    const int32_t *strides = params->reduced_strides;
    int32_t sum = 0;
    for (int32_t i = 0; i < dims[0]; ++i) {
        for (int32_t j = 0; j < dims[1]; ++j) {
            const int16_t *at = input + i * strides[0] + j * strides[1];
            for (int32_t k = 0; k < dims[2]; ++k) {
                sum += *at;
                at += strides[2];
            }
        }
    }
    return sum;
}

void te_mean_s16(const te_mean_params *params, const int16_t *input, int16_t *output, void *scratch) {
    const int32_t *dims = params->kept_dims;
    const int32_t *strides = params->kept_strides;
    (void)scratch;

    for (int32_t i = 0; i < dims[0]; ++i) {
        for (int32_t j = 0; j < dims[1]; ++j) {
            for (int32_t k = 0; k < dims[2]; ++k) {
                const int32_t sum = sum_of(params, input + i * strides[0] + j * strides[1] + k * strides[2]);
                const int32_t mean = te_requantise(sum, params->multiplier, params->shift);
                *output++ = te_clamp_s16(mean, INT16_MIN, INT16_MAX);
            }
        }
    }
}
