/* SPDX-License-Identifier: Apache-2.0 */
#include "te_copy.h"
#include "te_kernels.h"

/** The two innermost loops. */
static void copy_plane(const int32_t *dims, const int32_t *strides, const int8_t *input, int8_t *output) {
    const int32_t count = dims[1];
    const int32_t stride = strides[1];
    if (stride == 1) {
        te_copy_rows(output, count, input, strides[0], count, dims[0]);
        return;
    }
    const int32_t rows = dims[0];
    const int32_t step = strides[0];
    for (int32_t i = 0; i < rows; ++i) {
        const int8_t *value = input;
        for (int32_t j = 0; j < count; ++j) {
            *output++ = *value;
            value += stride;
        }
        input += step;
    }
}

void te_strided_copy_s8(const te_strided_copy_params *params, const int8_t *input, int8_t *output, void *scratch) {
    const int32_t *dims = params->dims;
    const int32_t *strides = params->strides;
    const int32_t plane = dims[4] * dims[5];
    (void)scratch;

    for (int32_t i = 0; i < dims[0]; ++i) {
        for (int32_t j = 0; j < dims[1]; ++j) {
            for (int32_t k = 0; k < dims[2]; ++k) {
                int32_t at = params->start + i * strides[0] + j * strides[1] + k * strides[2];
                for (int32_t l = 0; l < dims[3]; ++l) {
                    copy_plane(dims + 4, strides + 4, input + at, output);
                    output += plane;
                    at += strides[3];
                }
            }
        }
    }
}
