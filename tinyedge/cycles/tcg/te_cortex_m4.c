/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_cortex_m4.c
 *  Cortex-M3 and Cortex-M4: three stages, one instruction at a time. Costs are of the Technical Reference Manual (DDI 0439B, 3.3.1 "Cortex-M4
 *  instructions" and 3.3.2 "Load/store timings"; the latter has the same words as the Cortex-M3's, DDI 0337I). */
#include "te_core.h"

/* P of the manual is 1 to 3, "depending on the alignment and width of the target instruction, and whether the processor
 * manages to speculate the address early": a direct branch is decoded early, and a wide target that begins in the middle
 * of a word needs a second fetch. */
#define TE_REFILL_DIRECT 1u
#define TE_REFILL_INDIRECT 2u
#define TE_REFILL_MISALIGNED 1u
/* Found by measurement (https://compendium.i-0.nl/docs/instruction-alignment/rules): the fetches fall behind once in a
 * sequence of so many wide instructions that each lie across two words. */
#define TE_UNALIGNED_SEQUENCE 3u
#define TE_EXCEPTION 12u
/* 2 to 12, by the operands' leading zeros, which are not seen here. */
#define TE_DIVISION 7u

static bool is_unaligned(const te_instruction *instruction) {
    return instruction->bytes == 4u && (instruction->address & 2u) != 0u;
}

static uint64_t refill(const te_instruction *branch, const te_instruction *target) {
    if (!te_is_branch(branch)) {
        return TE_EXCEPTION;
    }
    return (branch->kind == TE_BRANCH ? TE_REFILL_DIRECT : TE_REFILL_INDIRECT) +
           (is_unaligned(target) ? TE_REFILL_MISALIGNED : 0u);
}

/* A result has no way into the next address: that waits a cycle, or a load cannot overlap with the load before it. */
static bool address_waits(const te_instruction *previous, const te_instruction *instruction) {
    return !te_is_branch(previous) && (instruction->addressing & previous->writes) != 0u;
}

static uint64_t cost(const te_machine *machine, const te_instruction *instruction, bool waits) {
    const bool overlaps = machine->pipelined && !waits;
    switch ((te_kind)instruction->kind) {
    case TE_LOAD:
    case TE_STORE_INDEXED:
    case TE_FLOAT_LOAD:
    case TE_FLOAT_STORE:
        return instruction->words > 1u ? 1u + instruction->words : overlaps ? 1u : 2u;
    case TE_LOAD_DUAL:
    case TE_STORE_DUAL:
    case TE_LOAD_MANY:
    case TE_STORE_MANY:
    case TE_LOAD_MANY_PC:
        return 1u + instruction->words;
    case TE_BRANCH_TABLE:
        return 3;
    case TE_DIVIDE:
        return TE_DIVISION;
    case TE_IF_THEN:
        return machine->previous.bytes == 2u ? 0u : 1u; /* Folded behind an instruction of 16 bits. */
    case TE_SYSTEM:
        return 2;
    case TE_FLOAT_MULTIPLY_ADD:
        return 3;
    case TE_FLOAT_DIVIDE:
        return 14;
    case TE_FLOAT:
        return instruction->words > 1u ? 2u : 1u;
    default:
        return 1;
    }
}

static void execute(te_machine *machine, const te_instruction *instruction, bool jumped) {
    const te_instruction *previous = &machine->previous;
    const uint8_t kind = instruction->kind;
    if (jumped) {
        machine->cycles += refill(previous, instruction);
        machine->unaligned = 0;
    }
    machine->unaligned = is_unaligned(instruction) ? machine->unaligned + 1u : 0u;
    machine->cycles += machine->unaligned == TE_UNALIGNED_SEQUENCE ? 1u : 0u;
    te_wait_for_instruction(machine, instruction, jumped);
    const bool stalls = !jumped && address_waits(previous, instruction);
    const bool after_load = previous->kind == TE_LOAD || previous->kind == TE_LOAD_DUAL || previous->kind == TE_LOAD_MANY;
    machine->cycles += cost(machine, instruction, stalls) + (stalls && !after_load ? 1u : 0u);
    machine->pipelined = kind == TE_LOAD;
    machine->previous = *instruction;
}

static void access(te_machine *machine, uint32_t address, uint32_t bytes, bool is_store) {
    machine->cycles += te_unaligned_cycles(address, bytes);
    if (!is_store) {
        te_wait_for_data(machine, address, bytes);
    }
}

/* Multiplications stop early for small operands, which are not seen here: the middle of 3 to 5 and of 4 to 7. */
static void execute_m3(te_machine *machine, const te_instruction *instruction, bool jumped) {
    execute(machine, instruction, jumped);
    switch ((te_kind)instruction->kind) {
    case TE_MULTIPLY_ADD:
        machine->cycles += 1u;
        break;
    case TE_MULTIPLY_LONG:
        machine->cycles += 3u;
        break;
    case TE_MULTIPLY_ADD_LONG:
        machine->cycles += 4u;
        break;
    default:
        break;
    }
}

const te_core te_cortex_m3 = {"cortex-m3", execute_m3, access};
const te_core te_cortex_m4 = {"cortex-m4", execute, access};
