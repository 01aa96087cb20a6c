/* SPDX-License-Identifier: Apache-2.0 */
/** @file case_program.h
 *  A test program of many cases: it reads every case's inputs from a file, runs it and writes what it gave to another.
 *  Python generates the table of cases; case_machine_host.c and case_machine_board.c say where the program runs. */
#ifndef CASE_PROGRAM_H
#define CASE_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CASE_MAX_INPUTS 16

typedef struct {
    int32_t runs; /**< How often it runs, each time with inputs of its own. */
    int32_t inputs;
    uint32_t input_bytes[CASE_MAX_INPUTS];
    uint32_t output_bytes;
    uint32_t scratch_bytes; /**< 0 passes a null pointer. */
    void (*run)(void *const *inputs, void *output, void *scratch);
} case_entry;

extern const case_entry case_entries[];
extern const int32_t case_entry_count;

/** Opens the two files. */
bool case_open(void);

/** Reads from the file of inputs. */
bool case_read(void *bytes, uint32_t count);

/** Appends to the file of outputs. */
bool case_write(const void *bytes, uint32_t count);

/** Memory that shows when one byte before or after it is written. */
void *case_buffer(uint32_t bytes);

/** Gives all buffers back.
 *  @return Whether the memory around them is as it was. */
bool case_release(void);

/** A counter of the machine, in ticks; 0 where there is none. */
uint64_t case_ticks(void);

/** Ends the program.
 *  @param status  0 when all cases have run. */
void case_exit(int32_t status);

#endif /* CASE_PROGRAM_H */
