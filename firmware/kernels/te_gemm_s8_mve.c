/* SPDX-License-Identifier: Apache-2.0 */
#include "te_gemm_s8_mve.h"

#include "te_assembly.h"
#include "te_mve.h"
#include "te_nibbles.h"
#include "te_requantise.h"

#if TE_MVE_ASSEMBLY

/* Sums of products of vectors go to general registers of even number. Two pixels and four channels take all eight:
 * r0, r2, r4, r6 the first pixel's, r8, r10, r12, r14 the second's. r1 is the stream, r3 and r5 the pixels, r7 the output,
 * r9 the end of the first pixel, r11 channels left. On the stack: 0 and 4 the pixels' begin, 12 where the loop is entered,
 * 16 bytes to the second pixel's outputs, 24 and 28 the range or addends. A chunk is 14 instructions for 128 multiply-accumulates,
 * all of 4 bytes; the first one sets the accumulators, the loop of four is entered where the others leave a remainder. r14 holds a
 * sum, so that it cannot be a low-overhead loop.
 *
 * A vector is two cycles in one of three pipelines, and the multiplier's is never to wait: so no two instructions of another
 * pipeline stand beside each other, and each chunk loads the first weights of the next to q2, or the biases behind the last
 * one's. What finishes the sums takes turns with what it loads, both pixels' beside each other. */
