/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_core.h
 *  Processors: how many cycles pass from one executed instruction to the next. */
#ifndef TE_CORE_H
#define TE_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "te_flash.h"
#include "te_thumb.h"

#define TE_REGISTERS 15u /* Without the program counter. */
#define TE_CORE_REGISTERS ((1u << TE_REGISTERS) - 1u) /* The set of them. */

/** Pipelines that vectors take. */
typedef enum { TE_PIPELINE_MEMORY, TE_PIPELINE_INTEGER, TE_PIPELINE_MULTIPLIER, TE_PIPELINES } te_pipeline;

/** What a processor that issues two instructions a cycle has issued in this one. */
typedef struct {
    uint32_t instructions;
    uint32_t loads; /**< Words. */
    bool multiplies;
    bool shifts;
    bool stores;
} te_issued;

#define TE_VECTORS 8u

/** What a processor with pipelines of its own for vectors has in them. */
typedef struct {
    uint64_t ready[TE_VECTORS];    /**< The cycle from which on a vector can be read. */
    uint64_t storable[TE_VECTORS]; /**< The cycle from which on it can be stored. */
    uint64_t free[TE_PIPELINES];   /**< The cycle from which on a pipeline takes an instruction. */
    uint32_t loop_end;             /**< The address of the LE that is remembered, 0 for none. */
    bool paired;                   /**< Whether the cycle has two instructions already. */
    bool flags_late;               /**< Whether the other of the two makes the flags. */
    bool accessed;                 /**< Whether the instruction has been to memory. */
} te_vectors;

/** What the cycles of an instruction depend on besides itself. */
typedef struct {
    uint64_t cycles;
    uint64_t waits; /**< Of `cycles`, those that the flash kept the processor waiting. */
    te_flash flash;
    te_instruction previous; /**< The one executed before. */
    uint32_t unaligned;      /**< How many wide instructions across two words came one after the other. */
    bool pipelined;          /**< Whether a load or a store right behind it overlaps with it. */
    te_issued issued;
    uint64_t ready[TE_REGISTERS]; /**< The cycle from which on a register can be read. */
    te_vectors vectors;
} te_machine;

/** A processor, or several of the same costs. */
typedef struct {
    const char *name; /**< As GCC has it: "cortex-m4". */
    /** Lets the cycles of an instruction pass. `jumped`: it does not lie right behind the one before. */
    void (*execute)(te_machine *machine, const te_instruction *instruction, bool jumped);
    /** Lets those pass that the address of a load or a store costs, after `execute`. */
    void (*access)(te_machine *machine, uint32_t address, uint32_t bytes, bool is_store);
} te_core;

/** @return The processor of a name, or NULL where there is no model of it. */
const te_core *te_find_core(const char *name);

/** @return Cycles more of a word or a half word that is not aligned, which is done in two or three accesses (DDI 0337I and
 *  DDI 0439B, 3.3.2). */
uint64_t te_unaligned_cycles(uint32_t address, uint32_t bytes);

/** Lets those cycles pass that an instruction waits for the flash. */
void te_wait_for_instruction(te_machine *machine, const te_instruction *instruction, bool jumped);

/** Lets those cycles pass that a load waits for the flash. */
void te_wait_for_data(te_machine *machine, uint32_t address, uint32_t bytes);

/** Whether an instruction writes the program counter. */
bool te_is_branch(const te_instruction *instruction);

extern const te_core te_cortex_m0plus;
extern const te_core te_cortex_m3;
extern const te_core te_cortex_m4;
extern const te_core te_cortex_m7;
extern const te_core te_cortex_m33;
extern const te_core te_cortex_m55;

#endif /* TE_CORE_H */
