/* SPDX-License-Identifier: Apache-2.0 */
#include "te_lstm.h"

#include <stddef.h>

#include "te_requantise.h"

static void activate(const te_lstm_cell *cell, int16_t *gate, int32_t is_tanh) {
    const te_sigmoid_s16_params params = {cell->units, 3, 0, cell->table};
    if (is_tanh != 0) {
        te_tanh_s16(&params, gate, gate, NULL);
    } else {
        te_logistic_s16(&params, gate, gate, NULL);
    }
}

const int16_t *te_lstm_step(const te_lstm_cell *cell, int16_t *gates, int16_t *cell_state) {
    const int32_t units = cell->units;
    int16_t *forget = gates + TE_LSTM_FORGET * units;
    const int16_t *input = gates + TE_LSTM_INPUT * units;
    const int16_t *candidate = gates + TE_LSTM_CELL * units;
    const te_sigmoid_s16_params tanh_params = {units, cell->tanh_multiplier, cell->tanh_shift, cell->table};
    for (int32_t gate = 0; gate < TE_LSTM_GATES; ++gate) {
        activate(cell, gates + gate * units, gate == TE_LSTM_CELL && cell->candidate_is_tanh != 0);
    }
    for (int32_t i = 0; i < units; ++i) {
        const int32_t kept = te_requantise(forget[i] * cell_state[i], cell->forget_multiplier, cell->forget_shift);
        const int32_t added = te_requantise(input[i] * candidate[i], cell->input_multiplier, cell->input_shift);
        const int32_t sum = te_lstm_saturate(kept) + te_lstm_saturate(added);
        cell_state[i] = te_clamp_s16(sum, cell->state_min, cell->state_max);
    }
    te_tanh_s16(&tanh_params, cell_state, forget, NULL); /* The forget gate is not needed any more. */
    return forget;
}
