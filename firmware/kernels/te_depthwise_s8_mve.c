/* SPDX-License-Identifier: Apache-2.0 */
#include "te_depthwise_s8_mve.h"

#include "te_assembly.h"
#include "te_mve.h"
#include "te_requantise.h"

#if TE_MVE_ASSEMBLY

/* r0, r2, r4, r6 accumulators of four outputs, r1 bias, r3 multiplier, r5 rounding, r8 left shift, r7 output, r9 bytes to the
 * next four outputs, r10 stream; q3 where the four outputs lie. */
__asm__(
    ".syntax unified\n"
    ".macro te_mve_dw_begin name:req\n"
    TE_ASSEMBLY_FUNCTION("\\name")
    "    push {r4-r11, lr}\n"
    "    vpush {d8-d15}\n"
    "    sub sp, sp, #36\n" /* 0: four words, 16: output, 20: channels left, 24: clamp range, 32: out_w */
    "    mov r10, r1\n"
    "    ldrd r4, r5, [r0, #4]\n"
    "    ldrd r6, r7, [r0, #24]\n"
    "    strd r2, r4, [sp, #16]\n"
    "    strd r6, r7, [sp, #24]\n"
    "    str r5, [sp, #32]\n"
    ".endm\n"
    ".macro te_mve_dw_end name:req\n"
    "    ldr r0, [sp, #20]\n"
    "    add r10, r10, #36\n"
    "    subs r0, r0, #1\n"
    "    str r0, [sp, #20]\n"
    "    bgt 1b\n"
    "    add sp, sp, #36\n"
    "    vpop {d8-d15}\n"
    "    pop {r4-r11, pc}\n"
    "    .size \\name, . - \\name\n"
    ".endm\n"
    ".macro te_mve_dw_requantisation\n"
    "    ldrd r1, r3, [r10, #20]\n"
    "    ldrd r5, r8, [r10, #28]\n"
    "    ldr r7, [sp, #16]\n"
    "    add r0, r7, #1\n"
    "    str r0, [sp, #16]\n"
    ".endm\n"
    ".macro te_mve_dw_full\n"
    ".endm\n"
    ".macro te_mve_dw_limited\n"
    "    ldrd r0, r2, [sp, #24]\n"
    "    vdup.32 q0, r0\n"
    "    vmax.s32 q1, q1, q0\n"
    "    vdup.32 q0, r2\n"
    "    vmin.s32 q1, q1, q0\n"
    ".endm\n"
    ".macro te_mve_dw_finish clamp:req\n"
    "    vadd.i32 q0, q0, r1\n"
    "    vshr.s32 q1, q0, #31\n"
    "    vadd.i32 q1, q1, r5\n"
    "    vqrdmlah.s32 q1, q0, r3\n"
    "    vqshl.s32 q1, r8\n"
    "    vshr.s32 q1, q1, #24\n"
    "    \\clamp\n"
    ".endm\n"

    /* Lanes: outputs x of both rows, then x + 1. q2 addresses of the window, less two columns; q4 to q7 the filter at the
     * second column, at the first one, and the same a row lower. */
    ".macro te_mve_dw2_sums\n"
    "    vldrw.u32 q0, [q2, #128]!\n"
    "    vmladav.s8 r0, q0, q5\n"
    "    vmladav.s8 r2, q0, q7\n"
    "    vmladav.s8 r4, q0, q4\n"
    "    vmladav.s8 r6, q0, q6\n"
    "    vmov q0[2], q0[0], r0, r4\n"
    "    vmov q0[3], q0[1], r2, r6\n"
    ".endm\n"
    ".macro te_mve_dw2 name:req, clamp:req\n"
    "    te_mve_dw_begin \\name\n"
    "    ldrd r4, r5, [r0, #12]\n"
    "    lsl r9, r4, #1\n"
    "    mov r6, #0\n"
    "    add r7, r4, r5\n"
    "    vmov q3[2], q3[0], r6, r4\n"
    "    vmov q3[3], q3[1], r5, r7\n"
    "    ldr r4, [r0, #0]\n"
    "    sub r4, r4, #128\n"
    "    add r5, r4, #64\n"
    "    add r6, r4, #128\n"
    "    add r7, r4, #192\n"
    "    strd r4, r5, [sp, #0]\n"
    "    strd r6, r7, [sp, #8]\n"
    "1:\n"
    "    vldrw.u32 q2, [sp]\n"
    "    mov r0, #4\n"
    "    vadd.i32 q0, q2, r0\n"
    "    vstrw.32 q0, [sp]\n"
    "    vldrw.u32 q4, [r10]\n"
    "    vldrw.u32 q5, [r10, #4]\n"
    "    vshl.i32 q6, q4, #8\n"
    "    vshl.i32 q7, q5, #8\n"
    "    te_mve_dw_requantisation\n"
    "    ldr r11, [sp, #32]\n"
    "    lsr r12, r11, #1\n"
    "    wls lr, r12, 3f\n"
    "2:\n"
    "    te_mve_dw2_sums\n"
    "    te_mve_dw_finish \\clamp\n"
    "    vstrb.32 q1, [r7, q3]\n"
    "    add r7, r7, r9\n"
    "    le lr, 2b\n"
    "3:\n"
    "    lsls r11, r11, #31\n"
    "    beq 4f\n" /* One column is left. */
    "    te_mve_dw2_sums\n"
    "    te_mve_dw_finish \\clamp\n"
    "    mov r0, #2\n"
    "    vctp.32 r0\n"
    "    vpst\n"
    "    vstrbt.32 q1, [r7, q3]\n"
    "4:\n"
    "    te_mve_dw_end \\name\n"
    ".endm\n"

    /* Lanes: outputs x to x + 3. q2 offsets of a window's columns, r11 the window, r12 bytes to the next one, r14 outputs
     * left. */
    ".macro te_mve_dw1 name:req, clamp:req\n"
    "    te_mve_dw_begin \\name\n"
    "    ldr r4, [r0, #12]\n"
    "    ldr r12, [r0, #20]\n"
    "    lsl r9, r4, #2\n"
    "    mov r5, #0\n"
    "    lsl r6, r4, #1\n"
    "    add r7, r6, r4\n"
    "    vmov q3[2], q3[0], r5, r6\n"
    "    vmov q3[3], q3[1], r4, r7\n"
    "    mov r4, #64\n"
    "    mov r6, #128\n"
    "    mov r7, #192\n"
    "    vmov q2[2], q2[0], r5, r6\n"
    "    vmov q2[3], q2[1], r4, r7\n"
    "    ldr r4, [r0, #0]\n"
    "    str r4, [sp, #0]\n"
    "1:\n"
    "    ldr r11, [sp, #0]\n"
    "    add r0, r11, #4\n"
    "    str r0, [sp, #0]\n"
    "    vldrw.u32 q5, [r10, #4]\n"
    "    te_mve_dw_requantisation\n"
    "    ldr r14, [sp, #32]\n"
    "2:\n"
    "    .irp sum, r0, r2, r4, r6\n"
    "    vldrw.u32 q0, [r11, q2]\n"
    "    add r11, r11, r12\n"
    "    vmladav.s8 \\sum, q0, q5\n"
    "    .endr\n"
    "    vmov q0[2], q0[0], r0, r4\n"
    "    vmov q0[3], q0[1], r2, r6\n"
    "    te_mve_dw_finish \\clamp\n"
    "    vctp.32 r14\n"
    "    vpst\n"
    "    vstrbt.32 q1, [r7, q3]\n"
    "    add r7, r7, r9\n"
    "    subs r14, r14, #4\n"
    "    bgt 2b\n"
    "    te_mve_dw_end \\name\n"
    ".endm\n"

    "te_mve_dw2 te_depthwise2_full_s8_mve, te_mve_dw_full\n"
    "te_mve_dw2 te_depthwise2_limited_s8_mve, te_mve_dw_limited\n"
    "te_mve_dw1 te_depthwise1_full_s8_mve, te_mve_dw_full\n"
    "te_mve_dw1 te_depthwise1_limited_s8_mve, te_mve_dw_limited\n"

    TE_ASSEMBLY_FUNCTION("te_load_tile_s8_mve")
    "    push {r4-r11, lr}\n"
    "    ldr r12, [sp, #36]\n"
    "    vctp.8 r12\n"
    "    mov r12, r0\n"
    "    mov lr, r3\n"
    "    ldm r2, {r4-r7}\n"
    "    ldm r1, {r8-r11}\n"
    "    dls lr, lr\n"
    "1:\n"
    "    vpstttt\n"
    "    vldrbt.u8 q0, [r8]\n"
    "    vldrbt.u8 q1, [r9]\n"
    "    vldrbt.u8 q2, [r10]\n"
    "    vldrbt.u8 q3, [r11]\n"
    "    add r8, r8, r4\n"
    "    add r9, r9, r5\n"
    "    add r10, r10, r6\n"
    "    add r11, r11, r7\n"
    "    vst40.8 {q0, q1, q2, q3}, [r12]\n"
    "    vst41.8 {q0, q1, q2, q3}, [r12]\n"
    "    vst42.8 {q0, q1, q2, q3}, [r12]\n"
    "    vst43.8 {q0, q1, q2, q3}, [r12]!\n"
    "    le lr, 1b\n"
    "    pop {r4-r11, pc}\n"
    "    .size te_load_tile_s8_mve, . - te_load_tile_s8_mve\n"
    "    .text\n");

