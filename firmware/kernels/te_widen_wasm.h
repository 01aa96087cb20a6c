/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_widen_wasm.h
 *  From int8 values to int16 ones. */
#ifndef TE_WIDEN_WASM_H
#define TE_WIDEN_WASM_H

#include "te_wasm.h"

static inline void te_widen_wasm(int16_t *to, const int8_t *from, int32_t count) {
    int32_t i = 0;
    for (; i + 8 <= count; i += 8) {
        te_store_vector(to + i, te_load_widened(from + i));
    }
    for (; i < count; ++i) {
        to[i] = from[i];
    }
}

static inline void te_fill_wasm(int16_t *to, int32_t value, int32_t count) {
    for (int32_t i = 0; i < count; ++i) {
        to[i] = (int16_t)value;
    }
}

#endif /* TE_WIDEN_WASM_H */
