/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_lstm.h
 *  What LSTM kernels of int8 and int16 activations share: everything between the sums of the gates and the product that
 *  becomes the hidden state. */
#ifndef TE_LSTM_H
#define TE_LSTM_H

#include <stdint.h>

#include "te_kernels.h"

/** Of the gates in memory, `units` values each. */
enum { TE_LSTM_FORGET, TE_LSTM_INPUT, TE_LSTM_CELL, TE_LSTM_OUTPUT, TE_LSTM_GATES };

/** x limited to int16. */
static inline int16_t te_lstm_saturate(int32_t x) {
    return (int16_t)(x < INT16_MIN ? INT16_MIN : (x > INT16_MAX ? INT16_MAX : x));
}

/** One step of the cell state.
 *  @param gates       (TE_LSTM_GATES, units) Their sums, in steps of 2^-12; changed.
 *  @param cell_state  (units) In steps of its own; becomes the next one.
 *  @return (units) int16: the hyperbolic tangent of the cell state; the activated output gate, (units), is at
 *          gates + TE_LSTM_OUTPUT * units. Both are fractions of 2^15. */
const int16_t *te_lstm_step(const te_lstm_cell *cell, int16_t *gates, int16_t *cell_state);

/** x of a gate's input sum and y of its recurrent sum, bias and zero points in both, as their sum in steps of 2^-12. */
int16_t te_lstm_gate_s8(const te_lstm_s8_params *params, int32_t gate, int32_t x, int32_t y);

/** The sums of one gate, (units), from the values of a step, (in_c), and the hidden state, (units). */
typedef void (*te_lstm_sum_gate)(const te_lstm_s8_params *params, int32_t gate, const int8_t *input,
                                 const int8_t *hidden, int16_t *sums);

/** te_lstm_s8() with sums of its caller's. */
void te_lstm_steps_s8(const te_lstm_s8_params *params, const int8_t *input, int8_t *output, int16_t *gates,
                      int8_t *hidden_state, int16_t *cell_state, te_lstm_sum_gate sum_gate);

#endif /* TE_LSTM_H */
