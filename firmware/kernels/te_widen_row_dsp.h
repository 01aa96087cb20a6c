/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_widen_row_dsp.h
 *  A row of a fully connected layer as the columns of one pixel. */
#ifndef TE_WIDEN_ROW_DSP_H
#define TE_WIDEN_ROW_DSP_H

#include "te_gemm_s8_dsp.h"
#include "te_kernels.h"

/** One row, or its first bytes where the depth is no multiple of four: the rest of the last word meets weights of 0, but
 *  may not be read. */
static inline void te_widen_row_dsp(const te_fully_connected_dsp_params *params, const int8_t *row, uint32_t *columns) {
    const int32_t words = params->in_c >> 2;
    const int32_t rest = params->in_c & 3;
    columns = te_widen1_dsp(columns, row, words);
    if (rest > 0) {
        int8_t last[4] = {0, 0, 0, 0};
        memcpy(last, row + 4 * words, (size_t)rest);
        te_widen1_dsp(columns, last, 1);
    }
}

#endif /* TE_WIDEN_ROW_DSP_H */
