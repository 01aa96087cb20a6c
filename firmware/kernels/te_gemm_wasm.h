/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_gemm_wasm.h
 *  Outputs of four pixels, or of one, by all filters: what convolutions and fully connected layers for WebAssembly do.
 *
 *  Values of a pixel lie in runs of int16 values, of which each is taken by twos: the last of an odd run is beside any
 *  value and its filters beside 0. `packed` holds, for eight channels after the other, eight times two int8 weights for
 *  each two values, channel by channel; where four channels or fewer are left, four times two. `constants` are those of
 *  te_wasm.h, of all channels by fours. */
#ifndef TE_GEMM_WASM_H
#define TE_GEMM_WASM_H

#include "te_wasm.h"

/** Of functions whose loops have to be unrolled, for constants that they are called with. */
#if defined(__GNUC__)
#define TE_UNROLLED static inline __attribute__((always_inline))
#else
#define TE_UNROLLED static inline
#endif

/** Pixels that one pass over the filters computes. */
#define TE_WASM_PIXELS 4

/** What is the same for all pixels of a layer. */
typedef struct {
    const int8_t *packed;
    const int32_t *constants;
    int32_t channels;
    int32_t output_step; /**< From one pixel's outputs to the next one's. */
    int32_t input_step;  /**< From one pixel's values to the next one's, in int16 values. */
    int32_t runs;
    int32_t run_pairs; /**< Of each run, rounded up. */
    int32_t shift;
    int32_t output_min;
    int32_t output_max;
} te_gemm_wasm;

/** Adds two products to each sum. */
TE_UNROLLED void te_gemm_wasm_pair(te_vector sums[][2], const int16_t *values, int32_t step, const int8_t *packed,
                                   int32_t pixels, int32_t vectors) {
    te_vector weights[2];
    for (int32_t vector = 0; vector < vectors; ++vector) {
        weights[vector] = te_load_widened(packed + 8 * vector);
    }
    for (int32_t pixel = 0; pixel < pixels; ++pixel) {
        const te_vector both = te_splat_pair(values + pixel * step);
        for (int32_t vector = 0; vector < vectors; ++vector) {
            sums[pixel][vector] = te_add_products(sums[pixel][vector], both, weights[vector]);
        }
    }
}

/** Eight channels of `pixels` pixels, or of the last group of four of which `count` are there.
 *  @param starts  Where each run of the first pixel begins. */
TE_UNROLLED const int8_t *te_gemm_wasm_block(const te_gemm_wasm *layer, const int16_t *const *starts,
                                               const int8_t *packed, const int32_t *constants, int8_t *output,
                                               int32_t pixels, int32_t vectors, int32_t count) {
    te_vector sums[TE_WASM_PIXELS][2];
    const te_vector low = te_splat16(layer->output_min), high = te_splat16(layer->output_max);
    for (int32_t pixel = 0; pixel < pixels; ++pixel) {
        for (int32_t vector = 0; vector < vectors; ++vector) {
            sums[pixel][vector] = te_load_vector(constants + vector * TE_WASM_CONSTANTS);
        }
    }
    for (int32_t run = 0; run < layer->runs; ++run) {
        const int16_t *values = starts[run];
        int32_t pairs = layer->run_pairs;
        for (; pairs >= 4; pairs -= 4) {
            for (int32_t at = 0; at < 4; ++at) {
                te_gemm_wasm_pair(sums, values + 2 * at, layer->input_step, packed + 8 * at * vectors, pixels, vectors);
            }
            values += 8;
            packed += 32 * vectors;
        }
        for (; pairs > 0; --pairs) {
            te_gemm_wasm_pair(sums, values, layer->input_step, packed, pixels, vectors);
            values += 2;
            packed += 8 * vectors;
        }
    }
    for (int32_t pixel = 0; pixel < pixels; ++pixel) {
        const te_vector first = te_requantise_four(sums[pixel][0], constants, layer->shift);
        const te_vector last =
            vectors == 2 ? te_requantise_four(sums[pixel][1], constants + TE_WASM_CONSTANTS, layer->shift) : first;
        te_store_limited(output + pixel * layer->output_step, first, last, low, high, count);
    }
    return packed;
}

/** All channels of `pixels` pixels, which is a constant. */
TE_UNROLLED void te_gemm_wasm_pixels(const te_gemm_wasm *layer, const int16_t *const *starts, int8_t *output,
                                       int32_t pixels) {
    const int8_t *packed = layer->packed;
    const int32_t *constants = layer->constants;
    int32_t left = layer->channels;
    for (; left >= 8; left -= 8) {
        packed = te_gemm_wasm_block(layer, starts, packed, constants, output, pixels, 2, 8);
        constants += 2 * TE_WASM_CONSTANTS;
        output += 8;
    }
    if (left > 4) {
        (void)te_gemm_wasm_block(layer, starts, packed, constants, output, pixels, 2, left);
    } else if (left > 0) {
        (void)te_gemm_wasm_block(layer, starts, packed, constants, output, pixels, 1, left);
    }
}

#endif /* TE_GEMM_WASM_H */
