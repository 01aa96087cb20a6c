/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_cortex_m7.c
 *  Two instructions a cycle, in order. Arm publishes no costs; the rules of pairs and latencies were measured by others
 *  (https://www.quinapalus.com/cm7cycles.html, on an STM32H730). Every branch counts as predicted, and data as lying in the
 *  tightly coupled memory. */
#include "te_core.h"

#define TE_INDIRECT_BRANCH 2u /* A target from a register or from memory comes late. */
#define TE_EXCEPTION 12u
#define TE_DIVISION 6u

static bool is_multiplication(uint8_t kind) {
    return kind == TE_MULTIPLY || kind == TE_MULTIPLY_ADD || kind == TE_MULTIPLY_LONG || kind == TE_MULTIPLY_ADD_LONG ||
           kind == TE_FLOAT_MULTIPLY_ADD;
}

static bool is_store(uint8_t kind) {
    return kind == TE_STORE || kind == TE_STORE_INDEXED || kind == TE_STORE_DUAL || kind == TE_FLOAT_STORE;
}

static bool is_many(uint8_t kind) {
    return kind == TE_LOAD_MANY || kind == TE_STORE_MANY || kind == TE_LOAD_MANY_PC;
}

static bool is_alone(uint8_t kind) {
    return is_many(kind) || kind == TE_DIVIDE || kind == TE_FLOAT_DIVIDE || kind == TE_SYSTEM;
}

/* Words that come through the two read ports. */
static uint32_t loaded_words(const te_instruction *instruction) {
    switch ((te_kind)instruction->kind) {
    case TE_LOAD:
    case TE_FLOAT_LOAD:
        return 1;
    case TE_LOAD_DUAL:
        return 2;
    default:
        return 0;
    }
}

/* Cycles from the issue of an instruction to that of one that takes its result. */
static uint64_t latency(const te_instruction *instruction) {
    if (instruction->kind == TE_DIVIDE) {
        return TE_DIVISION + 2u;
    }
    if (instruction->kind == TE_LOAD_DUAL) {
        return 3;
    }
    return is_multiplication(instruction->kind) || instruction->kind == TE_LOAD || is_many(instruction->kind) ? 2u : 1u;
}

static void begin_cycle(te_machine *machine, uint64_t cycle) {
    machine->cycles = cycle;
    machine->issued = (te_issued){0};
}

static uint64_t operands_ready(const te_machine *machine, const te_instruction *instruction) {
    uint64_t ready = machine->cycles;
    for (uint32_t i = 0; i < TE_REGISTERS; i++) {
        if (((instruction->reads | instruction->addressing) >> i & 1u) != 0u && machine->ready[i] > ready) {
            ready = machine->ready[i];
        }
    }
    return ready;
}

/* Whether an instruction cannot be issued beside what the cycle has already. */
static bool conflicts(const te_issued *issued, const te_instruction *instruction) {
    const uint8_t kind = instruction->kind;
    return issued->instructions == 2u || (is_multiplication(kind) && issued->multiplies) ||
           (instruction->packs && issued->instructions > 0u) || (instruction->shifts && issued->shifts) ||
           issued->loads + loaded_words(instruction) > 2u || (is_store(kind) && issued->stores) ||
           (is_alone(kind) && issued->instructions > 0u);
}

static void note(te_issued *issued, const te_instruction *instruction) {
    issued->instructions++;
    issued->loads += loaded_words(instruction);
    issued->multiplies = issued->multiplies || is_multiplication(instruction->kind);
    issued->shifts = issued->shifts || instruction->shifts;
    issued->stores = issued->stores || is_store(instruction->kind);
}

static void execute(te_machine *machine, const te_instruction *instruction, bool jumped) {
    const uint8_t kind = instruction->kind;
    if (jumped) {
        const uint8_t from = machine->previous.kind;
        const uint64_t late = from == TE_BRANCH ? 0u : te_is_branch(&machine->previous) ? TE_INDIRECT_BRANCH : TE_EXCEPTION;
        begin_cycle(machine, machine->cycles + 1u + late);
    }
    const uint64_t before = machine->cycles;
    te_wait_for_instruction(machine, instruction, jumped);
    const uint64_t ready = operands_ready(machine, instruction);
    if (ready > before || machine->cycles > before) {
        begin_cycle(machine, ready);
    }
    if (conflicts(&machine->issued, instruction)) {
        begin_cycle(machine, machine->cycles + 1u);
    }
    note(&machine->issued, instruction);
    if (is_many(kind)) {
        begin_cycle(machine, machine->cycles + (instruction->words + 1u) / 2u);
    } else if (kind == TE_DIVIDE || kind == TE_FLOAT_DIVIDE) {
        begin_cycle(machine, machine->cycles + TE_DIVISION);
    }
    for (uint32_t i = 0; i < TE_REGISTERS; i++) {
        if ((instruction->writes >> i & 1u) != 0u) {
            const bool updated_base = instruction->words > 0u && (instruction->addressing >> i & 1u) != 0u;
            machine->ready[i] = machine->cycles + (updated_base ? 1u : latency(instruction));
        }
    }
    machine->previous = *instruction;
}

static void access(te_machine *machine, uint32_t address, uint32_t bytes, bool stores) {
    if (!stores) {
        te_wait_for_data(machine, address, bytes);
    }
}

const te_core te_cortex_m7 = {"cortex-m7", execute, access};