#else /* The same in C, one output at a time. */

static int32_t tap(const uint32_t *stream, int32_t column, int32_t row) {
    return (int8_t)(uint8_t)((stream[1 + column] >> (8 * row)) & 0xffu);
}

/* `taps` is the side of the window: of a pair of rows a column less lies in the tile. */
static int8_t output_of(const te_depthwise_stripe *stripe, const uint32_t *stream, const int8_t *window, int32_t taps) {
    int32_t sum = 0;
    for (int32_t column = 0; column < taps; ++column) {
        for (int32_t row = 0; row < taps; ++row) {
            sum += tap(stream, column, row) * window[column * TE_TILE_COLUMN_BYTES + row];
        }
    }
    sum = te_requantise_mve(te_add_wrapping(sum, (int32_t)stream[5]), (int32_t)stream[6], (int32_t)stream[7],
                            (int32_t)stream[8]);
    return te_clamp(sum, stripe->output_min, stripe->output_max);
}

void te_depthwise1_limited_s8_mve(const te_depthwise_stripe *stripe, const uint32_t *stream, int8_t *output) {
    for (int32_t channel = 0; channel < stripe->channels; ++channel) {
        const int8_t *window = stripe->tile + TE_TILE_ROWS * channel;
        for (int32_t x = 0; x < stripe->out_w; ++x) {
            output[channel + x * stripe->out_c] = output_of(stripe, stream, window, TE_TILE_ROWS);
            window += stripe->column_step;
        }
        stream += TE_DEPTHWISE_STREAM_WORDS;
    }
}

