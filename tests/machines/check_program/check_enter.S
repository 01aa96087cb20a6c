/* SPDX-License-Identifier: Apache-2.0 */
/* check_enter() of check_program.h, for every Cortex-M: instructions of Armv6-M, and those of the registers that a core
 * has beside. */
    .syntax unified
    .thumb
    .text

#define FUNCTION 0
#define STACK 4
#define ARGUMENTS 8
#define FPSCR 24
#define SAVED 28
#define SAVED_STACK 60
#define SAVED_FPSCR 64
#define SAVED_VPR 68
#define SAVED_FLOAT 72

    .balign 32
    .global check_enter
    .thumb_func
    .type check_enter, %function
check_enter:
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4-r7}
#ifdef __ARM_FP
    vpush {d8-d15}
    ldr r1, =check_float_registers
    vldm r1, {d0-d15}
    ldr r1, [r0, #FPSCR]
    vmsr fpscr, r1
#endif
#ifdef __ARM_FEATURE_MVE
    ldr r1, =0x5AA5 @ Predicates of nothing, as no block is begun.
    vmsr vpr, r1
#endif
    ldr r1, =check_kept
    mov r2, sp
    str r0, [r1]
    str r2, [r1, #4]
    ldr r1, [r0, #STACK]
    mov sp, r1
    ldr r1, =check_registers
    adds r1, #16
    ldmia r1!, {r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    subs r1, #32
    ldmia r1!, {r4-r7}
    ldr r1, [r0, #FUNCTION]
    mov r12, r1
    ldr r1, =0xF80A0000 @ N, Z, C, V and Q, and two bits of GE.
#ifdef __ARM_FEATURE_DSP
    msr apsr_nzcvqg, r1
#else
    msr apsr_nzcvq, r1
#endif
    ldr r3, [r0, #ARGUMENTS + 12]
    ldr r2, [r0, #ARGUMENTS + 8]
    ldr r1, [r0, #ARGUMENTS + 4]
    ldr r0, [r0, #ARGUMENTS]
    bl te_on_layer_done
    blx r12
    bl te_on_layer_done

    ldr r1, =check_kept @ Nothing but the program counter is sure here.
    ldr r0, [r1]
    mov r2, sp
    str r2, [r0, #SAVED_STACK]
    ldr r2, [r1, #4]
    mov sp, r2
    adds r0, #SAVED
    stmia r0!, {r4-r7}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    stmia r0!, {r4-r7}
    ldr r0, [r1]
#ifdef __ARM_FP
    vmrs r2, fpscr
    str r2, [r0, #SAVED_FPSCR]
#ifdef __ARM_FEATURE_MVE
    vmrs r2, vpr
    str r2, [r0, #SAVED_VPR]
    movs r2, #0
    vmsr vpr, r2
    ldr r2, =0x40000
#else
    movs r2, #0
#endif
    vmsr fpscr, r2
    adds r0, #SAVED_FLOAT
    vstmia r0, {d8-d15}
    vpop {d8-d15}
#endif
    pop {r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4-r7, pc}
    .size check_enter, . - check_enter
    .ltorg

    .balign 32
    .global te_on_layer_done
    .thumb_func
    .type te_on_layer_done, %function
te_on_layer_done:
    bx lr
    .size te_on_layer_done, . - te_on_layer_done

    .bss
    .balign 4
check_kept: @ The frame, and the caller's stack pointer.
    .space 8
