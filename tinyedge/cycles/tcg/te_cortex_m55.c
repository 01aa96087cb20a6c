/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_cortex_m55.c
 *  Cortex-M33 and Cortex-M55: one instruction a cycle in order, or two narrow ones. A vector of 128 bits takes two cycles of
 *  one of three pipelines, and the next instruction begins a cycle later if it takes another one. docs/cycles.md says where
 *  the rules are from: for the Cortex-M33 measurements by others of an RP2350, for the Cortex-M55 the model that LLVM
 *  schedules by. */
#include "te_core.h"

#define TE_EXCEPTION 12u
#define TE_DIVISION 7u /* By the operands, which are not seen here. */
#define TE_BEATS 2u
#define TE_OFFSETS_EARLY 4 /* A gather wants its offsets so many cycles before it begins. */
#define TE_SECOND_STAGE 1  /* What is accumulated to, or stored, is wanted so many cycles after the begin. */

/** The pipeline of an instruction, the cycles that it is in use, and those from the last of them to an instruction that
 *  takes the result; of a vector, from the first to the first. */
typedef struct {
    te_pipeline pipeline;
    uint32_t cycles;
    uint32_t latency;
} te_timing;

/** What tells the processors apart. */
typedef struct {
    uint32_t words_a_cycle; /**< That loads and stores of several move. */
    uint32_t refill;        /**< Cycles between a branch and its target, besides those of the branch. */
    bool pairs_sums;        /**< Whether a simple instruction can be one of two in a cycle, besides branches, IT and NOP. */
    bool waits_for_flags;   /**< Whether a branch that is taken waits for an instruction beside it that makes the flags, and
                                 a narrow product for its own. */
} te_variant;

static const te_variant cortex_m33 = {1, 1, false, true};
static const te_variant cortex_m55 = {2, 2, true, false};

static bool is_vector(const te_instruction *instruction) {
    return instruction->kind >= TE_VECTOR_LOAD && instruction->kind != TE_VECTOR_PREDICATE;
}

static te_timing timing(const te_variant *variant, const te_instruction *instruction) {
    const uint32_t words = (instruction->words + variant->words_a_cycle - 1u) / variant->words_a_cycle;
    switch ((te_kind)instruction->kind) {
    case TE_LOAD:
    case TE_LOAD_DUAL:
    case TE_LOAD_MANY:
    case TE_LOAD_MANY_PC:
    case TE_FLOAT_LOAD:
        return (te_timing){TE_PIPELINE_MEMORY, words, 2};
    case TE_STORE:
    case TE_STORE_INDEXED:
    case TE_STORE_DUAL:
    case TE_STORE_MANY:
    case TE_FLOAT_STORE:
        return (te_timing){TE_PIPELINE_MEMORY, words, 1};
    case TE_VECTOR_LOAD:
    case TE_VECTOR_LOAD_PART:
    case TE_VECTOR_STORE:
    case TE_VECTOR_STORE_PART:
        return (te_timing){TE_PIPELINE_MEMORY, TE_BEATS, 1};
    case TE_VECTOR_GATHER:
    case TE_VECTOR_SCATTER:
        return (te_timing){TE_PIPELINE_MEMORY, words < TE_BEATS ? TE_BEATS : words, 2};
    case TE_VECTOR_ADD:
        return (te_timing){TE_PIPELINE_INTEGER, TE_BEATS, 1};
    case TE_VECTOR_SHIFT:
        return (te_timing){TE_PIPELINE_INTEGER, TE_BEATS, 2};
    case TE_VECTOR_NARROW:
    case TE_VECTOR_REDUCE:
        return (te_timing){TE_PIPELINE_INTEGER, TE_BEATS, 3};
    case TE_VECTOR_MULTIPLY:
    case TE_VECTOR_SUM:
        return (te_timing){TE_PIPELINE_MULTIPLIER, TE_BEATS, 2};
    case TE_VECTOR_COMPARE:
    case TE_VECTOR_MOVE:
        return (te_timing){TE_PIPELINE_MULTIPLIER, TE_BEATS, 1};
    case TE_FLOAT:
        return (te_timing){TE_PIPELINE_MULTIPLIER, 1, 2};
    case TE_FLOAT_MULTIPLY_ADD:
        return (te_timing){TE_PIPELINE_MULTIPLIER, 1, 4};
    case TE_FLOAT_DIVIDE:
        return (te_timing){TE_PIPELINE_MULTIPLIER, 15, 1};
    case TE_MULTIPLY:
        if (variant->waits_for_flags && instruction->bytes == 2u) {
            return (te_timing){TE_PIPELINES, 2, 1};
        }
        return (te_timing){TE_PIPELINES, 1, 2};
    case TE_MULTIPLY_ADD:
    case TE_MULTIPLY_LONG:
    case TE_MULTIPLY_ADD_LONG:
        return (te_timing){TE_PIPELINES, 1, 2};
    case TE_DIVIDE:
        return (te_timing){TE_PIPELINES, TE_DIVISION, 1};
    case TE_SYSTEM:
        return (te_timing){TE_PIPELINES, 2, 1};
    default:
        return (te_timing){TE_PIPELINES, 1, instruction->late ? 2u : 1u};
    }
}

/* When an instruction can begin that wants registers so many cycles before, or after if negative. */
static uint64_t begin_after(const uint64_t *ready, uint32_t set, int32_t early, uint64_t begin) {
    for (uint32_t i = 0; set != 0u; i++, set >>= 1) {
        if ((set & 1u) != 0u && (int64_t)ready[i] + early > (int64_t)begin) {
            begin = (uint64_t)((int64_t)ready[i] + early);
        }
    }
    return begin;
}

