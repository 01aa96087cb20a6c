/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_gemm_s4_dsp.h
 *  The matrix product of te_gemm_s8_dsp.h with weights of 4 bits, -8 to 7.
 *
 *  The weight stream is that of te_gemm_s8_dsp.h but for the weights: a word holds those of two steps, each plus 8, so
 *  that a mask makes the operand of a dual multiply-accumulate. Of a byte, the lower half is the first channel's and the upper
 *  half the second's; bytes 0 and 2 are the two values of the first step, bytes 1 and 3 those of the second.
 *
 *  Eight times the sum of a pixel's column is subtracted once for all channels. The second channel's accumulators are
 *  16 times what they are until they are finished, for its halves are not shifted down: sums are below 2^27. */
#ifndef TE_GEMM_S4_DSP_H
#define TE_GEMM_S4_DSP_H

#include <stdint.h>

#include "te_gemm_s8_dsp.h"

/** te_gemm4_s8_dsp() with such a stream. */
void te_gemm4_s4_dsp(const te_gemm_s8_dsp *gemm, const uint32_t *columns, int8_t *output);

/** te_gemm1_s8_dsp() with such a stream. */
void te_gemm1_s4_dsp(const te_gemm_s8_dsp *gemm, const uint32_t *columns, int8_t *output);

#endif /* TE_GEMM_S4_DSP_H */
