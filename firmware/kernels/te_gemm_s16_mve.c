/* SPDX-License-Identifier: Apache-2.0 */
#include "te_gemm_s16_mve.h"

#include "te_assembly.h"
#include "te_dsp.h"
#include "te_mve.h"
#include "te_requantise.h"

#if TE_MVE_ASSEMBLY

/* As in te_gemm_s8_mve.c, two pixels and four channels take all general registers of even number: r0, r2, r4, r6 the sums of
 * the first pixel, r8, r10, r12, r14 of the second. r1 is the stream, r3 and r5 the pixels, r7 the output, r9 the end of the
 * first pixel, r11 channels left, q4 and q5 the range of the outputs. On the stack: 0 and 4 the pixels' begin, 12 where the
 * loop is entered, 16 bytes to the second pixel's outputs. A chunk is 14 instructions for 64 multiply-accumulates, all of 4
 * bytes; weights are widened as they are loaded, which takes a low register as the address. */
__asm__(
    ".syntax unified\n"
    ".macro te_mve_s16_chunk2 mac:req\n"
    "    vldrh.u16 q0, [r3], #16\n"
    "    vldrb.s16 q2, [r1], #8\n"
    "    \\mac r0, q2, q0\n"
    "    vldrh.u16 q1, [r5], #16\n"
    "    \\mac r8, q2, q1\n"
    "    vldrb.s16 q3, [r1], #8\n"
    "    \\mac r2, q3, q0\n"
    "    \\mac r10, q3, q1\n"
    "    vldrb.s16 q2, [r1], #8\n"
    "    \\mac r4, q2, q0\n"
    "    \\mac r12, q2, q1\n"
    "    vldrb.s16 q3, [r1], #8\n"
    "    \\mac r6, q3, q0\n"
    "    \\mac r14, q3, q1\n"
    ".endm\n"
    ".macro te_mve_s16_finish accumulators:req\n"
    "    vadd.i32 \\accumulators, \\accumulators, q2\n"
    "    vrmulh.s32 \\accumulators, \\accumulators, q3\n"
    "    vmax.s32 \\accumulators, \\accumulators, q4\n"
    "    vmin.s32 \\accumulators, \\accumulators, q5\n"
    ".endm\n"

    TE_ASSEMBLY_FUNCTION("te_gemm2_s16_mve")
    "    push {r4-r11, lr}\n"
    "    vpush {d8-d11}\n"
    "    sub sp, sp, #20\n"
    "    mov r7, r3\n"
    "    strd r1, r2, [sp, #0]\n"
    "    ldrd r3, r4, [r0, #0]\n"
    "    ldrd r11, r6, [r0, #8]\n"
    "    str r6, [sp, #16]\n"
    "    ldrd r5, r6, [r0, #16]\n"
    "    vdup.32 q4, r5\n"
    "    vdup.32 q5, r6\n"
    "    add r9, r1, r4, lsl #4\n"
    "    mov r1, r3\n"
    "    adr.w r6, 3f\n"
    "    orr r6, r6, #1\n"
    "    subs r4, r4, #2\n"
    "    blt 1f\n"
    "    and r4, r4, #3\n"
    "    add r4, r4, #1\n"
    "    mov r5, #56\n"
    "    mls r6, r4, r5, r6\n"
    "    sub r6, r6, #4\n"
    "1:\n"
    "    str r6, [sp, #12]\n"
    "1:\n"
    "    ldrd r3, r5, [sp, #0]\n"
    "    te_mve_s16_chunk2 vmladav.s16\n"
    "    ldr.w pc, [sp, #12]\n"
    "    .balign 4\n"
    "2:\n"
    "    .rept 4\n"
    "    te_mve_s16_chunk2 vmladava.s16\n"
    "    .endr\n"
    "    cmp.n r3, r9\n"
    "    bne.n 2b\n"
    "3:\n"
    "    vldrw.u32 q2, [r1], #16\n"
    "    vmov q0[2], q0[0], r0, r4\n"
    "    vmov q0[3], q0[1], r2, r6\n"
    "    vldrw.u32 q3, [r1], #16\n"
    "    vmov q1[2], q1[0], r8, r12\n"
    "    vmov q1[3], q1[1], r10, r14\n"
    "    te_mve_s16_finish q0\n"
    "    te_mve_s16_finish q1\n"
    "    ldr r3, [sp, #16]\n"
    "    add r3, r3, r7\n"
    "    subs r11, r11, #4\n"
    "    blt 4f\n"
    "    vstrh.32 q0, [r7], #8\n"
    "    vstrh.32 q1, [r3]\n"
    "    bgt 1b\n"
    "    b 5f\n"
    "4:\n" /* Fewer than four channels are left. */
    "    add r11, r11, #4\n"
    "    vctp.32 r11\n"
    "    vpstt\n"
    "    vstrht.32 q0, [r7]\n"
    "    vstrht.32 q1, [r3]\n"
    "5:\n"
    "    add sp, sp, #20\n"
    "    vpop {d8-d11}\n"
    "    pop {r4-r11, pc}\n"
    "    .size te_gemm2_s16_mve, . - te_gemm2_s16_mve\n"

    /* One pixel: r0, r2, r4, r6 sums, r1 stream, r3 pixel, r5 its begin, r7 output, r8 channels left, r9 chunks but one. */
    ".macro te_mve_s16_chunk1 mac:req\n"
    "    vldrh.u16 q0, [r3], #16\n"
    "    vldrb.s16 q2, [r1], #8\n"
    "    \\mac r0, q2, q0\n"
    "    vldrb.s16 q3, [r1], #8\n"
    "    \\mac r2, q3, q0\n"
    "    vldrb.s16 q2, [r1], #8\n"
    "    \\mac r4, q2, q0\n"
    "    vldrb.s16 q3, [r1], #8\n"
    "    \\mac r6, q3, q0\n"
    ".endm\n"

    TE_ASSEMBLY_FUNCTION("te_gemm1_s16_mve")
    "    push {r4-r9, lr}\n"
    "    vpush {d8-d11}\n"
    "    sub sp, sp, #4\n"
    "    mov r5, r1\n"
    "    mov r7, r2\n"
    "    ldrd r2, r4, [r0, #16]\n"
    "    vdup.32 q4, r2\n"
    "    vdup.32 q5, r4\n"
    "    ldr r8, [r0, #8]\n"
    "    ldrd r1, r9, [r0, #0]\n"
    "    sub r9, r9, #1\n"
    "1:\n"
    "    mov r3, r5\n"
    "    te_mve_s16_chunk1 vmladav.s16\n"
    "    wls lr, r9, 3f\n"
    "2:\n"
    "    te_mve_s16_chunk1 vmladava.s16\n"
    "    le lr, 2b\n"
    "3:\n"
    "    vldrw.u32 q2, [r1], #16\n"
    "    vmov q0[2], q0[0], r0, r4\n"
    "    vmov q0[3], q0[1], r2, r6\n"
    "    vldrw.u32 q3, [r1], #16\n"
    "    te_mve_s16_finish q0\n"
    "    subs r8, r8, #4\n"
    "    blt 4f\n"
    "    vstrh.32 q0, [r7], #8\n"
    "    bgt 1b\n"
    "    b 5f\n"
    "4:\n"
    "    add r8, r8, #4\n"
    "    vctp.32 r8\n"
    "    vpst\n"
    "    vstrht.32 q0, [r7]\n"
    "5:\n"
    "    add sp, sp, #4\n"
    "    vpop {d8-d11}\n"
    "    pop {r4-r9, pc}\n"
    "    .size te_gemm1_s16_mve, . - te_gemm1_s16_mve\n"
    "    .text\n");

