/* SPDX-License-Identifier: Apache-2.0 */
/** @file case_machine_host.c
 *  The program on this machine. Every buffer has its exact size, so that the address sanitiser sees one byte too far. */
#include <stdio.h>
#include <stdlib.h>

#include "case_program.h"

static FILE *case_inputs;
static FILE *case_outputs;
static void *case_buffers[CASE_MAX_INPUTS + 2];
static int32_t case_buffer_count;

bool case_open(void) {
    case_inputs = fopen("cases.in", "rb");
    case_outputs = fopen("cases.out", "wb");
    return case_inputs != NULL && case_outputs != NULL;
}

bool case_read(void *bytes, uint32_t count) {
    return fread(bytes, 1, count, case_inputs) == count;
}

bool case_write(const void *bytes, uint32_t count) {
    return fwrite(bytes, 1, count, case_outputs) == count && fflush(case_outputs) == 0;
}

void *case_buffer(uint32_t bytes) {
    void *buffer = malloc(bytes);
    case_buffers[case_buffer_count++] = buffer;
    return buffer;
}

bool case_release(void) {
    while (case_buffer_count > 0) {
        free(case_buffers[--case_buffer_count]);
    }
    return true;
}

uint64_t case_ticks(void) {
    return 0;
}

void case_exit(int32_t status) {
    exit(fclose(case_outputs) == 0 ? (int)status : 4);
}
