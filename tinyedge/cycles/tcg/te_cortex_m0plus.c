/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_cortex_m0plus.c
 *  Two stages, one instruction at a time, nothing overlaps. Costs are of the Technical Reference Manual (DDI 0484C, 3.3
 *  "Instruction set summary"), with the multiplier of one cycle that STM32 have. */
#include "te_core.h"

#define TE_EXCEPTION 15u

/* What a branch that is taken costs beyond one that is not. */
static uint64_t refill(const te_instruction *branch) {
    if (!te_is_branch(branch)) {
        return TE_EXCEPTION;
    }
    return branch->kind == TE_LOAD_MANY_PC || (branch->kind == TE_BRANCH && branch->links) ? 2u : 1u;
}

static uint64_t cost(const te_instruction *instruction) {
    switch ((te_kind)instruction->kind) {
    case TE_LOAD:
    case TE_STORE:
    case TE_STORE_INDEXED:
        return 2;
    case TE_LOAD_MANY:
    case TE_STORE_MANY:
    case TE_LOAD_MANY_PC:
        return 1u + instruction->words;
    case TE_SYSTEM:
        return 3;
    default:
        return 1;
    }
}

static void execute(te_machine *machine, const te_instruction *instruction, bool jumped) {
    if (jumped) {
        machine->cycles += refill(&machine->previous);
    }
    te_wait_for_instruction(machine, instruction, jumped);
    machine->cycles += cost(instruction);
    machine->previous = *instruction;
}

static void access(te_machine *machine, uint32_t address, uint32_t bytes, bool is_store) {
    if (!is_store) {
        te_wait_for_data(machine, address, bytes);
    }
}

const te_core te_cortex_m0plus = {"cortex-m0plus", execute, access};
