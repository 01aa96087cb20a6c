/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_taps_s8_dsp.h
 *  A run of outputs of one channel of a depthwise convolution, for kernels of any size whose taps along the run are
 *  neighbours.
 *
 *  The stream of a channel is in words: bias; multiplier as in te_gemm_s8_dsp.h; right shift plus 256 times the left
 *  shift; and for each row of taps one word for every four: taps 0, 2, 1 and 3, so that one SXTB16 and its rotation give
 *  the weights of two neighbours each. What a row lacks to fours has weights of 0. */
#ifndef TE_TAPS_S8_DSP_H
#define TE_TAPS_S8_DSP_H

#include <stdint.h>

/** Words of a channel before its weights. */
#define TE_TAPS_REQUANTISATION_WORDS 3

/** What the runs of all channels share. */
typedef struct {
    int32_t out_stride; /**< Bytes from an output to the next one. */
    int32_t outputs;    /**< At least 1. */
    int32_t step_bytes; /**< From an output's window to the next one's. */
    int32_t pairs;      /**< Two taps each, of a row of taps; the last one maybe in part. */
    int32_t rows;       /**< Of taps, at least 1. */
    int32_t skip_bytes; /**< From a row of taps to the next, less 4 bytes for every pair, rounded down to two pairs. */
    int32_t zero_point; /**< Of the output. */
} te_taps_run;

/** Outputs with the clamp range of 8 bits and a right shift of at least 1 (plain, as in te_gemm_s8_dsp.h), each window one
 *  value after the one before: step_bytes is 2. May read one value past the last window, as the next one.
 *  @param values  The first output's window; 2-byte aligned. */
void te_taps_stride1_dsp(const te_taps_run *run, const int16_t *values, const uint32_t *stream, int8_t *output);

/** The same for windows any distance apart. */
void te_taps_strided_dsp(const te_taps_run *run, const int16_t *values, const uint32_t *stream, int8_t *output);

#endif /* TE_TAPS_S8_DSP_H */
