/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_dots_s16_dsp.h
 *  Sums of products of int16 values and int8 weights, two products an instruction. */
#ifndef TE_DOTS_S16_DSP_H
#define TE_DOTS_S16_DSP_H

#include "te_dot.h"
#include "te_dsp.h"

/** Adds the products of four values to a sum: those of bytes 0 and 2 of the weights are in `even`, the others in `odd`. */
static inline int32_t te_four_products(uint32_t even, uint32_t odd, const int8_t *weights, int32_t sum) {
    const uint32_t bytes = te_load4(weights);
    return te_dual_mac(odd, te_odd_bytes(bytes), te_dual_mac(even, te_even_bytes(bytes), sum));
}

/** Of one filter and of the next one, `filter_size` weights further; in sums of 32 bits for as many products as fit.
 *  @param sums  Of both. Products are added. */
static inline void te_dots2_s16_dsp(const int16_t *values, const int8_t *filters, int32_t filter_size, int32_t count,
                                    int64_t *sums) {
    for (int32_t run; count > 0; count -= run) {
        run = count < TE_DOT_S16_RUN ? count : TE_DOT_S16_RUN;
        const int16_t *const end = values + run;
        const int16_t *const fours_end = values + (run & ~3);
        int32_t first = 0;
        int32_t second = 0;
        for (; values != fours_end; values += 4, filters += 4) {
            const uint32_t low = te_load4(values);
            const uint32_t high = te_load4(values + 2);
            const uint32_t even = te_low_halves(low, high);
            const uint32_t odd = te_high_halves(low, high);
            first = te_four_products(even, odd, filters, first);
            second = te_four_products(even, odd, filters + filter_size, second);
        }
        for (; values != end; ++values, ++filters) {
            first += *values * *filters;
            second += *values * filters[filter_size];
        }
        sums[0] += first;
        sums[1] += second;
    }
}

/** Of one filter. */
static inline void te_dots1_s16_dsp(const int16_t *values, const int8_t *filters, int32_t filter_size, int32_t count,
                                    int64_t *sums) {
    (void)filter_size;
    for (int32_t run; count > 0; count -= run) {
        run = count < TE_DOT_S16_RUN ? count : TE_DOT_S16_RUN;
        const int16_t *const end = values + run;
        const int16_t *const fours_end = values + (run & ~3);
        int32_t sum = 0;
        for (; values != fours_end; values += 4, filters += 4) {
            const uint32_t low = te_load4(values);
            const uint32_t high = te_load4(values + 2);
            sum = te_four_products(te_low_halves(low, high), te_high_halves(low, high), filters, sum);
        }
        for (; values != end; ++values, ++filters) {
            sum += *values * *filters;
        }
        sums[0] += sum;
    }
}

#endif /* TE_DOTS_S16_DSP_H */
