/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_winograd_s8_dsp.h
 *  Winograd's F(2x2, 3x3) in integers (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016): a
 *  tile of 2x2 outputs takes 16 products a channel in place of 36, with the same bits.
 *
 *  A patch of 4x4 values d becomes V = B' d B, a filter of 3x3 weights g becomes U = G g G', and the tile is
 *  A' (U * V summed over the channels) A, of which B and A hold 0, 1 and -1 only. The rows of G are those of the paper
 *  times two, so that they are whole: the tile comes out four times too large, which is exact. V is at most 512 and U
 *  at most 1152, so that both are int16; sums are modulo 2^32, and four times the convolution's own sum fits. */
#ifndef TE_WINOGRAD_S8_DSP_H
#define TE_WINOGRAD_S8_DSP_H

#include <stdint.h>

/** Values of a transformed patch or filter in one channel. */
#define TE_WINOGRAD_POSITIONS 16
/** Tiles that one pass over the filters makes. */
#define TE_WINOGRAD_TILES 4
/** Channels that are made together. */
#define TE_WINOGRAD_CHANNELS 2
/** The sums of a pass: (TE_WINOGRAD_POSITIONS, TE_WINOGRAD_CHANNELS, TE_WINOGRAD_TILES). */
#define TE_WINOGRAD_SUMS (TE_WINOGRAD_POSITIONS * TE_WINOGRAD_CHANNELS * TE_WINOGRAD_TILES)

/** How the sums of a channel become outputs: its bias, a multiplier as in te_gemm_s8_dsp.h, half a unit of the right
 *  shift with the output's zero point above it, and the right shift. */
#define TE_WINOGRAD_CHANNEL_WORDS 4

/** Where the outputs of a tile go. */
typedef struct {
    int8_t *output; /**< Of the upper left pixel, the next channel to make. */
    int32_t right;  /**< Bytes to the pixel on the right; 0 where there is none. */
    int32_t below;  /**< Bytes to the pixel below; 0 where there is none. */
} te_winograd_tile;

/** A patch of an image. */
typedef struct {
    const int8_t *pixels;
    int32_t pixel_bytes; /**< From a pixel to its right neighbour. */
    int32_t row_bytes;   /**< From a pixel to the one below. */
    int32_t words;       /**< Its channels in units of four, at least 1. */
} te_winograd_patch;

/** Transforms a patch.
 *  @param to  Points at the first word of one tile of (2 * words, TE_WINOGRAD_POSITIONS, TE_WINOGRAD_TILES) words of
 *             two depths; receives that tile's. */
void te_winograd_patch_dsp(const te_winograd_patch *patch, uint32_t *to);

/** The sums of two channels and four tiles at all positions.
 *  @param filters  (TE_WINOGRAD_POSITIONS, steps, TE_WINOGRAD_CHANNELS) words of two depths.
 *  @param patches  (steps, TE_WINOGRAD_POSITIONS, TE_WINOGRAD_TILES) words of two depths.
 *  @param sums     Receives TE_WINOGRAD_SUMS.
 *  @param steps    Half the depth, at least 1. */
void te_winograd_sums_dsp(const uint32_t *filters, const uint32_t *patches, int32_t *sums, int32_t steps);

/** Makes the outputs of two channels and four tiles, from the last tile to the first, over which tiles that are not
 *  needed may lie.
 *  @param sums      As of te_winograd_sums_dsp().
 *  @param channels  (TE_WINOGRAD_CHANNELS, TE_WINOGRAD_CHANNEL_WORDS).
 *  @param tiles     TE_WINOGRAD_TILES, whose outputs become those of the next channels. */
void te_winograd_outputs_dsp(const int32_t *sums, const uint32_t *channels, te_winograd_tile *tiles);

#endif /* TE_WINOGRAD_S8_DSP_H */
