/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_planes_s8_dsp.h
 *  Channels of pixels as planes of int16 values, in which neighbouring taps are one word. */
#ifndef TE_PLANES_S8_DSP_H
#define TE_PLANES_S8_DSP_H

#include <stdint.h>

#include "te_dsp.h"

/** Writes the same value everywhere; short runs, and memset() has no halfwords. */
static inline void te_fill_values_dsp(int16_t *values, int32_t count, int32_t value) {
    const uint32_t pair = te_pack(value, value);
    for (; count >= 2; count -= 2) {
        te_store4(values, pair);
        values += 2;
    }
    if (count > 0) {
        *values = (int16_t)value;
    }
}

/** Channels whose pixels are widened together: those of one word. */
#define TE_PLANES 4

/** Runs of pixels to widen. */
typedef struct {
    int16_t *values;       /**< Where the first run's values of the first channel go; any address. */
    int32_t plane_bytes;   /**< From there to the next channel's. */
    const int8_t *pixels;  /**< The first run's first pixel. */
    int32_t step;          /**< Bytes from a pixel to the next. */
    int32_t count;         /**< Pixels of a run, at least 1. */
    int32_t runs;          /**< At least 1. */
    int32_t values_bytes;  /**< From a run's values to the next run's. */
    int32_t pixels_bytes;  /**< From a run's first pixel to the next run's. */
} te_plane_runs;

/** Widens four channels. */
void te_widen_planes_dsp(const te_plane_runs *runs);

/** Widens up to four channels, such as the last ones of a number that is no multiple of four. */
void te_widen_channels_dsp(const te_plane_runs *runs, int32_t channels);

#endif /* TE_PLANES_S8_DSP_H */
