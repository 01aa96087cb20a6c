/* SPDX-License-Identifier: Apache-2.0 */
/** @file case_machine_board.c
 *  The program on an emulated board: the emulator opens the files through semihosting (Arm, "Semihosting for AArch32
 *  and AArch64"), and guard bytes stand for the address sanitiser. */
#include <string.h>

#include "case_program.h"
#include "te_board.h"

#define CASE_SYS_OPEN 0x01u
#define CASE_SYS_WRITE 0x05u
#define CASE_SYS_READ 0x06u
#define CASE_SYS_EXIT_EXTENDED 0x20u
#define CASE_OPEN_RB 1u
#define CASE_OPEN_WB 5u
#define CASE_STOPPED_APPLICATION_EXIT 0x20026u

#define CASE_GUARD_BYTES 32u
#define CASE_GUARD 0xA6u
#define CASE_ALIGNMENT 16u

/* CASE_HEAP_BYTES holds the buffers of the largest case, without guards and alignment. */
static union {
    int64_t alignment;
    uint8_t bytes[CASE_HEAP_BYTES + (CASE_MAX_INPUTS + 3u) * (2u * CASE_GUARD_BYTES + CASE_ALIGNMENT)];
} case_heap;
static uint32_t case_starts[CASE_MAX_INPUTS + 2];
static uint32_t case_sizes[CASE_MAX_INPUTS + 2];
static uint32_t case_buffer_count;
static uint32_t case_heap_used;
static uint32_t case_inputs;
static uint32_t case_outputs;

static uint32_t case_semihost(uint32_t operation, const void *argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static uint32_t case_open_file(const char *name, uint32_t mode) {
    const uint32_t arguments[3] = {(uint32_t)name, mode, (uint32_t)strlen(name)};
    return case_semihost(CASE_SYS_OPEN, arguments);
}

/* Both calls return how many bytes are left over. */
static bool case_transfer(uint32_t operation, uint32_t file, const void *bytes, uint32_t count) {
    const uint32_t arguments[3] = {file, (uint32_t)bytes, count};
    return count == 0u || case_semihost(operation, arguments) == 0u;
}

bool case_open(void) {
    te_board_init();
    case_inputs = case_open_file("cases.in", CASE_OPEN_RB);
    case_outputs = case_open_file("cases.out", CASE_OPEN_WB);
    return case_inputs != UINT32_MAX && case_outputs != UINT32_MAX;
}

bool case_read(void *bytes, uint32_t count) {
    return case_transfer(CASE_SYS_READ, case_inputs, bytes, count);
}

bool case_write(const void *bytes, uint32_t count) {
    return case_transfer(CASE_SYS_WRITE, case_outputs, bytes, count);
}

void *case_buffer(uint32_t bytes) {
    const uint32_t first = (case_heap_used + CASE_GUARD_BYTES + CASE_ALIGNMENT - 1u) & ~(CASE_ALIGNMENT - 1u);
    const uint32_t end = first + bytes + CASE_GUARD_BYTES;
    if (end > sizeof case_heap.bytes || case_buffer_count == CASE_MAX_INPUTS + 2u) {
        return NULL;
    }
    memset(case_heap.bytes + case_heap_used, CASE_GUARD, end - case_heap_used);
    case_starts[case_buffer_count] = first;
    case_sizes[case_buffer_count] = bytes;
    case_buffer_count++;
    case_heap_used = end;
    return case_heap.bytes + first;
}

static bool case_is_guard(uint32_t first, uint32_t end) {
    for (uint32_t i = first; i < end; i++) {
        if (case_heap.bytes[i] != CASE_GUARD) {
            return false;
        }
    }
    return true;
}

bool case_release(void) {
    uint32_t end = 0;
    bool within = true;
    for (uint32_t i = 0; i < case_buffer_count; i++) {
        within = within && case_is_guard(end, case_starts[i]);
        end = case_starts[i] + case_sizes[i];
    }
    within = within && case_is_guard(end, case_heap_used);
    case_buffer_count = 0;
    case_heap_used = 0;
    return within;
}

uint64_t case_ticks(void) {
    return te_board_count();
}

void case_exit(int32_t status) {
    const uint32_t arguments[2] = {CASE_STOPPED_APPLICATION_EXIT, (uint32_t)status};
    (void)case_semihost(CASE_SYS_EXIT_EXTENDED, arguments);
    for (;;) {
    }
}
