/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"

static int8_t smallest_of(const te_reduce_params *params, const int8_t *input) {
    const int32_t *dims = params->reduced_dims;
    const int32_t *strides = params->reduced_strides;
    int8_t smallest = INT8_MAX;
    for (int32_t i = 0; i < dims[0]; ++i) {
        for (int32_t j = 0; j < dims[1]; ++j) {
            const int8_t *at = input + i * strides[0] + j * strides[1];
            for (int32_t k = 0; k < dims[2]; ++k) {
                smallest = *at < smallest ? *at : smallest;
                at += strides[2];
            }
        }
    }
    return smallest;
}

void te_reduce_min_s8(const te_reduce_params *params, const int8_t *input, int8_t *output, void *scratch) {
    const int32_t *dims = params->kept_dims;
    const int32_t *strides = params->kept_strides;
    (void)scratch;

    for (int32_t i = 0; i < dims[0]; ++i) {
        for (int32_t j = 0; j < dims[1]; ++j) {
            for (int32_t k = 0; k < dims[2]; ++k) {
                *output++ = smallest_of(params, input + i * strides[0] + j * strides[1] + k * strides[2]);
            }
        }
    }
}
