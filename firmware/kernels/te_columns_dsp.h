/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_columns_dsp.h
 *  Windows on rows of int16 values as the columns of te_gemm_s8_dsp.h. */
#ifndef TE_COLUMNS_DSP_H
#define TE_COLUMNS_DSP_H

#include <stdint.h>

#include "te_dsp.h"

/** The shape of all windows. */
typedef struct {
    int32_t pairs;      /**< Two neighbouring values each, of a row of a window. */
    int32_t rows;       /**< At least 1. */
    int32_t skip_bytes; /**< From past a row's last pair to the next row. */
} te_window_shape;

/** Copies four windows.
 *  @param windows  Their first values; 2-byte aligned.
 *  @param columns  Receives (rows * pairs, 4) words. */
void te_columns4_dsp(const te_window_shape *shape, const int16_t *const windows[4], uint32_t *columns);

/** Copies one window: (rows * pairs) words. */
static inline void te_columns1_dsp(const te_window_shape *shape, const int16_t *window, uint32_t *columns) {
    for (int32_t row = shape->rows; row > 0; --row) {
        for (int32_t pair = shape->pairs; pair > 0; --pair) {
            *columns++ = te_load4(window);
            window += 2;
        }
        window += shape->skip_bytes / 2;
    }
}

#endif /* TE_COLUMNS_DSP_H */
