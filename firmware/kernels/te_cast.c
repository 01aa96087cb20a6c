/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"

static int32_t value_at(const void *values, int32_t type, int32_t i) {
    switch (type) {
    case TE_CAST_INT8:
        return ((const int8_t *)values)[i];
    case TE_CAST_INT16:
        return ((const int16_t *)values)[i];
    default:
        return ((const int32_t *)values)[i];
    }
}

void te_cast(const te_cast_params *params, const void *input, void *output, void *scratch) {
    (void)scratch;
    for (int32_t i = 0; i < params->count; ++i) {
        const int32_t value = value_at(input, params->source, i);
        switch (params->target) {
        case TE_CAST_INT8:
            ((int8_t *)output)[i] = (int8_t)(uint8_t)((uint32_t)value & 0xffu);
            break;
        case TE_CAST_INT16:
            ((int16_t *)output)[i] = (int16_t)(uint16_t)((uint32_t)value & 0xffffu);
            break;
        case TE_CAST_INT32:
            ((int32_t *)output)[i] = value;
            break;
        default:
            ((float *)output)[i] = (float)value;
            break;
        }
    }
}