__asm__(
    ".syntax unified\n"
    ".macro te_mve_chunk2 mac:req\n"
    "    vldrb.u8 q0, [r3], #16\n"
    "    \\mac r0, q2, q0\n"
    "    vldrb.u8 q1, [r5], #16\n"
    "    \\mac r8, q2, q1\n"
    "    vldrw.u32 q3, [r1], #16\n"
    "    \\mac r2, q3, q0\n"
    "    \\mac r10, q3, q1\n"
    "    vldrw.u32 q2, [r1], #16\n"
    "    \\mac r4, q2, q0\n"
    "    \\mac r12, q2, q1\n"
    "    vldrw.u32 q3, [r1], #16\n"
    "    \\mac r6, q3, q0\n"
    "    vldrw.u32 q2, [r1], #16\n"
    "    \\mac r14, q3, q1\n"
    ".endm\n"

    /* The same of weights of 4 bits: a vector holds two channels, and its sum is 16 times the second one's and the first one's. */
    ".macro te_mve_chunk2_int4 mac:req\n"
    "    vldrb.u8 q0, [r3], #16\n"
    "    \\mac r2, q2, q0\n"
    "    vldrb.u8 q1, [r5], #16\n"
    "    \\mac r10, q2, q1\n"
    "    vshl.i8 q3, q2, #4\n"
    "    \\mac r0, q3, q0\n"
    "    vldrw.u32 q2, [r1], #16\n"
    "    \\mac r8, q3, q1\n"
    "    \\mac r6, q2, q0\n"
    "    vshl.i8 q3, q2, #4\n"
    "    \\mac r14, q2, q1\n"
    "    \\mac r4, q3, q0\n"
    "    vldrw.u32 q2, [r1], #16\n"
    "    \\mac r12, q3, q1\n"
    ".endm\n"
    ".macro te_mve_apart_none\n"
    ".endm\n"
    ".macro te_mve_shift_none sums:req\n"
    ".endm\n"
    ".macro te_mve_apart_one\n"
    "    sub r2, r2, r0, asr #4\n"
    "    sub r6, r6, r4, asr #4\n"
    ".endm\n"
    ".macro te_mve_apart_two\n"
    "    te_mve_apart_one\n"
    "    sub r10, r10, r8, asr #4\n"
    "    sub r14, r14, r12, asr #4\n"
    ".endm\n"
    ".macro te_mve_shift_four sums:req\n"
    "    vshr.s32 \\sums, \\sums, #4\n"
    ".endm\n"

    ".macro te_mve_clamp_full outputs:req, range\n"
    ".endm\n"
    ".macro te_mve_clamp_limited outputs:req, range\n"
    "    .ifnb \\range\n"
    "    ldrd r2, r4, [sp, #24]\n"
    "    vdup.32 q5, r2\n"
    "    vdup.32 q6, r4\n"
    "    .endif\n"
    "    vmax.s32 \\outputs, \\outputs, q5\n"
    "    vmin.s32 \\outputs, \\outputs, q6\n"
    ".endm\n"
    ".macro te_mve_addends_none sums:req, addend:req\n"
    ".endm\n"
    ".macro te_mve_addends_two sums:req, addend:req\n"
    "    .ifc \\addend, r0\n"
    "    ldrd r0, r2, [sp, #24]\n"
    "    .endif\n"
    "    vadd.i32 \\sums, \\sums, \\addend\n"
    ".endm\n"
    ".macro te_mve_function name:req\n"
    TE_ASSEMBLY_FUNCTION("\\name")
    ".endm\n"

    ".macro te_mve_gemm2 name:req, clamp:req, addends:req, pair:req, chunk=te_mve_chunk2, apart=te_mve_apart_none, shift=te_mve_shift_none\n"
    "    te_mve_function \\name\n"
    "    push {r4-r11, lr}\n"
    "    vpush {d8-d15}\n"
    "    sub sp, sp, #36\n"
    "    mov r7, r3\n"
    "    strd r1, r2, [sp, #0]\n"
    "    ldrd r3, r4, [r0, #0]\n"
    "    ldrd r11, r6, [r0, #8]\n"
    "    str r6, [sp, #16]\n"
    "    ldrd r5, r6, [r0, #\\pair]\n"
    "    strd r5, r6, [sp, #24]\n"
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
    "    ldrd r3, r5, [sp, #0]\n"
    "    vldrw.u32 q2, [r1], #16\n"
    "    b 1f\n"
    "    .balign 4\n"
    "2:\n"
    "    .rept 4\n"
    "    \\chunk vmladava.s8\n"
    "    .endr\n"
    "    cmp.n r3, r9\n"
    "    bne.n 2b\n"
    "3:\n"
    "    vldrw.u32 q4, [r1], #16\n" /* Multipliers. */
    "    \\apart\n"
    "    vmov q0[2], q0[0], r0, r4\n"
    "    vldrw.u32 q5, [r1], #16\n" /* Roundings. */
    "    vmov q0[3], q0[1], r2, r6\n"
    "    \\shift q0\n"
    "    vadd.i32 q0, q0, q2\n"
    "    \\addends q0, r0\n"
    "    vmov q1[2], q1[0], r8, r12\n"
    "    vshr.s32 q6, q0, #31\n"
    "    vmov q1[3], q1[1], r10, r14\n"
    "    \\shift q1\n"
    "    vadd.i32 q1, q1, q2\n"
    "    \\addends q1, r2\n"
    "    vqrdmulh.s32 q0, q0, q4\n"
    "    vadd.i32 q6, q6, q5\n"
    "    vqrdmulh.s32 q3, q1, q4\n"
    "    vadd.i32 q0, q0, q6\n"
    "    vldrw.u32 q4, [r1], #16\n" /* Shifts. */
    "    vqshl.s32 q0, q0, q4\n"
    "    subs r11, r11, #4\n"
    "    vshr.s32 q7, q1, #31\n"
    "    ble 4f\n"
    "    vadd.i32 q7, q7, q5\n"
    "    vldrw.u32 q2, [r1], #16\n" /* The next filters' first weights. */
    "    vshr.s32 q0, q0, #24\n"
    "    ldr r0, [sp, #16]\n"
    "    vadd.i32 q3, q3, q7\n"
    "    ldrd r3, r5, [sp, #0]\n"
    "    vqshl.s32 q3, q3, q4\n"
    "    add r0, r0, r7\n"
    "    \\clamp q0, range\n"
    "    vstrb.32 q0, [r7], #4\n"
    "    vshr.s32 q3, q3, #24\n"
    "    \\clamp q3\n"
    "    vstrb.32 q3, [r0]\n"
    "1:\n"
    "    \\chunk vmladav.s8\n"
    "    ldr.w pc, [sp, #12]\n"
    "4:\n" /* The last four channels, or fewer. */
    "    vadd.i32 q7, q7, q5\n"
    "    add r11, r11, #4\n"
    "    vshr.s32 q0, q0, #24\n"
    "    ldr r0, [sp, #16]\n"
    "    vadd.i32 q3, q3, q7\n"
    "    vctp.32 r11\n"
    "    vqshl.s32 q3, q3, q4\n"
    "    add r0, r0, r7\n"
    "    \\clamp q0, range\n"
    "    vshr.s32 q3, q3, #24\n"
    "    \\clamp q3\n"
    "    vpstt\n"
    "    vstrbt.32 q0, [r7]\n"
    "    vstrbt.32 q3, [r0]\n"
    "    add sp, sp, #36\n"
    "    vpop {d8-d15}\n"
    "    pop {r4-r11, pc}\n"
    "    .size \\name, . - \\name\n"
    ".endm\n"

    /* One pixel: r0, r2, r4, r6 accumulators, r1 stream, r3 pixel, r5 its begin, r7 output, r8 channels left, r9 chunks but one. */
    ".macro te_mve_chunk1 mac:req\n"
    "    vldrb.u8 q0, [r3], #16\n"
    "    vldrw.u32 q2, [r1], #16\n"
    "    \\mac r0, q2, q0\n"
    "    vldrw.u32 q3, [r1], #16\n"
    "    \\mac r2, q3, q0\n"
    "    vldrw.u32 q2, [r1], #16\n"
    "    \\mac r4, q2, q0\n"
    "    vldrw.u32 q3, [r1], #16\n"
    "    \\mac r6, q3, q0\n"
    ".endm\n"

    ".macro te_mve_chunk1_int4 mac:req\n"
    "    vldrb.u8 q0, [r3], #16\n"
    "    vldrw.u32 q2, [r1], #16\n"
    "    \\mac r2, q2, q0\n"
    "    vshl.i8 q3, q2, #4\n"
    "    vldrw.u32 q2, [r1], #16\n"
    "    \\mac r0, q3, q0\n"
    "    \\mac r6, q2, q0\n"
    "    vshl.i8 q3, q2, #4\n"
    "    \\mac r4, q3, q0\n"
    ".endm\n"
    ".macro te_mve_gemm1 name:req, clamp:req, addends:req, pair:req, chunk=te_mve_chunk1, apart=te_mve_apart_none, shift=te_mve_shift_none\n"
    "    te_mve_function \\name\n"
    "    push {r4-r9, lr}\n"
    "    vpush {d8-d13}\n"
    "    sub sp, sp, #36\n"
    "    mov r5, r1\n"
    "    mov r7, r2\n"
    "    ldrd r2, r4, [r0, #\\pair]\n"
    "    strd r2, r4, [sp, #24]\n"
    "    ldr r8, [r0, #8]\n"
    "    ldrd r1, r9, [r0, #0]\n"
    "    sub r9, r9, #1\n"
    "1:\n"
    "    mov r3, r5\n"
    "    \\chunk vmladav.s8\n"
    "    wls lr, r9, 3f\n"
    "2:\n"
    "    \\chunk vmladava.s8\n"
    "    le lr, 2b\n"
    "3:\n"
    "    vldrw.u32 q2, [r1], #16\n"
    "    \\apart\n"
    "    vmov q0[2], q0[0], r0, r4\n"
    "    vldrw.u32 q4, [r1], #16\n"
    "    vmov q0[3], q0[1], r2, r6\n"
    "    \\shift q0\n"
    "    vadd.i32 q0, q0, q2\n"
    "    \\addends q0, r0\n"
    "    vldrw.u32 q5, [r1], #16\n"
    "    vqrdmulh.s32 q3, q0, q4\n"
    "    vshr.s32 q0, q0, #31\n"
    "    vldrw.u32 q4, [r1], #16\n"
    "    vadd.i32 q0, q0, q5\n"
    "    subs r8, r8, #4\n"
    "    vadd.i32 q0, q0, q3\n"
    "    vqshl.s32 q0, q0, q4\n"
    "    vshr.s32 q0, q0, #24\n"
    "    \\clamp q0, range\n"
    "    blt 4f\n"
    "    vstrb.32 q0, [r7], #4\n"
    "    bgt 1b\n"
    "    b 5f\n"
    "4:\n"
    "    add r8, r8, #4\n"
    "    vctp.32 r8\n"
    "    vpst\n"
    "    vstrbt.32 q0, [r7]\n"
    "5:\n"
    "    add sp, sp, #36\n"
    "    vpop {d8-d13}\n"
    "    pop {r4-r9, pc}\n"
    "    .size \\name, . - \\name\n"
    ".endm\n"

    /* The last argument is where the struct has the clamp range, or the addends. */
    "te_mve_gemm2 te_gemm2_full_s8_mve, te_mve_clamp_full, te_mve_addends_none, 16\n"
    "te_mve_gemm2 te_gemm2_limited_s8_mve, te_mve_clamp_limited, te_mve_addends_none, 16\n"
    "te_mve_gemm2 te_gemm2_plus_s8_mve, te_mve_clamp_full, te_mve_addends_two, 24\n"
    "te_mve_gemm1 te_gemm1_full_s8_mve, te_mve_clamp_full, te_mve_addends_none, 16\n"
    "te_mve_gemm1 te_gemm1_limited_s8_mve, te_mve_clamp_limited, te_mve_addends_none, 16\n"
    "te_mve_gemm1 te_gemm1_plus_s8_mve, te_mve_clamp_full, te_mve_addends_two, 24\n"
    "te_mve_gemm2 te_gemm2_full_s4_mve, te_mve_clamp_full, te_mve_addends_none, 16, te_mve_chunk2_int4, te_mve_apart_two, te_mve_shift_four\n"
    "te_mve_gemm2 te_gemm2_limited_s4_mve, te_mve_clamp_limited, te_mve_addends_none, 16, te_mve_chunk2_int4, te_mve_apart_two, te_mve_shift_four\n"
    "te_mve_gemm1 te_gemm1_full_s4_mve, te_mve_clamp_full, te_mve_addends_none, 16, te_mve_chunk1_int4, te_mve_apart_one, te_mve_shift_four\n"
    "te_mve_gemm1 te_gemm1_limited_s4_mve, te_mve_clamp_limited, te_mve_addends_none, 16, te_mve_chunk1_int4, te_mve_apart_one, te_mve_shift_four\n"
    "    .text\n");

