/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_gemm_s4_scalar.h
 *  The matrix product of te_gemm_s8_scalar.h with weights of 4 bits, -8 to 7: eight of them to a word of the stream, the
 *  first in its lowest bits, and zeros where the depth ends. Columns are the same, the depth in eights. */
#ifndef TE_GEMM_S4_SCALAR_H
#define TE_GEMM_S4_SCALAR_H

#include <stdint.h>

#include "te_gemm_s8_scalar.h"

/** te_gemm4_s8_scalar() with such streams.
 *  @param columns  16 * words words. */
void te_gemm4_s4_scalar(const te_gemm_s8_scalar *gemm, const uint32_t *streams, const int8_t *shifts, int32_t channels,
                        const uint32_t *columns, int8_t *output, int32_t pixels);

/** te_sums4_s8_scalar() of 8 * words weights. */
void te_sums4_s4_scalar(const uint32_t *columns, const uint32_t *row, int32_t words, int32_t sums[TE_SCALAR_SUMS]);

#endif /* TE_GEMM_S4_SCALAR_H */
