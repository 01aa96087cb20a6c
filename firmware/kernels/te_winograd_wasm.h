/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_winograd_wasm.h
 *  Winograd's F(2x2, 3x3) in integers, as te_winograd_s8_dsp.h explains it, in vectors: transforms of eight channels at
 *  a time, and sums of four tiles by eight channels, which are four times too large. */
#ifndef TE_WINOGRAD_WASM_H
#define TE_WINOGRAD_WASM_H

#include "te_wasm.h"

/** Values of a transformed patch or filter in one channel. */
#define TE_WINOGRAD_POSITIONS 16
/** The position whose sum is part of all four outputs. */
#define TE_WINOGRAD_OF_ALL 5
/** Tiles that one pass over the filters makes. */
#define TE_WINOGRAD_TILES 4
/** The vectors of sums of a pass: (TE_WINOGRAD_POSITIONS, TE_WINOGRAD_TILES, 2). */
#define TE_WINOGRAD_SUMS (TE_WINOGRAD_POSITIONS * TE_WINOGRAD_TILES * 2)

/** Where the outputs of a tile go. */
typedef struct {
    int8_t *output; /**< Of the upper left pixel. */
    int32_t right;  /**< Bytes to the pixel on the right; 0 where there is none. */
    int32_t below;  /**< Bytes to the pixel below; 0 where there is none. */
} te_winograd_tile;

/** Transforms four values: those of a column or of a row of a patch. */
static inline void te_winograd_four_wasm(te_vector a, te_vector b, te_vector c, te_vector d, te_vector *to,
                                         int32_t step) {
    to[0] = te_sub16(a, c);
    to[step] = te_add16(b, c);
    to[2 * step] = te_sub16(c, b);
    to[3 * step] = te_sub16(b, d);
}

/** Transforms eight channels of a patch.
 *  @param pixels  Those of the patch, row by row.
 *  @param to      Receives a vector for each position.
 *  @param step    From one position to the next, in int16 values. */
static inline void te_winograd_patch_wasm(const int8_t *const *pixels, int32_t channel, int16_t *to, int32_t step) {
    te_vector rows[TE_WINOGRAD_POSITIONS], columns[4];
    for (int32_t y = 0; y < 4; ++y) {
        const int8_t *const *row = pixels + 4 * y;
        te_winograd_four_wasm(te_load_widened(row[0] + channel), te_load_widened(row[1] + channel),
                              te_load_widened(row[2] + channel), te_load_widened(row[3] + channel), rows + 4 * y, 1);
    }
    for (int32_t x = 0; x < 4; ++x) {
        te_winograd_four_wasm(rows[x], rows[4 + x], rows[8 + x], rows[12 + x], columns, 1);
        for (int32_t y = 0; y < 4; ++y) {
            te_store_vector(to + (4 * y + x) * step, columns[y]);
        }
    }
}

/** The sums of eight channels and four tiles at all positions.
 *  @param patches    (TE_WINOGRAD_POSITIONS, TE_WINOGRAD_TILES, depth)
 *  @param packed     (TE_WINOGRAD_POSITIONS, depth / 2, 8) times two weights.
 *  @param constants  Those of te_wasm.h of the eight channels, with four times the bias.
 *  @param depth      In eights.
 *  @return           The weights of the next eight channels. */
static inline const int16_t *te_winograd_sums_wasm(const int16_t *patches, const int16_t *packed,
                                                   const int32_t *constants, int32_t depth, te_vector *sums) {
    for (int32_t position = 0; position < TE_WINOGRAD_POSITIONS; ++position) {
        te_vector own[TE_WINOGRAD_TILES][2];
        for (int32_t tile = 0; tile < TE_WINOGRAD_TILES; ++tile) {
            for (int32_t vector = 0; vector < 2; ++vector) {
                own[tile][vector] = position == TE_WINOGRAD_OF_ALL
                                        ? te_load_vector(constants + vector * TE_WASM_CONSTANTS)
                                        : te_splat16(0);
            }
        }
        for (int32_t left = depth; left > 0; left -= 8) {
            for (int32_t pair = 0; pair < 4; ++pair) {
                const te_vector first = te_load_vector(packed + 16 * pair);
                const te_vector last = te_load_vector(packed + 16 * pair + 8);
                for (int32_t tile = 0; tile < TE_WINOGRAD_TILES; ++tile) {
                    const te_vector both = te_splat_pair(patches + tile * depth + 2 * pair);
                    own[tile][0] = te_add_products(own[tile][0], both, first);
                    own[tile][1] = te_add_products(own[tile][1], both, last);
                }
            }
            packed += 64;
            patches += 8;
        }
        patches += (TE_WINOGRAD_TILES - 1) * depth;
        for (int32_t tile = 0; tile < TE_WINOGRAD_TILES; ++tile) {
            te_store_vector(sums++, own[tile][0]);
            te_store_vector(sums++, own[tile][1]);
        }
    }
    return packed;
}

/** The sums of four channels of the four pixels of a tile, bias included.
 *  @param sums  Of the tile and channels at the first position. */
static inline void te_winograd_outputs_wasm(const te_vector *sums, te_vector *outputs) {
    te_vector rows[2][4];
    for (int32_t y = 0; y < 4; ++y) {
        const te_vector *const row = sums + 4 * y * 2 * TE_WINOGRAD_TILES;
        const te_vector b = te_load_vector(row + 2 * TE_WINOGRAD_TILES);
        const te_vector c = te_load_vector(row + 4 * TE_WINOGRAD_TILES);
        rows[0][y] = te_add32(te_add32(te_load_vector(row), b), c);
        rows[1][y] = te_sub32(te_sub32(b, c), te_load_vector(row + 6 * TE_WINOGRAD_TILES));
    }
    for (int32_t x = 0; x < 2; ++x) {
        const te_vector *const of = rows[x];
        outputs[x] = te_quarter(te_add32(te_add32(of[0], of[1]), of[2]));
        outputs[2 + x] = te_quarter(te_sub32(te_sub32(of[1], of[2]), of[3]));
    }
}

#endif /* TE_WINOGRAD_WASM_H */
