/* SPDX-License-Identifier: Apache-2.0 */
#include "te_dsp.h"
#include "te_kernels.h"
#include "te_lstm.h"
#include "te_requantise.h"

/* Of two rows of weights at a time, so that a word of values is widened once for both. */
static void dot2(const int8_t *values, const int8_t *rows, int32_t count, int32_t sums[2]) {
    const int8_t *second = rows + count;
    int32_t first_sum = sums[0];
    int32_t second_sum = sums[1];
    int32_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const uint32_t word = te_load4(values + i);
        const uint32_t even = te_even_bytes(word);
        const uint32_t odd = te_odd_bytes(word);
        const uint32_t a = te_load4(rows + i);
        const uint32_t b = te_load4(second + i);
        first_sum = te_dual_mac(even, te_even_bytes(a), first_sum);
        first_sum = te_dual_mac(odd, te_odd_bytes(a), first_sum);
        second_sum = te_dual_mac(even, te_even_bytes(b), second_sum);
        second_sum = te_dual_mac(odd, te_odd_bytes(b), second_sum);
    }
    for (; i < count; ++i) {
        first_sum = te_add_wrapping(first_sum, values[i] * rows[i]);
        second_sum = te_add_wrapping(second_sum, values[i] * second[i]);
    }
    sums[0] = first_sum;
    sums[1] = second_sum;
}

static int32_t dot1(const int8_t *values, const int8_t *row, int32_t count, int32_t sum) {
    int32_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const uint32_t word = te_load4(values + i);
        const uint32_t weights = te_load4(row + i);
        sum = te_dual_mac(te_even_bytes(word), te_even_bytes(weights), sum);
        sum = te_dual_mac(te_odd_bytes(word), te_odd_bytes(weights), sum);
    }
    for (; i < count; ++i) {
        sum = te_add_wrapping(sum, values[i] * row[i]);
    }
    return sum;
}

static void sum_gate(const te_lstm_s8_params *params, int32_t gate, const int8_t *input, const int8_t *hidden,
                     int16_t *sums) {
    const int32_t units = params->cell.units;
    const int32_t in_c = params->in_c;
    int32_t i = 0;
    for (; i + 2 <= units; i += 2) {
        const int32_t row = gate * units + i;
        int32_t given[2] = {params->input_bias[row], params->input_bias[row + 1]};
        int32_t recurrent[2] = {params->recurrent_bias[row], params->recurrent_bias[row + 1]};
        dot2(input, params->input_weights + row * in_c, in_c, given);
        dot2(hidden, params->recurrent_weights + row * units, units, recurrent);
        sums[i] = te_lstm_gate_s8(params, gate, given[0], recurrent[0]);
        sums[i + 1] = te_lstm_gate_s8(params, gate, given[1], recurrent[1]);
    }
    if (i < units) {
        const int32_t row = gate * units + i;
        sums[i] = te_lstm_gate_s8(
            params, gate, dot1(input, params->input_weights + row * in_c, in_c, params->input_bias[row]),
            dot1(hidden, params->recurrent_weights + row * units, units, params->recurrent_bias[row]));
    }
}

void te_lstm_s8_dsp(const te_lstm_s8_params *params, const int8_t *input, int8_t *output, void *scratch,
                    int8_t *hidden_state, int16_t *cell_state) {
    te_lstm_steps_s8(params, input, output, scratch, hidden_state, cell_state, sum_gate);
}
