/* SPDX-License-Identifier: Apache-2.0 */
/** @file check_program.h
 *  A test program that calls each kernel as the procedure call standard allows at its worst, and looks at all that the
 *  standard wants kept (Arm, "Procedure Call Standard for the Arm Architecture", AAPCS32, "Core registers", "VFP register
 *  usage conventions" and "The Stack"). Python generates the table of cases. */
#ifndef CHECK_PROGRAM_H
#define CHECK_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

#define CHECK_MAX_INPUTS 2
#define CHECK_MAX_STATES 2

/** What a call did that it should not have done. */
enum {
    CHECK_BYTES = 1u << 0,           /**< Its output or a state is not the reference's. */
    CHECK_GUARD = 1u << 1,           /**< It wrote between its buffers. */
    CHECK_INPUT = 1u << 2,           /**< It changed an input. */
    CHECK_REGISTERS = 1u << 3,       /**< r4 to r11 are not as they were. */
    CHECK_FLOAT_REGISTERS = 1u << 4, /**< d8 to d15 are not as they were. */
    CHECK_FPSCR = 1u << 5,           /**< A mode of FPSCR is not as it was, LTPSIZE among them. */
    CHECK_VPR = 1u << 6,             /**< Instructions would still be predicated. */
    CHECK_STACK_POINTER = 1u << 7,   /**< The stack pointer is not as it was. */
    CHECK_ABOVE_STACK = 1u << 8,     /**< It wrote above its arguments. */
    CHECK_STACK_END = 1u << 9,       /**< It used all of the stack, if not more. */
};

/** A call `function(params, inputs..., output, scratch, states...)`. */
typedef struct {
    void (*function)(void);
    const void *params;
    int32_t inputs;
    uint8_t order[CHECK_MAX_INPUTS]; /**< Which of the case's inputs each one is. */
    uint32_t scratch_bytes;          /**< 0 passes a null pointer. */
} check_call;

/** The output over an input, as a kernel promises that it may lie. */
typedef struct {
    uint8_t input;
    uint32_t lead_bytes; /**< How far below it the output begins. */
} check_overlap;

typedef struct {
    int32_t runs; /**< How often it runs, each time with values of its own. */
    int32_t inputs;
    uint32_t input_bytes[CHECK_MAX_INPUTS];
    int32_t states;
    uint32_t state_bytes[CHECK_MAX_STATES];
    uint32_t output_bytes;
    uint32_t skew_bytes; /**< How far activations begin behind a multiple of 16 bytes. */
    check_call reference;
    check_call fast;
    int32_t overlaps;
    check_overlap overlap[CHECK_MAX_INPUTS];
} check_case;

/** What is written of each call in each run. */
typedef struct {
    uint32_t faults;
    uint32_t registers;   /**< Bit n: r(n + 4); bit n + 8: d(n + 8). */
    uint32_t first_wrong; /**< Index of a byte of the output, and the states behind it. */
    uint32_t stack_bytes; /**< Below its stack arguments. */
} check_result;

extern const check_case check_cases[];
extern const int32_t check_case_count;

/** What check_enter() takes and leaves; check_enter.S knows the offsets. */
typedef struct {
    void (*function)(void);
    uint64_t *stack; /**< Its stack arguments. */
    uint32_t arguments[4];
    uint32_t fpscr;
    uint32_t saved[8];     /**< After the call r4 to r11, */
    uint64_t *saved_stack; /**< the stack pointer, */
    uint32_t saved_fpscr;
    uint32_t saved_vpr;
    uint32_t saved_float[16]; /**< and d8 to d15. */
} check_frame;

/** r4 to r11, and d0 to d15, when a kernel is called. */
extern const uint32_t check_registers[8];
extern const uint32_t check_float_registers[32];

/** Calls a function on its own stack with r4 to r11 and d0 to d15 as above, all flags set that the standard leaves
 *  undefined, and two calls of te_on_layer_done() around it, between which modelled cycles are counted. */
void check_enter(check_frame *frame);

#endif /* CHECK_PROGRAM_H */
