/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_depthwise_s8_mve.h
 *  Depthwise convolution by filters of up to 4x4 taps: a filter is one vector, and so is what it is multiplied with.
 *
 *  The input rows under a stripe of output rows, of 16 channels at a time, are written into a tile of (columns, 16
 *  channels, 4 rows) bytes: one VST4 a column. Four words of one channel, 64 bytes apart, are then a window of 4 columns
 *  and 4 rows, and one VMLADAV is an output. Filters of 3x3 with strides of 1 leave a column and a row of that window
 *  over, so that one window makes 2x2 outputs with the filter at four places.
 *
 *  The stream of a channel is in words: 0; four columns of taps, row 0 in the lowest byte; bias; multiplier; rounding;
 *  24 - right shift. The last four are those of te_gemm_s8_mve.h. Of weights of 4 bits, two words take the place of the
 *  first five: each half of a byte is a tap, the lower ones of the first and the second column, the upper ones of the
 *  third and the fourth. They become the same vectors where a channel begins. */
#ifndef TE_DEPTHWISE_S8_MVE_H
#define TE_DEPTHWISE_S8_MVE_H

#include <stdint.h>

#include "te_mve.h"

#define TE_TILE_CHANNELS 16
#define TE_TILE_ROWS 4
#define TE_TILE_COLUMN_BYTES (TE_TILE_CHANNELS * TE_TILE_ROWS)
#define TE_DEPTHWISE_STREAM_WORDS 9
#define TE_DEPTHWISE_S4_STREAM_WORDS 6

/** What the channels of a stripe share. */
typedef struct {
    const int8_t *tile;  /**< The column under the first output. */
    int32_t channels;    /**< [1, 16] */
    int32_t out_w;       /**< Outputs of a row. */
    int32_t out_c;       /**< Bytes from an output to the next in its row. */
    int32_t out_row;     /**< Bytes from an output row to the next. */
    int32_t column_step; /**< Bytes of the tile from the window of an output to the next one's. */
    int32_t output_min;
    int32_t output_max;
} te_depthwise_stripe;

/** Makes rows of outputs.
 *  @param stream  Of the first channel. */
typedef void te_depthwise_function(const te_depthwise_stripe *stripe, const uint32_t *stream, int8_t *output);

/** Two rows of outputs, the clamp range of 8 bits; column_step is not used, and the taps of the fourth row and column are
 *  0. */
te_depthwise_function te_depthwise2_full_s8_mve;

/** Two rows of outputs, any clamp range. */
te_depthwise_function te_depthwise2_limited_s8_mve;

/** One row of outputs, the clamp range of 8 bits. */
te_depthwise_function te_depthwise1_full_s8_mve;

/** One row of outputs, any clamp range. */
te_depthwise_function te_depthwise1_limited_s8_mve;

/** The same by weights of 4 bits. */
te_depthwise_function te_depthwise2_full_s4_mve, te_depthwise2_limited_s4_mve;
te_depthwise_function te_depthwise1_full_s4_mve, te_depthwise1_limited_s4_mve;

/** Writes columns of a tile.
 *  @param rows      Where the first column's channels are, four rows.
 *  @param steps     Bytes from a column to the next in each row.
 *  @param columns   At least 1.
 *  @param channels  Those beyond it are not read; 16 are written. */
void te_load_tile_s8_mve(int8_t *tile, const int8_t *const rows[TE_TILE_ROWS], const int32_t steps[TE_TILE_ROWS],
                         int32_t columns, int32_t channels);

#endif /* TE_DEPTHWISE_S8_MVE_H */
