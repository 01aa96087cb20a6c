/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_planes_s8_dsp.h
 *  Channels of pixels as planes of int16 values, in which neighbouring taps are one word. */
#ifndef TE_PLANES_S8_DSP_H
#define TE_PLANES_S8_DSP_H

#include <stdint.h>

/** Channels whose pixels are widened together: those of one word. */
#define TE_PLANES 4

/** Widens four channels of a run of pixels.
 *  @param run          Receives the first channel's int16 values; any address.
 *  @param plane_bytes  From there to the next channel's.
 *  @param pixels       The first pixel's four channels.
 *  @param step         Bytes from a pixel to the next.
 *  @param count        Pixels, at least 1. */
void te_widen_planes_dsp(int16_t *run, int32_t plane_bytes, const int8_t *pixels, int32_t step, int32_t count);

/** te_widen_planes_dsp() of up to four channels, such as the last ones of a number that is no multiple of four. */
static inline void te_widen_channels_dsp(int16_t *run, int32_t plane_bytes, const int8_t *pixels, int32_t step,
                                         int32_t count, int32_t channels) {
    if (channels == TE_PLANES) {
        te_widen_planes_dsp(run, plane_bytes, pixels, step, count);
        return;
    }
    for (int32_t i = 0; i < count; ++i) {
        for (int32_t c = 0; c < channels; ++c) {
            run[c * (plane_bytes / 2) + i] = pixels[c];
        }
        pixels += step;
    }
}

#endif /* TE_PLANES_S8_DSP_H */