#else /* The same in C, one channel at a time. */

void te_gemm1_s16_mve(const te_gemm_mve *gemm, const void *pixel, void *output) {
    const int32_t weights_words = 8 * gemm->chunks;
    const uint32_t *stream = gemm->packed;
    const int16_t *values = pixel;
    int16_t *outputs = output;
    for (int32_t channel = 0; channel < gemm->out_c; ++channel) {
        const int32_t member = channel % TE_MVE_LANES;
        const int8_t *weights = (const int8_t *)stream + member * TE_MVE_CHUNK_S16;
        const uint32_t *ends = stream + weights_words + member;
        int32_t sum = (int32_t)ends[0];
        for (int32_t chunk = 0; chunk < gemm->chunks; ++chunk) {
            for (int32_t i = 0; i < TE_MVE_CHUNK_S16; ++i) {
                sum += weights[TE_MVE_LANES * TE_MVE_CHUNK_S16 * chunk + i] * values[TE_MVE_CHUNK_S16 * chunk + i];
            }
        }
        sum = te_rounded_high(sum, (int32_t)ends[TE_MVE_LANES]);
        outputs[channel] = te_clamp_s16(sum, gemm->output_min, gemm->output_max);
        if (member == TE_MVE_LANES - 1) {
            stream += weights_words + 2 * TE_MVE_LANES;
        }
    }
}

void te_gemm2_s16_mve(const te_gemm_mve *gemm, const void *first, const void *second, void *output) {
    te_gemm1_s16_mve(gemm, first, output);
    te_gemm1_s16_mve(gemm, second, (int8_t *)output + gemm->out_stride);
}

#endif
