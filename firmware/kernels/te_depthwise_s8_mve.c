/* SPDX-License-Identifier: Apache-2.0 */
#include "te_depthwise_s8_mve.h"

#include "te_assembly.h"
#include "te_mve.h"
#include "te_nibbles.h"
#include "te_requantise.h"

#if TE_MVE_ASSEMBLY

/* r0, r2, r4, r6 accumulators of four outputs, r1 bias, r3 multiplier, r5 rounding, r8 left shift, r7 output, r9 bytes to the
 * next four outputs, r10 stream; q3 where the four outputs lie. Sums are finished while the next four are made. */
__asm__(
    ".syntax unified\n"
    ".macro te_mve_dw_begin name:req\n"
    TE_ASSEMBLY_FUNCTION("\\name")
    "    push {r4-r11, lr}\n"
    "    vpush {d8-d15}\n"
    "    sub sp, sp, #36\n" /* 0: four words, 16: output, 20: channels left, 24: clamp range, 32: fours of outputs but one */
    "    mov r10, r1\n"
    "    ldrd r4, r11, [r0, #4]\n"
    "    ldrd r6, r7, [r0, #24]\n"
    "    strd r2, r4, [sp, #16]\n"
    "    strd r6, r7, [sp, #24]\n"
    ".endm\n"
    /* The last sums of a channel. */
    ".macro te_mve_dw_end name:req, sums:req, outputs:req, free:req, clamp:req, lanes:req, bits:req\n"
    "    vshr.s32 \\outputs, \\sums, #31\n"
    "    ldr r0, [sp, #20]\n"
    "    vadd.i32 \\outputs, \\outputs, r5\n"
    "    vqrdmlah.s32 \\outputs, \\sums, r3\n"
    "    subs.n r0, r0, #1\n"
    "    vqshl.s32 \\outputs, r8\n"
    "    str r0, [sp, #20]\n"
    "    add r10, r10, #3 * \\bits + 12\n"
    "    vshr.s32 \\outputs, \\outputs, #24\n"
    "    \\clamp \\outputs, \\free\n"
    "    vctp.32 \\lanes\n"
    "    vpst\n"
    "    vstrbt.32 \\outputs, [r7, q3]\n"
    "    bgt 1b\n"
    "    add sp, sp, #36\n"
    "    vpop {d8-d15}\n"
    "    pop {r4-r11, pc}\n"
    "    .size \\name, . - \\name\n"
    ".endm\n"
    /* The filter's columns to q5. A byte times 16 is its lower half where only the upper one counts. */
    ".macro te_mve_dw_take_apart\n"
    "    ldrd r0, r2, [r10]\n"
    "    lsl r4, r0, #4\n"
    "    lsl r6, r2, #4\n"
    "    vmov q5[2], q5[0], r4, r0\n"
    "    vmov q5[3], q5[1], r6, r2\n"
    "    vshr.s8 q5, q5, #4\n"
    ".endm\n"
    ".macro te_mve_dw_full outputs:req, free:req\n"
    ".endm\n"
    ".macro te_mve_dw_limited outputs:req, free:req\n"
    "    ldrd r0, r2, [sp, #24]\n"
    "    vdup.32 \\free, r0\n"
    "    vmax.s32 \\outputs, \\outputs, \\free\n"
    "    vdup.32 \\free, r2\n"
    "    vmin.s32 \\outputs, \\outputs, \\free\n"
    ".endm\n"
    /* Lanes: outputs x of both rows, then x + 1. q2 addresses of the window, less two columns; q4 to q7 the filter at the
     * second column, at the first one, and the same a row lower; r11 windows but one, r12 outputs of the last. There is no
     * vector left for a clamp range beside a window. */
    ".macro te_mve_dw2_finish_and_load_full\n"
    "    vshr.s32 q0, q1, #31\n"
    "    mov.n r0, r1\n"
    "    mov.n r2, r1\n"
    "    vadd.i32 q0, q0, r5\n"
    "    vqrdmlah.s32 q0, q1, r3\n"
    "    vldrw.u32 q1, [q2, #128]!\n"
    "    vqshl.s32 q0, r8\n"
    "    mov.n r4, r1\n"
    "    mov.n r6, r1\n"
    "    vmladava.s8 r0, q1, q5\n"
    "    vshr.s32 q0, q0, #24\n"
    "    vmladava.s8 r4, q1, q4\n"
    "    vstrb.32 q0, [r7, q3]\n"
    ".endm\n"
    ".macro te_mve_dw2_finish_and_load_limited\n"
    "    vshr.s32 q0, q1, #31\n"
    "    vadd.i32 q0, q0, r5\n"
    "    vqrdmlah.s32 q0, q1, r3\n"
    "    mov.n r4, r1\n"
    "    mov.n r6, r1\n"
    "    vqshl.s32 q0, r8\n"
    "    vshr.s32 q0, q0, #24\n"
    "    te_mve_dw_limited q0, q1\n"
    "    vldrw.u32 q1, [q2, #128]!\n"
    "    mov.n r0, r1\n"
    "    mov.n r2, r1\n"
    "    vstrb.32 q0, [r7, q3]\n"
    "    vmladava.s8 r0, q1, q5\n"
    "    vmladava.s8 r4, q1, q4\n"
    ".endm\n"
    ".macro te_mve_dw2_rest_of_sums\n"
    "    vmladava.s8 r2, q1, q7\n"
    "    vmladava.s8 r6, q1, q6\n"
    "    vmov q1[2], q1[0], r0, r4\n"
    "    vmov q1[3], q1[1], r2, r6\n"
    ".endm\n"
    ".macro te_mve_dw2 name:req, finish_and_load:req, clamp:req, bits=8\n"
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
    "    sub r11, r11, #1\n"
    "    and r12, r11, #1\n"
    "    lsr r11, r11, #1\n"
    "    add r12, r12, #1\n"
    "    lsl r12, r12, #1\n"
    "1:\n"
    "    vldrw.u32 q2, [sp]\n"
    "    .if \\bits == 4\n"
    "    te_mve_dw_take_apart\n"
    "    .endif\n"
    "    movs.n r0, #4\n"
    "    ldrd r1, r3, [r10, #3 * \\bits - 4]\n"
    "    vadd.i32 q0, q2, r0\n"
    "    .if \\bits == 4\n"
    "    movs.n r0, #0\n"
    "    vmov q4, q5\n"
    "    .else\n"
    "    vldrw.u32 q4, [r10]\n"
    "    .endif\n"
    "    ldrd r5, r8, [r10, #3 * \\bits + 4]\n"
    "    vldrw.u32 q1, [q2, #128]!\n"
    "    .if \\bits == 4\n"
    "    vshlc q4, r0, #32\n"
    "    .endif\n"
    "    vshl.i32 q6, q4, #8\n"
    "    .if \\bits == 8\n"
    "    vldrw.u32 q5, [r10, #4]\n"
    "    .endif\n"
    "    ldr r7, [sp, #16]\n"
    "    mov.n r0, r1\n"
    "    mov.n r2, r1\n"
    "    vmladava.s8 r0, q1, q5\n"
    "    vshl.i32 q7, q5, #8\n"
    "    mov.n r4, r1\n"
    "    mov.n r6, r1\n"
    "    vmladava.s8 r4, q1, q4\n"
    "    vstrw.32 q0, [sp]\n"
    "    add lr, r7, #1\n"
    "    te_mve_dw2_rest_of_sums\n"
    "    str lr, [sp, #16]\n"
    "    wls lr, r11, 3f\n"
    "2:\n"
    "    \\finish_and_load\n"
    "    add.n r7, r7, r9\n"
    "    te_mve_dw2_rest_of_sums\n"
    "    le lr, 2b\n"
    "3:\n"
    "    te_mve_dw_end \\name, q1, q0, q1, \\clamp, r12, \\bits\n"
    ".endm\n"

    /* Lanes: outputs x to x + 3. q2 offsets of a window's columns, r11 the window, r12 bytes to the next one; q4 sums, of
     * which q6 becomes outputs. On the stack: 0 the channel's first window, 4 outputs of the last four. */
    ".macro te_mve_dw1 name:req, clamp:req, bits=8\n"
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
    "    sub r11, r11, #1\n"
    "    and r5, r11, #3\n"
    "    lsr r6, r11, #2\n"
    "    add r5, r5, #1\n"
    "    strd r4, r5, [sp, #0]\n"
    "    str r6, [sp, #32]\n"
    "1:\n"
    "    ldr r11, [sp, #0]\n"
    "    ldrd r1, r3, [r10, #3 * \\bits - 4]\n"
    "    .if \\bits == 4\n"
    "    te_mve_dw_take_apart\n"
    "    .else\n"
    "    vldrw.u32 q5, [r10, #4]\n"
    "    .endif\n"
    "    add r0, r11, #4\n"
    "    vldrw.u32 q0, [r11, q2]\n"
    "    str r0, [sp, #0]\n"
    "    add.n r11, r11, r12\n"
    "    mov.n r0, r1\n"
    "    vldrw.u32 q1, [r11, q2]\n"
    "    vmladava.s8 r0, q0, q5\n"
    "    add.n r11, r11, r12\n"
    "    mov.n r2, r1\n"
    "    vldrw.u32 q0, [r11, q2]\n"
    "    vmladava.s8 r2, q1, q5\n"
    "    add.n r11, r11, r12\n"
    "    mov.n r4, r1\n"
    "    vldrw.u32 q1, [r11, q2]\n"
    "    mov.n r6, r1\n"
    "    vmladava.s8 r4, q0, q5\n"
    "    add.n r11, r11, r12\n"
    "    ldr r7, [sp, #16]\n"
    "    vmladava.s8 r6, q1, q5\n"
    "    ldrd r5, r8, [r10, #3 * \\bits + 4]\n"
    "    vmov q4[2], q4[0], r0, r4\n"
    "    ldr r0, [sp, #32]\n"
    "    vmov q4[3], q4[1], r2, r6\n"
    "    add r2, r7, #1\n"
    "    str r2, [sp, #16]\n"
    "    wls lr, r0, 3f\n"
    "2:\n"
    "    vshr.s32 q6, q4, #31\n"
    "    vldrw.u32 q0, [r11, q2]\n"
    "    add.n r11, r11, r12\n"
    "    mov.n r0, r1\n"
    "    vadd.i32 q6, q6, r5\n"
    "    vldrw.u32 q1, [r11, q2]\n"
    "    add.n r11, r11, r12\n"
    "    mov.n r2, r1\n"
    "    vqrdmlah.s32 q6, q4, r3\n"
    "    mov.n r4, r1\n"
    "    mov.n r6, r1\n"
    "    vmladava.s8 r0, q0, q5\n"
    "    vldrw.u32 q0, [r11, q2]\n"
    "    vmladava.s8 r2, q1, q5\n"
    "    add.n r11, r11, r12\n"
    "    vqshl.s32 q6, r8\n"
    "    vldrw.u32 q1, [r11, q2]\n"
    "    vmladava.s8 r4, q0, q5\n"
    "    add.n r11, r11, r12\n"
    "    vshr.s32 q6, q6, #24\n"
    "    vmladava.s8 r6, q1, q5\n"
    "    vmov q4[2], q4[0], r0, r4\n"
    "    vmov q4[3], q4[1], r2, r6\n"
    "    \\clamp q6, q0\n"
    "    vstrb.32 q6, [r7, q3]\n"
    "    add.n r7, r7, r9\n"
    "    le lr, 2b\n"
    "3:\n"
    "    ldr r4, [sp, #4]\n"
    "    te_mve_dw_end \\name, q4, q6, q0, \\clamp, r4, \\bits\n"
    ".endm\n"

    "te_mve_dw2 te_depthwise2_full_s8_mve, te_mve_dw2_finish_and_load_full, te_mve_dw_full\n"
    "te_mve_dw2 te_depthwise2_limited_s8_mve, te_mve_dw2_finish_and_load_limited, te_mve_dw_limited\n"
    "te_mve_dw1 te_depthwise1_full_s8_mve, te_mve_dw_full\n"
    "te_mve_dw1 te_depthwise1_limited_s8_mve, te_mve_dw_limited\n"
    "te_mve_dw2 te_depthwise2_full_s4_mve, te_mve_dw2_finish_and_load_full, te_mve_dw_full, 4\n"
    "te_mve_dw2 te_depthwise2_limited_s4_mve, te_mve_dw2_finish_and_load_limited, te_mve_dw_limited, 4\n"
    "te_mve_dw1 te_depthwise1_full_s4_mve, te_mve_dw_full, 4\n"
    "te_mve_dw1 te_depthwise1_limited_s4_mve, te_mve_dw_limited, 4\n"

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

/** Column by column, as they lie in the vector of a filter. */
static void take_apart(const uint32_t *stream, int32_t bits, int8_t taps[TE_TILE_ROWS * TE_TILE_ROWS]) {
    const int8_t *const bytes = (const int8_t *)stream;
    for (int32_t tap = 0; tap < TE_TILE_ROWS * TE_TILE_ROWS; ++tap) {
        const int8_t both = bytes[tap % 8];
        taps[tap] = bits == 8 ? bytes[TE_TILE_ROWS + tap] : (int8_t)(tap < 8 ? te_low_nibble(both) : te_high_nibble(both));
    }
}

/** One output. `side` is that of the window: of a pair of rows a column less lies in the tile. */
static int8_t output_of(const te_depthwise_stripe *stripe, const int8_t *taps, const uint32_t *constants,
                        const int8_t *window, int32_t side) {
    int32_t sum = 0;
    for (int32_t column = 0; column < side; ++column) {
        for (int32_t row = 0; row < side; ++row) {
            sum += taps[column * TE_TILE_ROWS + row] * window[column * TE_TILE_COLUMN_BYTES + row];
        }
    }
    sum = te_requantise_mve(te_add_wrapping(sum, (int32_t)constants[0]), (int32_t)constants[1], (int32_t)constants[2],
                            (int32_t)constants[3]);
    return te_clamp(sum, stripe->output_min, stripe->output_max);
}

/** `rows` rows of outputs by weights of so many bits. */
static void make_rows(const te_depthwise_stripe *stripe, const uint32_t *stream, int32_t rows, int32_t bits, int8_t *output) {
    const int32_t words = bits == 8 ? TE_DEPTHWISE_STREAM_WORDS : TE_DEPTHWISE_S4_STREAM_WORDS;
    const int32_t step = rows == 2 ? TE_TILE_COLUMN_BYTES : stripe->column_step;
    for (int32_t channel = 0; channel < stripe->channels; ++channel) {
        int8_t taps[TE_TILE_ROWS * TE_TILE_ROWS];
        take_apart(stream, bits, taps);
        for (int32_t x = 0; x < stripe->out_w; ++x) {
            const int8_t *const window = stripe->tile + TE_TILE_ROWS * channel + x * step;
            for (int32_t y = 0; y < rows; ++y) {
                output[channel + x * stripe->out_c + y * stripe->out_row] =
                    output_of(stripe, taps, stream + words - 4, window + y, TE_TILE_ROWS + 1 - rows);
            }
        }
        stream += words;
    }
}

void te_depthwise1_limited_s8_mve(const te_depthwise_stripe *stripe, const uint32_t *stream, int8_t *output) {
    make_rows(stripe, stream, 1, 8, output);
}

void te_depthwise1_full_s8_mve(const te_depthwise_stripe *stripe, const uint32_t *stream, int8_t *output) {
    make_rows(stripe, stream, 1, 8, output);
}

void te_depthwise2_limited_s8_mve(const te_depthwise_stripe *stripe, const uint32_t *stream, int8_t *output) {
    make_rows(stripe, stream, 2, 8, output);
}

void te_depthwise2_full_s8_mve(const te_depthwise_stripe *stripe, const uint32_t *stream, int8_t *output) {
    make_rows(stripe, stream, 2, 8, output);
}

void te_depthwise1_limited_s4_mve(const te_depthwise_stripe *stripe, const uint32_t *stream, int8_t *output) {
    make_rows(stripe, stream, 1, 4, output);
}

void te_depthwise1_full_s4_mve(const te_depthwise_stripe *stripe, const uint32_t *stream, int8_t *output) {
    make_rows(stripe, stream, 1, 4, output);
}

void te_depthwise2_limited_s4_mve(const te_depthwise_stripe *stripe, const uint32_t *stream, int8_t *output) {
    make_rows(stripe, stream, 2, 4, output);
}

void te_depthwise2_full_s4_mve(const te_depthwise_stripe *stripe, const uint32_t *stream, int8_t *output) {
    make_rows(stripe, stream, 2, 4, output);
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
