/* SPDX-License-Identifier: Apache-2.0 */
/** @file check_program.c
 *  Runs the cases in order: the reference, the fast kernel, and that with its output over its inputs. Appends to the file
 *  of outputs a check_result each.
 *
 *  Memory around buffers, outputs and scratch hold other bytes in the reference's call than in the others, so that what is
 *  read there or never written makes a difference. */
#include "check_program.h"

#include <stdbool.h>
#include <string.h>

#include "case_program.h"

#define CHECK_GUARD_BYTES 32u
#define CHECK_ALIGNMENT 16u
#define CHECK_MAX_BUFFERS (CHECK_MAX_INPUTS + CHECK_MAX_STATES + 2)
/* Scratch is promised to begin at a multiple of 4. */
#define CHECK_SCRATCH_SKEW_BYTES 4u

#define CHECK_STACK_WORDS 256 /* Of 8 bytes. */
#define CHECK_ABOVE_WORDS 8
#define CHECK_LAST_WORDS 16 /* Below them there may be no room for one more function. */
#define CHECK_ARGUMENT_WORDS 2
#define CHECK_STACK_PAINT 0xC5C5A3A3C5C5A3A3u
#define CHECK_REGISTER_ARGUMENTS 4

#ifdef __ARM_FEATURE_MVE
#define CHECK_LTPSIZE 0x40000u /* 4: nothing is predicated by a loop. */
#else
#define CHECK_LTPSIZE 0u
#endif
#define CHECK_FPSCR_FLAGS 0xF800009Fu /* Conditions, saturation and exceptions, which are nobody's. */
#define CHECK_FPSCR_MODES 0x07F79F00u
#define CHECK_VPR_MASKS 0x00FF0000u

void te_runtime_invoke(void);

const uint32_t check_registers[8] = {0x4A5B6C74u, 0x5A6B7C85u, 0x6A7B8C96u, 0x7A8B9CA7u,
                                     0x8A9BACB8u, 0x9AABBCC9u, 0xAABBCCDAu, 0xBACBDCEBu};
/* Numbers of the upper half of the memory, which no load from them would find. */
const uint32_t check_float_registers[32] = {
    0xC0110100u, 0xC0110203u, 0xC0110406u, 0xC0110609u, 0xC011080Cu, 0xC0110A0Fu, 0xC0110C12u, 0xC0110E15u,
    0xC0111018u, 0xC011121Bu, 0xC011141Eu, 0xC0111621u, 0xC0111824u, 0xC0111A27u, 0xC0111C2Au, 0xC0111E2Du,
    0xC0112030u, 0xC0112233u, 0xC0112436u, 0xC0112639u, 0xC011283Cu, 0xC0112A3Fu, 0xC0112C42u, 0xC0112E45u,
    0xC0113048u, 0xC011324Bu, 0xC011344Eu, 0xC0113651u, 0xC0113854u, 0xC0113A57u, 0xC0113C5Au, 0xC0113E5Du,
};

typedef struct {
    uint32_t first;
    uint32_t bytes;
} check_buffer;

/* Where everything of a call is. */
typedef struct {
    check_buffer inputs[CHECK_MAX_INPUTS];
    check_buffer states[CHECK_MAX_STATES];
    check_buffer output;
    check_buffer scratch;
    uint32_t end;
} check_layout;

/* CHECK_*_BYTES hold the largest case. */
static union {
    uint64_t alignment[2];
    uint8_t bytes[CHECK_HEAP_BYTES + CHECK_MAX_BUFFERS * (CHECK_GUARD_BYTES + 2u * CHECK_ALIGNMENT) + CHECK_GUARD_BYTES];
} heap __attribute__((aligned(16)));
static uint8_t sources[CHECK_SOURCE_BYTES];     /* Inputs and states. */
static uint8_t expected[CHECK_EXPECTED_BYTES]; /* Output and states. */
static uint64_t stack[CHECK_STACK_WORDS + CHECK_ARGUMENT_WORDS + CHECK_ABOVE_WORDS];

/* --- Buffers -------------------------------------------------------------------------------------------------------- */

static check_buffer place(uint32_t *end, uint32_t bytes, uint32_t skew) {
    const uint32_t aligned = (*end + CHECK_GUARD_BYTES + CHECK_ALIGNMENT - 1u) & ~(CHECK_ALIGNMENT - 1u);
    const check_buffer buffer = {aligned + skew, bytes};
    *end = aligned + skew + bytes;
    return buffer;
}

