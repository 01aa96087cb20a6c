/* SPDX-License-Identifier: Apache-2.0 */
/** @file case_machine_wasm.c
 *  The program as WebAssembly in a browser, which has the files and ends it; guard bytes stand for the address
 *  sanitiser, and nothing is counted. */
#include "case_program.h"

#define CASE_IMPORT(name) __attribute__((import_module("machine"), import_name(#name)))

CASE_IMPORT(read) uint32_t case_file_read(void *bytes, uint32_t count);
CASE_IMPORT(write) uint32_t case_file_write(const void *bytes, uint32_t count);
CASE_IMPORT(end) void case_file_end(int32_t status);

#define CASE_GUARD_BYTES 32u
#define CASE_GUARD 0xA6u
#define CASE_ALIGNMENT 16u

/* CASE_HEAP_BYTES holds the buffers of the largest case, without guards and alignment. */
static union {
    int64_t alignment;
    uint8_t bytes[CASE_HEAP_BYTES + (CASE_MAX_INPUTS + 3u) * (2u * CASE_GUARD_BYTES + CASE_ALIGNMENT)];
} case_heap;
static uint32_t case_starts[CASE_MAX_INPUTS + 2];
static uint32_t case_ends[CASE_MAX_INPUTS + 2];
static uint32_t case_buffer_count;
static uint32_t case_heap_used;

bool case_open(void) {
    return true;
}

bool case_read(void *bytes, uint32_t count) {
    return case_file_read(bytes, count) != 0u;
}

bool case_write(const void *bytes, uint32_t count) {
    return case_file_write(bytes, count) != 0u;
}

void *case_buffer(uint32_t bytes) {
    const uint32_t first = (case_heap_used + CASE_GUARD_BYTES + CASE_ALIGNMENT - 1u) & ~(CASE_ALIGNMENT - 1u);
    const uint32_t end = first + bytes + CASE_GUARD_BYTES;
    if (end > sizeof case_heap.bytes || case_buffer_count == CASE_MAX_INPUTS + 2u) {
        return NULL;
    }
    for (uint32_t i = case_heap_used; i < end; i++) {
        case_heap.bytes[i] = CASE_GUARD;
    }
    case_starts[case_buffer_count] = first;
    case_ends[case_buffer_count] = first + bytes;
    case_buffer_count++;
    case_heap_used = end;
    return case_heap.bytes + first;
}

bool case_release(void) {
    bool within = true;
    uint32_t next = 0;
    for (uint32_t i = 0; i < case_heap_used; i++) {
        while (next < case_buffer_count && i >= case_ends[next]) {
            next++;
        }
        const bool is_buffer = next < case_buffer_count && i >= case_starts[next];
        within = within && (is_buffer || case_heap.bytes[i] == CASE_GUARD);
    }
    case_buffer_count = 0;
    case_heap_used = 0;
    return within;
}

uint64_t case_ticks(void) {
    return 0;
}

void case_exit(int32_t status) {
    case_file_end(status);
}
