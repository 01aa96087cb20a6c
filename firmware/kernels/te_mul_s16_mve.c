/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "te_broadcast.h"
#include "te_kernels.h"
#include "te_mve.h"
#include "te_requantise.h"

#if TE_MVE_ASSEMBLY

#include <arm_mve.h>

static void multiply_rows(const te_mul_mve_params *params, const int16_t *a, const int16_t *b, int16_t *output, int32_t count) {
    const int32x4_t low = vdupq_n_s32(params->output_min);
    const int32x4_t high = vdupq_n_s32(params->output_max);
    __asm__ volatile("wlstp.32 lr, %[count], 2f\n"
                     "1:\n\t"
                     "vldrh.s32 q0, [%[a]], #8\n\t"
                     "vldrh.s32 q1, [%[b]], #8\n\t"
                     "vmul.i32 q0, q0, q1\n\t"
                     "vshr.s32 q1, q0, #31\n\t"
                     "vqrdmlah.s32 q1, q0, %[multiplier]\n\t"
                     "vrshl.s32 q1, %[shift]\n\t"
                     "vmax.s32 q1, q1, %q[low]\n\t"
                     "vmin.s32 q1, q1, %q[high]\n\t"
                     "vstrh.32 q1, [%[output]], #8\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : [a] "+l"(a), [b] "+l"(b), [output] "+l"(output)
                     : [multiplier] "r"(params->multiplier), [shift] "r"(params->left_shift),
                       [low] "w"(low), [high] "w"(high), [count] "r"(count)
                     : "lr", "q0", "q1", "memory");
}

/** Of a row and one value, less its zero point. */
static void multiply_by_one(const te_mul_mve_params *params, const int16_t *a, int32_t factor, int16_t *output,
                            int32_t count) {
    const int32x4_t low = vdupq_n_s32(params->output_min);
    const int32x4_t high = vdupq_n_s32(params->output_max);
    __asm__ volatile("wlstp.32 lr, %[count], 2f\n"
                     "1:\n\t"
                     "vldrh.s32 q0, [%[a]], #8\n\t"
                     "vmul.i32 q0, q0, %[factor]\n\t"
                     "vshr.s32 q1, q0, #31\n\t"
                     "vqrdmlah.s32 q1, q0, %[multiplier]\n\t"
                     "vrshl.s32 q1, %[shift]\n\t"
                     "vmax.s32 q1, q1, %q[low]\n\t"
                     "vmin.s32 q1, q1, %q[high]\n\t"
                     "vstrh.32 q1, [%[output]], #8\n\t"
                     "letp lr, 1b\n"
                     "2:"
                     : [a] "+l"(a), [output] "+l"(output)
                     : [factor] "r"(factor), [multiplier] "r"(params->multiplier), [shift] "r"(params->left_shift),
                       [low] "w"(low), [high] "w"(high), [count] "r"(count)
                     : "lr", "q0", "q1", "memory");
}

#else /* The same in C, one value at a time. */

static int16_t output_of(const te_mul_mve_params *params, int32_t product) {
    return te_clamp_s16(te_requantise(product, params->multiplier, params->left_shift), params->output_min,
                        params->output_max);
}

static void multiply_rows(const te_mul_mve_params *params, const int16_t *a, const int16_t *b, int16_t *output, int32_t count) {
    for (int32_t i = 0; i < count; ++i) {
        output[i] = output_of(params, a[i] * b[i]);
    }
}

static void multiply_by_one(const te_mul_mve_params *params, const int16_t *a, int32_t factor, int16_t *output,
                            int32_t count) {
    for (int32_t i = 0; i < count; ++i) {
        output[i] = output_of(params, a[i] * factor);
    }
}

#endif

/** A step is 1, or 0 where the row repeats one value; both are 0 in a row of one. */
static void mul_row(const void *opaque, const void *opaque_a, int32_t step_a, const void *opaque_b, int32_t step_b,
                    void *opaque_output, int32_t count) {
    const te_mul_mve_params *params = opaque;
    const int16_t *a = opaque_a;
    const int16_t *b = opaque_b;
    int16_t *output = opaque_output;
    if (step_b == 0) {
        multiply_by_one(params, a, *b, output, count);
    } else if (step_a == 0) {
        multiply_by_one(params, b, *a, output, count);
    } else {
        multiply_rows(params, a, b, output, count);
    }
}

void te_mul_s16_mve(const te_mul_mve_params *params, const int16_t *input1, const int16_t *input2, int16_t *output,
                    void *scratch) {
    const int16_t *a = params->constant1 != NULL ? params->constant1 : input1;
    const int16_t *b = params->constant2 != NULL ? params->constant2 : input2;
    (void)scratch;
    te_for_each_row(mul_row, params, sizeof *output, params->dims, a, params->strides1, b, params->strides2, output);
}
