/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"
#include "te_mve.h"

/** Channels in 16-bit lanes of a vector. */
#define LANES 8

#if TE_MVE_ASSEMBLY

static void mean_of(const te_mean_mve_params *params, const int8_t *input, int8_t *output, int32_t channels) {
    __asm__ volatile("vctp.16 %[channels]\n\t"
                     "vmov.i32 q0, #0\n\t"
                     "ldrd r5, r4, [%[params], #4]\n\t" /* Values of a mean, and from one to the next. */
                     "dls lr, r5\n"
                     "1:\n\t"
                     "vpst\n\t"
                     "vldrbt.s16 q1, [%[input]]\n\t"
                     "vadd.i16 q0, q0, q1\n\t"
                     "add %[input], %[input], r4\n\t"
                     "le lr, 1b\n\t"
                     "ldrd r4, r5, [%[params], #12]\n\t" /* The offset and the multiplier. */
                     "ldrd r6, r8, [%[params], #20]\n\t" /* The rounding and the shift. */
                     "vmovlb.s16 q1, q0\n\t" /* The even channels, then the odd ones. */
                     "vmovlt.s16 q2, q0\n\t"
                     "vadd.i32 q1, q1, r4\n\t"
                     "vadd.i32 q2, q2, r4\n\t"
                     "vshr.s32 q0, q1, #31\n\t"
                     "vshr.s32 q3, q2, #31\n\t"
                     "vadd.i32 q0, q0, r6\n\t"
                     "vadd.i32 q3, q3, r6\n\t"
                     "vqrdmlah.s32 q0, q1, r5\n\t"
                     "vqrdmlah.s32 q3, q2, r5\n\t"
                     "vqshl.s32 q0, r8\n\t"
                     "vqshl.s32 q3, r8\n\t"
                     "vshr.s32 q0, q0, #24\n\t"
                     "vshr.s32 q3, q3, #24\n\t"
                     "vmovnt.i32 q0, q3\n\t"
                     "vpst\n\t"
                     "vstrbt.16 q0, [%[output]]"
                     : [input] "+l"(input)
                     : [output] "l"(output), [channels] "r"(channels), [params] "r"(params)
                     : "r4", "r5", "r6", "r8", "lr", "q0", "q1", "q2", "q3", TE_PREDICATE_CLOBBER "memory");
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
