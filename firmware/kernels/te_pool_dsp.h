/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_pool_dsp.h
 *  The walk over windows that poolings of int8 and int16 values share, for processors with the DSP extension. */
#ifndef TE_POOL_DSP_H
#define TE_POOL_DSP_H

#include "te_dsp.h"
#include "te_kernels.h"

/** The part of a window that lies on the input; at least one pixel. All in bytes but its height and width. */
typedef struct {
    const int8_t *corner;
    int32_t height;
    int32_t width;
    int32_t row;  /**< From a row to the next. */
    int32_t step; /**< From a pixel to the next, of the output too. */
} te_pool_window;

/** Makes the outputs of a window, or one of them. */
typedef void te_pool_function(const te_pool_params *params, const te_pool_window *window, int8_t *output);

/** Calls `words` for every window of four bytes of channels or more, which makes a word of them at once, the last of a
 *  number that is no multiple of four bytes again; where there are fewer, calls `one` for each channel.
 *  @param value_bytes  Of a channel, 1 or 2. */
void te_pool_dsp(const te_pool_params *params, int32_t value_bytes, const void *input, void *output,
                 te_pool_function *words, te_pool_function *one);

#endif /* TE_POOL_DSP_H */