static check_layout lay_out(const check_case *entry, const check_call *call, const check_overlap *overlap) {
    check_layout layout = {.end = 0};
    for (int32_t i = 0; i < entry->inputs; i++) {
        if (overlap != NULL && overlap->input == i) {
            const uint32_t over = overlap->lead_bytes + entry->input_bytes[i];
            const uint32_t most = over > entry->output_bytes ? over : entry->output_bytes;
            layout.output = place(&layout.end, most, entry->skew_bytes);
            layout.output.bytes = entry->output_bytes;
            layout.inputs[i] = (check_buffer){layout.output.first + overlap->lead_bytes, entry->input_bytes[i]};
        } else {
            layout.inputs[i] = place(&layout.end, entry->input_bytes[i], entry->skew_bytes);
        }
    }
    for (int32_t i = 0; i < entry->states; i++) {
        layout.states[i] = place(&layout.end, entry->state_bytes[i], entry->skew_bytes);
    }
    layout.scratch = place(&layout.end, call->scratch_bytes, CHECK_SCRATCH_SKEW_BYTES);
    if (overlap == NULL) {
        layout.output = place(&layout.end, entry->output_bytes, entry->skew_bytes);
    }
    layout.end += CHECK_GUARD_BYTES;
    return layout;
}

static void fill(const check_case *entry, const check_layout *layout, uint8_t guard) {
    const uint8_t *source = sources;
    memset(heap.bytes, guard, layout->end);
    memset(heap.bytes + layout->output.first, ~guard, layout->output.bytes);
    memset(heap.bytes + layout->scratch.first, ~guard, layout->scratch.bytes);
    for (int32_t i = 0; i < entry->inputs; i++) {
        memcpy(heap.bytes + layout->inputs[i].first, source, entry->input_bytes[i]);
        source += entry->input_bytes[i];
    }
    for (int32_t i = 0; i < entry->states; i++) {
        memcpy(heap.bytes + layout->states[i].first, source, entry->state_bytes[i]);
        source += entry->state_bytes[i];
    }
}

static void erase(check_buffer buffer, uint8_t guard) {
    memset(heap.bytes + buffer.first, guard, buffer.bytes);
}

/* Only after all else has been looked at. */
static bool guards_are_whole(const check_case *entry, const check_layout *layout, uint8_t guard) {
    for (int32_t i = 0; i < entry->inputs; i++) {
        erase(layout->inputs[i], guard);
    }
    for (int32_t i = 0; i < entry->states; i++) {
        erase(layout->states[i], guard);
    }
    erase(layout->scratch, guard);
    erase(layout->output, guard);
    for (uint32_t i = 0; i < layout->end; i++) {
        if (heap.bytes[i] != guard) {
            return false;
        }
    }
    return true;
}

static bool inputs_are_whole(const check_case *entry, const check_layout *layout, const check_overlap *overlap) {
    const uint8_t *source = sources;
    for (int32_t i = 0; i < entry->inputs; i++) {
        const bool lost = overlap != NULL && overlap->input == i;
        if (!lost && memcmp(heap.bytes + layout->inputs[i].first, source, entry->input_bytes[i]) != 0) {
            return false;
        }
        source += entry->input_bytes[i];
    }
    return true;
}

static void compare(const uint8_t *made, const uint8_t *wanted, uint32_t bytes, uint32_t at, check_result *result) {
    for (uint32_t i = 0; i < bytes; i++) {
        if (made[i] != wanted[i] && (result->faults & CHECK_BYTES) == 0u) {
            result->faults |= CHECK_BYTES;
            result->first_wrong = at + i;
        }
    }
}

/* Of the reference, what is wanted of the others. */
static void keep_or_compare(const check_case *entry, const check_layout *layout, bool keep, check_result *result) {
    check_buffer buffers[1 + CHECK_MAX_STATES] = {layout->output};
    uint32_t at = 0;
    memcpy(buffers + 1, layout->states, sizeof layout->states);
    for (int32_t i = 0; i <= entry->states; i++) {
        const uint8_t *made = heap.bytes + buffers[i].first;
        if (keep) {
            memcpy(expected + at, made, buffers[i].bytes);
        } else {
            compare(made, expected + at, buffers[i].bytes, at, result);
        }
        at += buffers[i].bytes;
    }
}

/* --- Registers and the stack ---------------------------------------------------------------------------------------- */

static void look_at_registers(const check_frame *frame, check_result *result) {
    for (uint32_t i = 0; i < 8u; i++) {
        if (frame->saved[i] != check_registers[i]) {
            result->faults |= CHECK_REGISTERS;
            result->registers |= 1u << i;
        }
    }
#ifdef __ARM_FP
    for (uint32_t i = 0; i < 16u; i++) {
        if (frame->saved_float[i] != check_float_registers[16u + i]) {
            result->faults |= CHECK_FLOAT_REGISTERS;
            result->registers |= 1u << (8u + i / 2u);
        }
    }
    if (((frame->saved_fpscr ^ frame->fpscr) & CHECK_FPSCR_MODES) != 0u) {
        result->faults |= CHECK_FPSCR;
    }
#endif
#ifdef __ARM_FEATURE_MVE
    if ((frame->saved_vpr & CHECK_VPR_MASKS) != 0u) {
        result->faults |= CHECK_VPR;
    }
#endif
}

