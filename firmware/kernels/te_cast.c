/* SPDX-License-Identifier: Apache-2.0 */
#include "te_cast_value.h"

void te_cast(const te_cast_params *params, const void *input, void *output, void *scratch) {
    (void)scratch;
    for (int32_t i = 0; i < params->count; ++i) {
        const int32_t value = te_cast_value(input, params->source, i);
        switch (params->target) {
        case TE_CAST_INT8:
            ((int8_t *)output)[i] = (int8_t)(uint8_t)((uint32_t)value & 0xffu);
            break;
        case TE_CAST_INT16:
            ((int16_t *)output)[i] = (int16_t)(uint16_t)((uint32_t)value & 0xffffu);
            break;
        default:
            ((int32_t *)output)[i] = value;
            break;
        }
    }
}