#else /* The same in C, one channel at a time. */

/** Turns sums of a channel of a stream into its output. */
static int8_t output_of(const te_gemm_mve *gemm, const uint32_t *requantisation, int32_t sum) {
    sum = te_add_wrapping(sum, (int32_t)requantisation[0]);
    sum = te_requantise_mve(sum, (int32_t)requantisation[4], (int32_t)requantisation[8], (int32_t)requantisation[12]);
    return te_clamp(sum, gemm->output_min, gemm->output_max);
}

static void multiply(const te_gemm_mve *gemm, const int8_t *pixel, int32_t addend, int8_t *output) {
    const int32_t weights_words = 16 * gemm->chunks;
    const uint32_t *stream = gemm->packed;
    for (int32_t channel = 0; channel < gemm->out_c; ++channel) {
        const int32_t member = channel % 4;
        const int8_t *weights = (const int8_t *)stream + member * TE_MVE_CHUNK;
        int32_t sum = addend;
        for (int32_t chunk = 0; chunk < gemm->chunks; ++chunk) {
            for (int32_t i = 0; i < TE_MVE_CHUNK; ++i) {
                sum += weights[4 * TE_MVE_CHUNK * chunk + i] * pixel[TE_MVE_CHUNK * chunk + i];
            }
        }
        output[channel] = output_of(gemm, stream + weights_words + member, sum);
        if (member == 3) {
            stream += weights_words + 16;
        }
    }
}