void te_depthwise1_full_s8_mve(const te_depthwise_stripe *stripe, const uint32_t *stream, int8_t *output) {
    te_depthwise1_limited_s8_mve(stripe, stream, output);
}

void te_depthwise2_limited_s8_mve(const te_depthwise_stripe *stripe, const uint32_t *stream, int8_t *output) {
    for (int32_t channel = 0; channel < stripe->channels; ++channel) {
        for (int32_t x = 0; x < stripe->out_w; ++x) {
            const int8_t *window = stripe->tile + TE_TILE_ROWS * channel + x * TE_TILE_COLUMN_BYTES;
            for (int32_t y = 0; y < 2; ++y) {
                output[channel + x * stripe->out_c + y * stripe->out_row] =
                    output_of(stripe, stream, window + y, TE_TILE_ROWS - 1);
            }
        }
        stream += TE_DEPTHWISE_STREAM_WORDS;
    }
}

void te_depthwise2_full_s8_mve(const te_depthwise_stripe *stripe, const uint32_t *stream, int8_t *output) {
    te_depthwise2_limited_s8_mve(stripe, stream, output);
}

void te_load_tile_s8_mve(int8_t *tile, const int8_t *const rows[TE_TILE_ROWS], const int32_t steps[TE_TILE_ROWS],
                         int32_t columns, int32_t channels) {
    for (int32_t column = 0; column < columns; ++column) {
        for (int32_t channel = 0; channel < TE_TILE_CHANNELS; ++channel) {
            for (int32_t row = 0; row < TE_TILE_ROWS; ++row) {
                *tile++ = channel < channels ? rows[row][column * steps[row] + channel] : 0;
            }
        }
    }
}

#endif
