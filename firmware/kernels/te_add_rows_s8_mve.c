/* SPDX-License-Identifier: Apache-2.0 */
#include "te_add_rows_mve.h"

/* What a value gains before it is scaled, as in te_add_s8.c. */
#define UNIT (1 << 20)

#if TE_MVE_ASSEMBLY

/* Constants are loaded in the order of the struct. No push: the compiler would not count it where the stack of a model is
 * asked for; and no part of a loop, which would leave too few registers. */
static __attribute__((noinline)) void sum_rows(const te_row_of_two_mve *row, const int8_t *a, const int8_t *b,
                                               int8_t *output) {
    register const te_row_of_two_mve *r0 __asm__("r0") = row;
    register const int8_t *r1 __asm__("r1") = a;
    register const int8_t *r2 __asm__("r2") = b;
    register int8_t *r3 __asm__("r3") = output;
    __asm__ volatile("ldrd r0, lr, [r0]\n\t"
                     "add r4, r0, #32\n\t"
                     "ldm r4, {r5, r6, r8, r9}\n\t"
                     "vdup.32 q4, r5\n\t"
                     "vdup.32 q5, r6\n\t"
                     "vdup.32 q6, r8\n\t"
                     "vdup.32 q7, r9\n\t"
                     "mov r4, #1 << 20\n\t"
                     "vdup.32 q3, r4\n\t"
                     "ldm r0, {r4-r6, r8-r12}\n\t"
                     "wlstp.32 lr, lr, 2f\n"
                     "1:\n\t"
                     "vldrb.s32 q0, [r1], #4\n\t"
                     "vldrb.s32 q2, [r2], #4\n\t"
                     "vmlas.s32 q0, q3, r4\n\t"
                     "vshr.s32 q1, q0, #31\n\t"
                     "vqrdmlah.s32 q1, q0, r5\n\t"
                     "vrshl.s32 q1, r6\n\t"
                     "vmlas.s32 q2, q3, r8\n\t"
                     "vshr.s32 q0, q2, #31\n\t"
                     "vqrdmlah.s32 q0, q2, r9\n\t"
                     "vrshl.s32 q0, r10\n\t"
                     "vmla.s32 q1, q0, r11\n\t"
                     "vshr.s32 q0, q1, #31\n\t"
                     "vadd.i32 q0, q0, q5\n\t"
                     "vqrdmlah.s32 q0, q1, r12\n\t"
                     "vqshl.s32 q0, q0, q4\n\t"
                     "vshr.s32 q0, q0, #24\n\t"
                     "vmax.s32 q0, q0, q6\n\t"
                     "vmin.s32 q0, q0, q7\n\t"
                     "vstrb.32 q0, [r3], #4\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3)
                     :
                     : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "q0", "q1", "q2", "q3", "q4", "q5", "q6", "q7", "memory");
}

static __attribute__((noinline)) void sum_with_one(const te_add_rows_mve_params *params, const te_row_of_one_mve *row,
                                                   const int8_t *values, int8_t *output) {
    register const te_add_rows_mve_params *r0 __asm__("r0") = params;
    register const te_row_of_one_mve *r1 __asm__("r1") = row;
    register const int8_t *r2 __asm__("r2") = values;
    register int8_t *r3 __asm__("r3") = output;
    __asm__ volatile("ldm r1, {r4-r6, r8, r9, lr}\n\t"
                     "vdup.32 q2, r9\n\t"
                     "ldrd r11, r12, [r0, #28]\n\t"
                     "ldrd r9, r10, [r0, #36]\n\t"
                     "ldr r0, [r0, #44]\n\t"
                     "vdup.32 q4, r10\n\t"
                     "vdup.32 q5, r0\n\t"
                     "mov r0, #1 << 20\n\t"
                     "vdup.32 q3, r0\n\t"
                     "wlstp.32 lr, lr, 2f\n"
                     "1:\n\t"
                     "vldrb.s32 q0, [r2], #4\n\t"
                     "vmlas.s32 q0, q3, r4\n\t"
                     "vshr.s32 q1, q0, #31\n\t"
                     "vqrdmlah.s32 q1, q0, r5\n\t"
                     "vrshl.s32 q1, r6\n\t"
                     "vmlas.s32 q1, q2, r8\n\t"
                     "vshr.s32 q0, q1, #31\n\t"
                     "vadd.i32 q0, q0, r9\n\t"
                     "vqrdmlah.s32 q0, q1, r11\n\t"
                     "vqshl.s32 q0, r12\n\t"
                     "vshr.s32 q0, q0, #24\n\t"
                     "vmax.s32 q0, q0, q4\n\t"
                     "vmin.s32 q0, q0, q5\n\t"
                     "vstrb.32 q0, [r3], #4\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : "+r"(r0), "+r"(r1), "+r"(r2), "+r"(r3)
                     :
                     : "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "q0", "q1", "q2", "q3", "q4", "q5", "memory");
}

#else /* The same in C, one value at a time. */

static int8_t output_of(const te_add_rows_mve_params *params, int32_t sum) {
    const int32_t value =
        te_requantise_mve(sum, params->output_multiplier, params->output_rounding, params->output_left_shift);
    return te_clamp(value, params->output_min, params->output_max);
}

static void sum_rows(const te_row_of_two_mve *row, const int8_t *a, const int8_t *b, int8_t *output) {
    const te_add_rows_mve_params *params = row->params;
    for (int32_t i = 0; i < row->count; ++i) {
        output[i] = output_of(params, te_scaled_mve(&params->operand1, a[i], UNIT) +
                                          params->sign * te_scaled_mve(&params->operand2, b[i], UNIT));
    }
}

static void sum_with_one(const te_add_rows_mve_params *params, const te_row_of_one_mve *row, const int8_t *values,
                         int8_t *output) {
    for (int32_t i = 0; i < row->count; ++i) {
        output[i] = output_of(params, row->one + row->sign * te_scaled_mve(&row->operand, values[i], UNIT));
    }
}

#endif

/** A step is 1, or 0 where the row repeats one value; both are 0 in a row of one. */
static void add_row(const void *opaque, const void *opaque_a, int32_t step_a, const void *opaque_b, int32_t step_b,
                    void *opaque_output, int32_t count) {
    const te_add_rows_mve_params *params = opaque;
    const int8_t *a = opaque_a;
    const int8_t *b = opaque_b;
    int8_t *output = opaque_output;
    if (step_b == 0) {
        const int32_t one = params->sign * te_scaled_mve(&params->operand2, *b, UNIT);
        const te_row_of_one_mve row = {params->operand1, one, 1, count};
        sum_with_one(params, &row, a, output);
    } else if (step_a == 0) {
        const int32_t one = te_scaled_mve(&params->operand1, *a, UNIT);
        const te_row_of_one_mve row = {params->operand2, one, params->sign, count};
        sum_with_one(params, &row, b, output);
    } else {
        const te_row_of_two_mve row = {params, count};
        sum_rows(&row, a, b, output);
    }
}

void te_add_rows_s8_mve(const te_add_rows_mve_params *params, const int8_t *input1, const int8_t *input2,
                        int8_t *output, void *scratch) {
    (void)scratch;
    te_add_rows_mve(add_row, params, (int32_t)sizeof *output, input1, input2, output);
}
