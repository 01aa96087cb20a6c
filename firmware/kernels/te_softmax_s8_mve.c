/* SPDX-License-Identifier: Apache-2.0 */
#include "te_fixed_point.h"
#include "te_kernels.h"
#include "te_mve.h"

/* The sum of exponentials has this many integer bits. */
#define SUM_INTEGER_BITS 12

/** The largest value of a row, and the sum of the exponentials of all. */
typedef struct {
    int32_t largest;
    int32_t sum;
} row_sum;

#if TE_MVE_ASSEMBLY

#include <arm_mve.h>

/* A lane that a predicate leaves out loads 0. */
static inline row_sum sum_of(const te_softmax_params *params, const int8_t *input) {
    row_sum of = {INT8_MIN, 0};
    const int8_t *first = input;
    __asm__ volatile("wlstp.8 lr, %[depth], 2f\n"
                     "1:\n\t"
                     "vldrb.8 q0, [%[first]], #16\n\t"
                     "vmaxv.s8 %[largest], q0\n\t"
                     "letp lr, 1b\n"
                     "2:\n\t"
                     "vdup.32 q2, %[largest]\n\t"
                     "wlstp.32 lr, %[depth], 2f\n"
                     "1:\n\t"
                     "vldrb.s32 q0, [%[input]], #4\n\t"
                     "vsub.i32 q0, q2, q0\n\t"
                     "vpt.s32 lt, q0, %[levels]\n\t"
                     "vldrwt.u32 q1, [%[exps], q0, uxtw #2]\n\t"
                     "vrshr.s32 q1, q1, %[bits]\n\t"
                     "vaddva.s32 %[sum], q1\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : [largest] "+r"(of.largest), [sum] "+Te"(of.sum), [first] "+r"(first), [input] "+l"(input)
                     : [depth] "r"(params->depth), [levels] "r"(params->levels), [exps] "r"(params->exps),
                       [bits] "i"(SUM_INTEGER_BITS)
                     : "lr", "q0", "q1", "q2", TE_PREDICATE_CLOBBER "memory");
    return of;
}

static inline void write_shares(const te_softmax_params *params, const int8_t *input, int32_t largest,
                                int32_t reciprocal, int32_t exponent, int8_t *output) {
    const int32_t zero_point = INT8_MIN;
    const int32x4_t above = vdupq_n_s32(largest);
    __asm__ volatile("vmov.i32 q3, #255\n\t"
                     "wlstp.32 lr, %[depth], 2f\n"
                     "1:\n\t"
                     "vldrb.s32 q0, [%[input]], #4\n\t"
                     "vsub.i32 q0, %q[above], q0\n\t"
                     "vpt.s32 lt, q0, %[levels]\n\t"
                     "vldrwt.u32 q1, [%[exps], q0, uxtw #2]\n\t"
                     "vqrdmulh.s32 q1, q1, %[reciprocal]\n\t"
                     "vrshl.s32 q1, %[left_shift]\n\t"
                     "vmin.s32 q1, q1, q3\n\t"
                     "vadd.i32 q1, q1, %[zero_point]\n\t"
                     "vstrb.32 q1, [%[output]], #4\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : [input] "+l"(input), [output] "+l"(output)
                     : [above] "w"(above), [depth] "r"(params->depth),
                       [levels] "r"(params->levels), [exps] "r"(params->exps), [reciprocal] "r"(reciprocal),
                       [left_shift] "r"(-exponent), [zero_point] "r"(zero_point)
                     : "lr", "q0", "q1", "q3", TE_PREDICATE_CLOBBER "memory");
}

#else /* The same in C, one value at a time. */

static int32_t exponential_of(const te_softmax_params *params, int32_t below) {
    return below < params->levels ? params->exps[below] : 0;
}

static row_sum sum_of(const te_softmax_params *params, const int8_t *input) {
    row_sum of = {INT8_MIN, 0};
    for (int32_t i = 0; i < params->depth; ++i) {
        of.largest = input[i] > of.largest ? input[i] : of.largest;
    }
    for (int32_t i = 0; i < params->depth; ++i) {
        of.sum += te_rounding_shift(exponential_of(params, of.largest - input[i]), SUM_INTEGER_BITS);
    }
    return of;
}

static void write_shares(const te_softmax_params *params, const int8_t *input, int32_t largest, int32_t reciprocal,
                         int32_t exponent, int8_t *output) {
    for (int32_t i = 0; i < params->depth; ++i) {
        const int32_t product = te_high_mul(reciprocal, exponential_of(params, largest - input[i]));
        const int32_t share = exponent <= 31 ? te_rounding_shift(product, exponent) : 0;
        output[i] = te_clamp(share + INT8_MIN, INT8_MIN, INT8_MAX);
    }
}

#endif

void te_softmax_s8_mve(const te_softmax_params *params, const int8_t *input, int8_t *output, void *scratch) {
    (void)scratch;
    for (int32_t row = 0; row < params->rows; ++row) {
        const row_sum of = sum_of(params, input);
        /* sum = 2^(SUM_INTEGER_BITS - zeros) * (1 + x), so that only 1 / (1 + x) needs computing. */
        const int32_t zeros = te_leading_zeros_mve((uint32_t)of.sum);
        const int32_t x = (int32_t)(((uint32_t)of.sum << zeros) - 0x80000000u);
        const int32_t exponent = SUM_INTEGER_BITS - zeros + 31 - 8;
        write_shares(params, input, of.largest, te_reciprocal_of_one_plus(x), exponent, output);
        input += params->depth;
        output += params->depth;
    }
}
