/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_gather_dsp.h
 *  The runs of input and of padding that a window is gathered from. */
#ifndef TE_GATHER_DSP_H
#define TE_GATHER_DSP_H

#include <stdint.h>

#include "te_dsp.h"

/** Runs are a few bytes long, too short for a call of memcpy(). The last word may repeat bytes of the one before.
 *  @return One past the last byte. */
static inline int8_t *te_copy_run(int8_t *to, const int8_t *from, int32_t bytes) {
    int32_t at = 0;
    if (bytes < 4) {
        for (; at < bytes; ++at) {
            to[at] = from[at];
        }
        return to + bytes;
    }
    for (; at < bytes - 4; at += 4) {
        te_store4(to + at, te_load4(from + at));
    }
    te_store4(to + bytes - 4, te_load4(from + bytes - 4));
    return to + bytes;
}

/** As many bytes of one value.
 *  @return One past the last byte. */
static inline int8_t *te_pad_run(int8_t *to, int32_t value, int32_t bytes) {
    for (; bytes > 0; --bytes) {
        *to++ = (int8_t)value;
    }
    return to;
}

#endif /* TE_GATHER_DSP_H */
