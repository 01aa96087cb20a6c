/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_pool_s8_dsp.h
 *  The walk over windows that both poolings share, for processors with the DSP extension. */
#ifndef TE_POOL_S8_DSP_H
#define TE_POOL_S8_DSP_H

#include "te_dsp.h"
#include "te_kernels.h"

/** The part of a window that lies on the input; at least one pixel. */
typedef struct {
    const int8_t *corner;
    int32_t height;
    int32_t width;
    int32_t row;  /**< Bytes from a row to the next. */
    int32_t step; /**< Bytes from a pixel to the next. */
} te_pool_window;

/** Makes an output of one channel, or of each of four. */
typedef void te_pool_function(const te_pool_params *params, const te_pool_window *window, int8_t *output);

/** Calls `four` for every four channels of every window, and for the last four of a number that is no multiple of them;
 *  where there are fewer, calls `one` for each. */
void te_pool_s8_dsp(const te_pool_params *params, const int8_t *input, int8_t *output, te_pool_function *four,
                    te_pool_function *one);

#endif /* TE_POOL_S8_DSP_H */