/* Two narrow instructions of which one is simple. */
static bool can_pair(const te_variant *variant, const te_instruction *first, const te_instruction *second) {
    const uint8_t kind = second->kind;
    const bool is_nop = second->simple && (second->reads | second->writes) == 0u;
    const bool simple = variant->pairs_sums && (first->simple || second->simple || first->kind == TE_IF_THEN);
    const uint32_t depends = first->writes & (uint32_t)(second->reads | second->addressing | second->writes);
    return first->bytes == 2u && second->bytes == 2u && depends == 0u &&
           (simple || is_nop || kind == TE_BRANCH || kind == TE_IF_THEN);
}

/* Cycles between a jump and what it goes to. The end of a loop is remembered when it has jumped once, so that it is not
 * executed again; the target in a register comes a cycle late. */
static uint64_t refill(const te_variant *variant, const te_machine *machine) {
    const te_instruction *branch = &machine->previous;
    if (!te_is_branch(branch)) {
        return TE_EXCEPTION;
    }
    if (branch->kind == TE_LOOP_END && machine->vectors.loop_end == branch->address) {
        return 0;
    }
    if (branch->kind == TE_BRANCH || branch->kind == TE_LOOP_END) {
        return variant->refill + (machine->vectors.flags_late ? 1u : 0u);
    }
    return variant->refill + 1u;
}

static void execute(const te_variant *variant, te_machine *machine, const te_instruction *instruction, bool jumped) {
    te_vectors *vectors = &machine->vectors;
    vectors->accessed = false;
    if (jumped) {
        machine->cycles += refill(variant, machine);
    }
    if (machine->previous.kind == TE_LOOP_END) {
        vectors->loop_end = jumped ? machine->previous.address : 0u;
    }
    if (instruction->kind == TE_LOOP_END && vectors->loop_end == instruction->address) {
        machine->previous = *instruction;
        return;
    }
    te_wait_for_instruction(machine, instruction, jumped);
    vectors->paired =
        !jumped && !vectors->paired && machine->cycles > 0u && can_pair(variant, &machine->previous, instruction);
    const uint64_t earliest = machine->cycles - (vectors->paired ? 1u : 0u);
    const te_timing takes = timing(variant, instruction);
    const uint32_t reads = instruction->reads & TE_CORE_REGISTERS, late = instruction->reads_late;
    uint64_t begin = begin_after(machine->ready, reads & ~late, 0, earliest);
    begin = begin_after(machine->ready, reads & late, -TE_SECOND_STAGE, begin);
    begin = begin_after(machine->ready, instruction->addressing & TE_CORE_REGISTERS, 0, begin);
    begin = begin_after(instruction->kind == TE_VECTOR_STORE ? vectors->storable : vectors->ready,
                        instruction->vector_reads, 0, begin);
    begin = begin_after(vectors->ready, instruction->vector_addressing, TE_OFFSETS_EARLY, begin);
    if (takes.pipeline < TE_PIPELINES) {
        begin = begin_after(vectors->free, 1u << takes.pipeline, 0, begin);
        vectors->free[takes.pipeline] = begin + takes.cycles;
    }
    vectors->paired = vectors->paired && begin == earliest;
    vectors->flags_late = variant->waits_for_flags && vectors->paired && machine->previous.sets_flags;
    const uint64_t end = is_vector(instruction) ? begin + 1u : begin + takes.cycles;
    machine->cycles = end;
    for (uint32_t i = 0; i < TE_REGISTERS; i++) {
        if ((instruction->writes >> i & 1u) != 0u) {
            const bool updated_base = instruction->words > 0u && (instruction->addressing >> i & 1u) != 0u;
            machine->ready[i] = updated_base ? begin + 1u : end + takes.latency - 1u;
        }
    }
    for (uint32_t i = 0; i < TE_VECTORS; i++) {
        if ((instruction->vector_writes >> i & 1u) != 0u) {
            vectors->ready[i] = begin + takes.latency;
            vectors->storable[i] = vectors->ready[i] - (takes.latency == 2u ? TE_SECOND_STAGE : 0u);
        }
    }
    machine->previous = *instruction;
}

/* What does not lie in whole words takes another access: assumed, as Arm publishes nothing of it. */
static void access(te_machine *machine, uint32_t address, uint32_t bytes, bool is_written) {
    te_vectors *vectors = &machine->vectors;
    const te_instruction *instruction = &machine->previous;
    const bool consecutive = instruction->kind == TE_VECTOR_LOAD || instruction->kind == TE_VECTOR_STORE;
    const bool unaligned = consecutive ? (address & 3u) != 0u : te_unaligned_cycles(address, bytes) != 0u;
    if (unaligned && !(consecutive && vectors->accessed)) {
        machine->cycles++;
        vectors->free[TE_PIPELINE_MEMORY]++;
    }
    vectors->accessed = true;
    if (!is_written) {
        te_wait_for_data(machine, address, bytes);
    }
}

static void execute_m33(te_machine *machine, const te_instruction *instruction, bool jumped) {
    execute(&cortex_m33, machine, instruction, jumped);
}

static void execute_m55(te_machine *machine, const te_instruction *instruction, bool jumped) {
    execute(&cortex_m55, machine, instruction, jumped);
}

const te_core te_cortex_m33 = {"cortex-m33", execute_m33, access};
const te_core te_cortex_m55 = {"cortex-m55", execute_m55, access};
