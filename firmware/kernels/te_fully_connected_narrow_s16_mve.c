/* SPDX-License-Identifier: Apache-2.0 */
#include "te_dsp.h"
#include "te_kernels.h"
#include "te_mve.h"

/** The sums of two rows times two filters: row by row. */
typedef struct {
    int32_t first[2];
    int32_t second[2];
} block;

#if TE_MVE_ASSEMBLY

/* Eight products an instruction; the last lanes of a depth that is no multiple of eight are predicated away. Loads that
 * widen take low registers alone as addresses. */
static inline void multiply(const int16_t *row, const int16_t *next_row, const int8_t *filter, const int8_t *next_filter,
                            int32_t depth, block *sums) {
    __asm__ volatile("dlstp.16 lr, %8\n"
                     "1:\n\t"
                     "vldrh.u16 q0, [%4], #16\n\t"
                     "vldrb.s16 q2, [%6], #8\n\t"
                     "vldrh.u16 q1, [%5], #16\n\t"
                     "vmladava.s16 %0, q0, q2\n\t"
                     "vldrb.s16 q3, [%7], #8\n\t"
                     "vmladava.s16 %2, q1, q2\n\t"
                     "vmladava.s16 %1, q0, q3\n\t"
                     "vmladava.s16 %3, q1, q3\n\t"
                     "letp lr, 1b"
                     : "+Te"(sums->first[0]), "+Te"(sums->first[1]), "+Te"(sums->second[0]), "+Te"(sums->second[1]),
                       "+r"(row), "+r"(next_row), "+l"(filter), "+l"(next_filter)
                     : "r"(depth)
                     : "lr", "q0", "q1", "q2", "q3", "memory");
}

#else /* The same in C. */

static void multiply(const int16_t *row, const int16_t *next_row, const int8_t *filter, const int8_t *next_filter,
                     int32_t depth, block *sums) {
    for (int32_t i = 0; i < depth; ++i) {
        sums->first[0] += row[i] * filter[i];
        sums->first[1] += row[i] * next_filter[i];
        sums->second[0] += next_row[i] * filter[i];
        sums->second[1] += next_row[i] * next_filter[i];
    }
}

#endif

static inline int16_t finish(const te_fully_connected_narrow_s16_mve_params *params, int32_t sum, int32_t channel) {
    const int32_t scaled = te_rounded_high(sum, params->multipliers[channel]);
    const int32_t floored = scaled < params->output_min ? params->output_min : scaled;
    return (int16_t)(floored > params->output_max ? params->output_max : floored);
}

void te_fully_connected_narrow_s16_mve(const te_fully_connected_narrow_s16_mve_params *params, const int16_t *input,
                                       int16_t *output, void *scratch) {
    const int32_t in_c = params->in_c;
    const int32_t out_c = params->out_c;
    (void)scratch;
    for (int32_t row = 0; row < params->batches; row += 2) {
        /* The last row of an odd number is its own next one, and so is the last filter. */
        const int32_t next_row = row + 1 < params->batches ? 1 : 0;
        const int8_t *filter = params->weights;
        for (int32_t channel = 0; channel < out_c; channel += 2) {
            const int32_t next = channel + 1 < out_c ? 1 : 0;
            const int32_t bias = params->bias[channel];
            const int32_t next_bias = params->bias[channel + next];
            block sums = {{bias, next_bias}, {bias, next_bias}};
            int16_t *at = output + channel;
            multiply(input, input + next_row * in_c, filter, filter + next * in_c, in_c, &sums);
            at[0] = finish(params, sums.first[0], channel);
            at[next] = finish(params, sums.first[next], channel + next);
            at[next_row * out_c] = finish(params, sums.second[0], channel);
            at[next_row * out_c + next] = finish(params, sums.second[next], channel + next);
            filter += 2 * in_c;
        }
        input += 2 * in_c;
        output += 2 * out_c;
    }
}
