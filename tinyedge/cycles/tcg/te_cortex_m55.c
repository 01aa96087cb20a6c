/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_cortex_m55.c
 *  One instruction a cycle in order, or two narrow ones. A vector of 128 bits takes two cycles of one of three pipelines,
 *  and the next instruction begins a cycle later if it takes another one. Pipelines, latencies and pairs are of the model by
 *  which LLVM schedules (ARMScheduleM55.td of commit 2f206a0); what is from elsewhere says so. */
#include "te_core.h"

/* Of kernels measured by others on an Apollo510, and CoreMark: docs/cycles.md. */
#define TE_REFILL_DIRECT 2u
#define TE_REFILL_INDIRECT 3u
#define TE_EXCEPTION 12u
#define TE_DIVISION 7u /* By the operands, which are not seen here. */
#define TE_BEATS 2u
#define TE_OFFSETS_EARLY 4 /* A gather wants its offsets so many cycles before it begins. */
#define TE_STORED_LATE 1   /* A store wants what it stores so many cycles after it begins. */

/** The pipeline of an instruction, the cycles that it is in use, and those from the last of them to an instruction that
 *  takes the result; of a vector, from the first to the first. */
typedef struct {
    te_pipeline pipeline;
    uint32_t cycles;
    uint32_t latency;
} te_timing;

static bool is_vector(const te_instruction *instruction) {
    return instruction->kind >= TE_VECTOR_LOAD && instruction->kind != TE_VECTOR_PREDICATE;
}

static bool is_store(uint8_t kind) {
    return kind == TE_STORE || kind == TE_STORE_INDEXED || kind == TE_STORE_DUAL || kind == TE_STORE_MANY;
}

static te_timing timing(const te_instruction *instruction) {
    const uint32_t in_pairs = (instruction->words + 1u) / 2u; /* Two words, or the words of two lanes, a cycle. */
    switch ((te_kind)instruction->kind) {
    case TE_LOAD:
    case TE_LOAD_DUAL:
    case TE_LOAD_MANY:
    case TE_LOAD_MANY_PC:
    case TE_FLOAT_LOAD:
        return (te_timing){TE_PIPELINE_MEMORY, in_pairs, 2};
    case TE_STORE:
    case TE_STORE_INDEXED:
    case TE_STORE_DUAL:
    case TE_STORE_MANY:
    case TE_FLOAT_STORE:
        return (te_timing){TE_PIPELINE_MEMORY, in_pairs, 1};
    case TE_VECTOR_LOAD:
    case TE_VECTOR_LOAD_PART:
    case TE_VECTOR_STORE:
    case TE_VECTOR_STORE_PART:
        return (te_timing){TE_PIPELINE_MEMORY, TE_BEATS, 1};
    case TE_VECTOR_GATHER:
    case TE_VECTOR_SCATTER:
        return (te_timing){TE_PIPELINE_MEMORY, in_pairs < TE_BEATS ? TE_BEATS : in_pairs, 2};
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

/* Two narrow instructions of which one is a move, an extension, a sum with a constant, a branch or IT. */
static bool can_pair(const te_instruction *first, const te_instruction *second) {
    const bool simple = first->simple || second->simple || second->kind == TE_BRANCH || first->kind == TE_IF_THEN ||
                        second->kind == TE_IF_THEN;
    const uint32_t depends = first->writes & (uint32_t)(second->reads | second->addressing | second->writes);
    return simple && first->bytes == 2u && second->bytes == 2u && depends == 0u;
}

/* Cycles between a jump and what it goes to. The end of a loop is remembered when it has jumped once, so that it is not
 * executed again. */
static uint64_t refill(const te_machine *machine) {
    const te_instruction *branch = &machine->previous;
    if (!te_is_branch(branch)) {
        return TE_EXCEPTION;
    }
    if (branch->kind == TE_LOOP_END) {
        return machine->vectors.loop_end == branch->address ? 0u : TE_REFILL_DIRECT;
    }
    return branch->kind == TE_BRANCH ? TE_REFILL_DIRECT : TE_REFILL_INDIRECT;
}

static void execute(te_machine *machine, const te_instruction *instruction, bool jumped) {
    te_vectors *vectors = &machine->vectors;
    vectors->accessed = false;
    if (jumped) {
        machine->cycles += refill(machine);
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
        !jumped && !vectors->paired && machine->cycles > 0u && can_pair(&machine->previous, instruction);
    const uint64_t earliest = machine->cycles - (vectors->paired ? 1u : 0u);
    const te_timing takes = timing(instruction);
    const int32_t early = is_store(instruction->kind) ? -TE_STORED_LATE : 0;
    uint64_t begin = begin_after(machine->ready, instruction->reads & TE_CORE_REGISTERS, early, earliest);
    begin = begin_after(machine->ready, instruction->addressing & TE_CORE_REGISTERS, 0, begin);
    begin = begin_after(instruction->kind == TE_VECTOR_STORE ? vectors->storable : vectors->ready,
                        instruction->vector_reads, 0, begin);
    begin = begin_after(vectors->ready, instruction->vector_addressing, TE_OFFSETS_EARLY, begin);
    if (takes.pipeline < TE_PIPELINES) {
        begin = begin_after(vectors->free, 1u << takes.pipeline, 0, begin);
        vectors->free[takes.pipeline] = begin + takes.cycles;
    }
    vectors->paired = vectors->paired && begin == earliest;
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
            vectors->storable[i] = vectors->ready[i] - (takes.latency == 2u ? TE_STORED_LATE : 0u);
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

const te_core te_cortex_m55 = {"cortex-m55", execute, access};
