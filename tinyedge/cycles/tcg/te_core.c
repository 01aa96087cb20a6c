/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_core.c
 *  What processors share. */
#include "te_core.h"

#include <stddef.h>
#include <string.h>

static const te_core *const cores[] = {&te_cortex_m0plus, &te_cortex_m3, &te_cortex_m4, &te_cortex_m7,
                                      &te_cortex_m33, &te_cortex_m55};

const te_core *te_find_core(const char *name) {
    for (size_t i = 0; i < sizeof cores / sizeof cores[0]; i++) {
        if (strcmp(cores[i]->name, name) == 0) {
            return cores[i];
        }
    }
    return NULL;
}

bool te_is_branch(const te_instruction *instruction) {
    const uint8_t kind = instruction->kind;
    return kind == TE_BRANCH || kind == TE_BRANCH_INDIRECT || kind == TE_BRANCH_TABLE || kind == TE_LOAD_MANY_PC ||
           kind == TE_LOOP_END;
}

uint64_t te_unaligned_cycles(uint32_t address, uint32_t bytes) {
    if (bytes == 4u && (address & 3u) != 0u) {
        return (address & 1u) != 0u ? 2u : 1u;
    }
    return bytes == 2u && (address & 1u) != 0u ? 1u : 0u;
}

static void wait_for(te_machine *machine, uint64_t cycles) {
    machine->waits += cycles;
    machine->cycles += cycles;
}

void te_wait_for_instruction(te_machine *machine, const te_instruction *instruction, bool jumped) {
    wait_for(machine, te_flash_fetch(&machine->flash, instruction->address, instruction->bytes, jumped, machine->cycles));
}

void te_wait_for_data(te_machine *machine, uint32_t address, uint32_t bytes) {
    wait_for(machine, te_flash_load(&machine->flash, address, bytes, machine->cycles));
}
