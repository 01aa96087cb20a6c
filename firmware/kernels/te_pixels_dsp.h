/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_pixels_dsp.h
 *  The pixels for which a convolution makes one pass over the filters. */
#ifndef TE_PIXELS_DSP_H
#define TE_PIXELS_DSP_H

#include <stdint.h>

#include "te_gemm_block_dsp.h"
#include "te_kernels.h"

/** Where the windows of some pixels begin. */
typedef struct {
    int32_t count; /**< At most TE_GEMM_PIXELS. */
    int32_t origin_y[TE_GEMM_PIXELS];
    int32_t origin_x[TE_GEMM_PIXELS];
} te_pixels;

/** Sets the origins of at->count pixels from one on. */
static inline void te_place_pixels(te_pixels *at, const te_window *geometry, int32_t out_y, int32_t out_x) {
    for (int32_t i = 0; i < at->count; ++i) {
        at->origin_y[i] = out_y * geometry->stride_h - geometry->pad_top;
        at->origin_x[i] = out_x * geometry->stride_w - geometry->pad_left;
        if (++out_x == geometry->out_w) {
            out_x = 0;
            ++out_y;
        }
    }
}

#endif /* TE_PIXELS_DSP_H */