/** The same of weights of 4 bits. */
static void multiply_int4(const te_gemm_mve *gemm, const int8_t *pixel, int8_t *output) {
    const int32_t weights_words = 8 * gemm->chunks;
    const uint32_t *stream = gemm->packed;
    for (int32_t channel = 0; channel < gemm->out_c; ++channel) {
        const int32_t member = channel % 4;
        const int8_t *weights = (const int8_t *)stream + (member >> 1) * TE_MVE_CHUNK;
        int32_t sum = 0;
        for (int32_t chunk = 0; chunk < gemm->chunks; ++chunk) {
            for (int32_t i = 0; i < TE_MVE_CHUNK; ++i) {
                const int32_t both = weights[2 * TE_MVE_CHUNK * chunk + i];
                const int32_t first = te_low_nibble((int8_t)both);
                const int32_t weight = (member & 1) == 0 ? first : (both - first) / 16;
                sum += weight * pixel[TE_MVE_CHUNK * chunk + i];
            }
        }
        output[channel] = output_of(gemm, stream + weights_words + member, sum);
        if (member == 3) {
            stream += weights_words + 16;
        }
    }
}

void te_gemm1_limited_s4_mve(const te_gemm_mve *gemm, const void *pixel, void *output) {
    multiply_int4(gemm, pixel, output);
}

void te_gemm1_full_s4_mve(const te_gemm_mve *gemm, const void *pixel, void *output) {
    multiply_int4(gemm, pixel, output);
}

void te_gemm2_limited_s4_mve(const te_gemm_mve *gemm, const void *first, const void *second, void *output) {
    multiply_int4(gemm, first, output);
    multiply_int4(gemm, second, (int8_t *)output + gemm->out_stride);
}

void te_gemm2_full_s4_mve(const te_gemm_mve *gemm, const void *first, const void *second, void *output) {
    te_gemm2_limited_s4_mve(gemm, first, second, output);
}

void te_gemm1_limited_s8_mve(const te_gemm_mve *gemm, const void *pixel, void *output) {
    multiply(gemm, pixel, 0, output);
}

void te_gemm1_plus_s8_mve(const te_gemm_mve *gemm, const void *pixel, void *output) {
    multiply(gemm, pixel, gemm->first_addend, output);
}

void te_gemm2_plus_s8_mve(const te_gemm_mve *gemm, const void *first, const void *second, void *output) {
    multiply(gemm, first, gemm->first_addend, output);
    multiply(gemm, second, gemm->second_addend, (int8_t *)output + gemm->out_stride);
}

void te_gemm1_full_s8_mve(const te_gemm_mve *gemm, const void *pixel, void *output) {
    te_gemm1_limited_s8_mve(gemm, pixel, output);
}

void te_gemm2_limited_s8_mve(const te_gemm_mve *gemm, const void *first, const void *second, void *output) {
    te_gemm1_limited_s8_mve(gemm, first, output);
    te_gemm1_limited_s8_mve(gemm, second, (int8_t *)output + gemm->out_stride);
}

void te_gemm2_full_s8_mve(const te_gemm_mve *gemm, const void *first, const void *second, void *output) {
    te_gemm2_limited_s8_mve(gemm, first, second, output);
}

#endif
