/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_add_rows_mve.h
 *  The walk over the rows of a sum or difference that int8 and int16 values share, for processors with MVE. */
#ifndef TE_ADD_ROWS_MVE_H
#define TE_ADD_ROWS_MVE_H

#include <stddef.h>

#include "te_broadcast.h"
#include "te_kernels.h"
#include "te_mve.h"
#include "te_requantise.h"

/** A row of sums of values of both operands. */
typedef struct {
    const te_add_rows_mve_params *params;
    int32_t count;
} te_row_of_two_mve;

/** A row of sums with the same value of one operand. */
typedef struct {
    te_scaled_operand_mve operand; /**< The other one. */
    int32_t one;                   /**< What that value has in a sum. */
    int32_t sign;                  /**< Of what the other operand has. */
    int32_t count;
} te_row_of_one_mve;

/** What a code has in a sum.
 *  @param unit  What the code gains before it is scaled. */
static inline int32_t te_scaled_mve(const te_scaled_operand_mve *how, int32_t code, int32_t unit) {
    return te_requantise(code * unit + how->offset, how->multiplier, how->left_shift);
}

static inline void te_add_rows_mve(te_row_function *row, const te_add_rows_mve_params *params, int32_t value_bytes,
                                   const void *input1, const void *input2, void *output) {
    const void *a = params->constant1 != NULL ? params->constant1 : input1;
    const void *b = params->constant2 != NULL ? params->constant2 : input2;
    te_for_each_row(row, params, value_bytes, params->dims, a, params->strides1, b, params->strides2, output);
}

#endif /* TE_ADD_ROWS_MVE_H */
