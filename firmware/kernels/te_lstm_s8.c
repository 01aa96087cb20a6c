/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "te_dot.h"
#include "te_kernels.h"
#include "te_lstm.h"
#include "te_requantise.h"

int16_t te_lstm_gate_s8(const te_lstm_s8_params *params, int32_t gate, int32_t x, int32_t y) {
    const int32_t first = te_requantise(x, params->input_multipliers[gate], params->input_shifts[gate]);
    const int32_t second = te_requantise(y, params->recurrent_multipliers[gate], params->recurrent_shifts[gate]);
    return te_lstm_saturate(te_lstm_saturate(first) + te_lstm_saturate(second));
}

static void sum_gate(const te_lstm_s8_params *params, int32_t gate, const int8_t *input, const int8_t *hidden,
                     int16_t *sums) {
    const int32_t units = params->cell.units;
    for (int32_t i = 0; i < units; ++i) {
        const int32_t row = gate * units + i;
        const int32_t given = te_dot(input, params->input_weights + row * params->in_c, params->in_c, 0);
        const int32_t recurrent = te_dot(hidden, params->recurrent_weights + row * units, units, 0);
        sums[i] = te_lstm_gate_s8(params, gate, te_add_wrapping(given, params->input_bias[row]),
                                  te_add_wrapping(recurrent, params->recurrent_bias[row]));
    }
}

void te_lstm_steps_s8(const te_lstm_s8_params *params, const int8_t *input, int8_t *output, int16_t *gates,
                      int8_t *hidden_state, int16_t *cell_state, te_lstm_sum_gate sum) {
    const te_lstm_cell *cell = &params->cell;
    const int32_t units = cell->units;
    for (int32_t batch = 0; batch < cell->batches; ++batch) {
        int8_t *hidden = hidden_state + batch * units;
        for (int32_t step = 0; step < cell->steps; ++step) {
            const int32_t row = batch * cell->batch_rows + step * cell->step_rows;
            for (int32_t gate = 0; gate < TE_LSTM_GATES; ++gate) {
                sum(params, gate, input + row * params->in_c, hidden, gates + gate * units);
            }
            const int16_t *tanh = te_lstm_step(cell, gates, cell_state + batch * units);
            const int16_t *gate = gates + TE_LSTM_OUTPUT * units;
            for (int32_t i = 0; i < units; ++i) {
                const int32_t value = te_requantise(tanh[i] * gate[i], cell->hidden_multiplier, cell->hidden_shift);
                hidden[i] = te_clamp(value + params->hidden_zero_point, INT8_MIN, INT8_MAX);
            }
            memcpy(output + row * units, hidden, (size_t)units);
        }
    }
}

void te_lstm_s8(const te_lstm_s8_params *params, const int8_t *input, int8_t *output, void *scratch,
                int8_t *hidden_state, int16_t *cell_state) {
    te_lstm_steps_s8(params, input, output, scratch, hidden_state, cell_state, sum_gate);
}
