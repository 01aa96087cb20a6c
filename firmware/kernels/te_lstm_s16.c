/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "te_dot.h"
#include "te_kernels.h"
#include "te_lstm.h"
#include "te_requantise.h"

/* The sum of a gate's values and of its recurrent values, each in steps of 2^-12. */
static void sum_gate(const te_lstm_s16_params *params, int32_t gate, const int16_t *input, const int16_t *hidden,
                     int16_t *sums) {
    const int32_t units = params->cell.units;
    for (int32_t i = 0; i < units; ++i) {
        const int32_t row = gate * units + i;
        const int64_t given = te_dot_s16(input, params->input_weights + row * params->in_c, params->in_c);
        const int64_t recurrent = te_dot_s16(hidden, params->recurrent_weights + row * units, units);
        const int32_t first = te_requantise_s64(given + params->input_bias[row], params->input_multipliers[gate],
                                                params->input_shifts[gate]);
        const int32_t second = te_requantise_s64(recurrent, params->recurrent_multipliers[gate],
                                                 params->recurrent_shifts[gate]);
        sums[i] = te_lstm_saturate(te_lstm_saturate(first) + te_lstm_saturate(second));
    }
}

void te_lstm_s16(const te_lstm_s16_params *params, const int16_t *input, int16_t *output, void *scratch,
                 int16_t *hidden_state, int16_t *cell_state) {
    const te_lstm_cell *cell = &params->cell;
    const int32_t units = cell->units;
    int16_t *gates = scratch;
    for (int32_t batch = 0; batch < cell->batches; ++batch) {
        int16_t *hidden = hidden_state + batch * units;
        for (int32_t step = 0; step < cell->steps; ++step) {
            const int32_t row = batch * cell->batch_rows + step * cell->step_rows;
            for (int32_t gate = 0; gate < TE_LSTM_GATES; ++gate) {
                sum_gate(params, gate, input + row * params->in_c, hidden, gates + gate * units);
            }
            const int16_t *tanh = te_lstm_step(cell, gates, cell_state + batch * units);
            const int16_t *gate = gates + TE_LSTM_OUTPUT * units;
            for (int32_t i = 0; i < units; ++i) {
                hidden[i] = te_lstm_saturate(
                    te_requantise(tanh[i] * gate[i], cell->hidden_multiplier, cell->hidden_shift));
            }
            memcpy(output + row * units, hidden, (size_t)units * sizeof *hidden);
        }
    }
}
