/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_cast_value.h
 *  What the kernels of CAST read. */
#ifndef TE_CAST_VALUE_H
#define TE_CAST_VALUE_H

#include "te_kernels.h"

/** An integer of a type, te_cast_type. */
static inline int32_t te_cast_value(const void *values, int32_t type, int32_t i) {
    switch (type) {
    case TE_CAST_INT8:
        return ((const int8_t *)values)[i];
    case TE_CAST_INT16:
        return ((const int16_t *)values)[i];
    default:
        return ((const int32_t *)values)[i];
    }
}

#endif /* TE_CAST_VALUE_H */