static void look_at_stack(const check_frame *frame, check_result *result) {
    int32_t lowest = 0;
    while (lowest < CHECK_STACK_WORDS && stack[lowest] == CHECK_STACK_PAINT) {
        lowest++;
    }
    result->stack_bytes = (uint32_t)(CHECK_STACK_WORDS - lowest) * (uint32_t)sizeof stack[0];
    if (lowest < CHECK_STACK_WORDS && (uint32_t)stack[lowest] == (uint32_t)CHECK_STACK_PAINT) {
        result->stack_bytes -= (uint32_t)sizeof(uint32_t);
    }
    if (lowest < CHECK_LAST_WORDS) {
        result->faults |= CHECK_STACK_END;
    }
    if (frame->saved_stack != frame->stack) {
        result->faults |= CHECK_STACK_POINTER;
    }
    for (int32_t i = 0; i < CHECK_ABOVE_WORDS; i++) {
        if (stack[CHECK_STACK_WORDS + CHECK_ARGUMENT_WORDS + i] != CHECK_STACK_PAINT) {
            result->faults |= CHECK_ABOVE_STACK;
        }
    }
}

static void take_argument(check_frame *frame, int32_t at, const void *pointer) {
    if (at < CHECK_REGISTER_ARGUMENTS) {
        frame->arguments[at] = (uint32_t)pointer;
    } else {
        const uint32_t word = (uint32_t)pointer;
        memcpy((uint8_t *)frame->stack + (uint32_t)(at - CHECK_REGISTER_ARGUMENTS) * sizeof word, &word, sizeof word);
    }
}

static void enter(const check_case *entry, const check_call *call, const check_layout *layout, check_result *result) {
    check_frame frame = {.function = call->function, .stack = stack + CHECK_STACK_WORDS};
    int32_t count = 0;
    frame.fpscr = CHECK_LTPSIZE | CHECK_FPSCR_FLAGS;
    for (uint32_t i = 0; i < sizeof stack / sizeof stack[0]; i++) {
        stack[i] = CHECK_STACK_PAINT;
    }
    take_argument(&frame, count++, call->params);
    for (int32_t i = 0; i < call->inputs; i++) {
        take_argument(&frame, count++, heap.bytes + layout->inputs[call->order[i]].first);
    }
    take_argument(&frame, count++, heap.bytes + layout->output.first);
    take_argument(&frame, count++, call->scratch_bytes > 0u ? heap.bytes + layout->scratch.first : NULL);
    for (int32_t i = 0; i < entry->states; i++) {
        take_argument(&frame, count++, heap.bytes + layout->states[i].first);
    }
    check_enter(&frame);
    look_at_registers(&frame, result);
    look_at_stack(&frame, result);
}

/* --- Cases ---------------------------------------------------------------------------------------------------------- */

static bool run(const check_case *entry, const check_call *call, const check_overlap *overlap) {
    const bool is_reference = call == &entry->reference;
    const uint8_t guard = is_reference ? 0xA6u : 0x3Bu;
    const check_layout layout = lay_out(entry, call, overlap);
    check_result result = {0};
    if (layout.end > sizeof heap.bytes) {
        return false;
    }
    fill(entry, &layout, guard);
    enter(entry, call, &layout, &result);
    keep_or_compare(entry, &layout, is_reference, &result);
    if (!inputs_are_whole(entry, &layout, overlap)) {
        result.faults |= CHECK_INPUT;
    }
    if (!guards_are_whole(entry, &layout, guard)) {
        result.faults |= CHECK_GUARD;
    }
    return case_write(&result, sizeof result);
}

static bool run_once(const check_case *entry) {
    uint32_t bytes = 0;
    for (int32_t i = 0; i < entry->inputs; i++) {
        bytes += entry->input_bytes[i];
    }
    for (int32_t i = 0; i < entry->states; i++) {
        bytes += entry->state_bytes[i];
    }
    bool done = case_read(sources, bytes) && run(entry, &entry->reference, NULL) && run(entry, &entry->fast, NULL);
    for (int32_t i = 0; done && i < entry->overlaps; i++) {
        done = run(entry, &entry->fast, &entry->overlap[i]);
    }
    return done;
}

static void nothing(void) {
}

/* Its calls of te_on_layer_done() are what the plug-in of tinyedge/cycles/ counts between; the first two hold what an
 * empty call takes. */
__attribute__((noinline)) void te_runtime_invoke(void) {
    check_frame empty = {.function = nothing, .stack = stack + CHECK_STACK_WORDS, .fpscr = CHECK_LTPSIZE};
    check_enter(&empty);
    for (int32_t i = 0; i < check_case_count; i++) {
        for (int32_t at = 0; at < check_cases[i].runs; at++) {
            if (!run_once(&check_cases[i])) {
                case_exit(3);
            }
        }
    }
}

int main(void) {
    if (!case_open()) {
        case_exit(2);
    }
    __asm__ volatile("cpsid i" ::: "memory"); /* An interrupt would push registers on a kernel's stack. */
    te_runtime_invoke();
    case_exit(0);
    return 0;
}
