/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_gemm_blocks_s8_dsp.h
 *  The matrix product of te_gemm_s8_dsp.h for many pixels at once: what a pair of channels begins with is made once for all of
 *  them, and its filters are read from a slow flash once where a cache before it holds them. */
#ifndef TE_GEMM_BLOCKS_S8_DSP_H
#define TE_GEMM_BLOCKS_S8_DSP_H

#include <stdint.h>

#include "te_gemm_s8_dsp.h"

/** Blocks of four pixels.
 *  @param gemm     Quick, of an even number of channels; its `blocks` are 1 or more.
 *  @param columns  (blocks, steps, 4) words.
 *  @param output   out_c values a pixel, at `out_stride` from one to the next. */
void te_gemm_blocks_s8_dsp(const te_gemm_s8_dsp *gemm, const uint32_t *columns, int8_t *output);

#endif /* TE_GEMM_BLOCKS_S8_DSP_H */
