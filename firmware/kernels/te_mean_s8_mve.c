/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"
#include "te_mve.h"

/** Channels in 16-bit lanes of a vector. */
#define LANES 8

#if TE_MVE_ASSEMBLY

static void mean_of(const te_mean_mve_params *params, const int8_t *input, int8_t *output, int32_t channels) {
    const int32_t stride = params->channels;
    __asm__ volatile("vctp.16 %3\n\t"
                     "vmov.i32 q0, #0\n\t"
                     "dls lr, %2\n"
                     "1:\n\t"
                     "vpst\n\t"
                     "vldrbt.s16 q1, [%0]\n\t"
                     "vadd.i16 q0, q0, q1\n\t"
                     "add %0, %0, %4\n\t"
                     "le lr, 1b\n\t"
                     "vmovlb.s16 q1, q0\n\t" /* The even channels, then the odd ones. */
                     "vmovlt.s16 q2, q0\n\t"
                     "vadd.i32 q1, q1, %5\n\t"
                     "vadd.i32 q2, q2, %5\n\t"
                     "vshr.s32 q0, q1, #31\n\t"
                     "vshr.s32 q3, q2, #31\n\t"
                     "vadd.i32 q0, q0, %6\n\t"
                     "vadd.i32 q3, q3, %6\n\t"
                     "vqrdmlah.s32 q0, q1, %7\n\t"
                     "vqrdmlah.s32 q3, q2, %7\n\t"
                     "vqshl.s32 q0, %8\n\t"
                     "vqshl.s32 q3, %8\n\t"
                     "vshr.s32 q0, q0, #24\n\t"
                     "vshr.s32 q3, q3, #24\n\t"
                     "vmovnt.i32 q0, q3\n\t"
                     "vpst\n\t"
                     "vstrbt.16 q0, [%1]"
                     : "+l"(input)
                     : "l"(output), "r"(params->count), "r"(channels), "r"(stride), "r"(params->offset),
                       "r"(params->rounding), "r"(params->multiplier), "r"(params->left_shift)
                     : "lr", "q0", "q1", "q2", "q3", TE_PREDICATE_CLOBBER "memory");
}

#else /* The same in C, one channel at a time. */

static void mean_of(const te_mean_mve_params *params, const int8_t *input, int8_t *output, int32_t channels) {
    for (int32_t channel = 0; channel < channels; ++channel) {
        int32_t sum = params->offset;
        for (int32_t i = 0; i < params->count; ++i) {
            sum += input[i * params->channels + channel];
        }
        output[channel] = (int8_t)te_requantise_mve(sum, params->multiplier, params->rounding, params->left_shift);
    }
}

#endif

void te_mean_s8_mve(const te_mean_mve_params *params, const int8_t *input, int8_t *output, void *scratch) {
    (void)scratch;
    for (int32_t batch = 0; batch < params->batches; ++batch) {
        for (int32_t channel = 0; channel < params->channels; channel += LANES) {
            const int32_t left = params->channels - channel;
            mean_of(params, input + channel, output + channel, left < LANES ? left : LANES);
        }
        input += params->count * params->channels;
        output += params->channels;
    }
}
