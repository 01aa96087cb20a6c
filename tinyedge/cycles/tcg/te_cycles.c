/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_cycles.c
 *  A TCG plug-in of QEMU that counts the modelled cycles of one call of one function.
 *
 *  Arguments, `key=value`: `core`, `function` (its address), `call` (which of its calls, 1 is the first), `hook` (the
 *  address of a function that it calls, which is not counted and ends a lap), `out` (a file), and the flash:
 *  `flash_begin`, `flash_end`, `wait_states`, `read_bytes`, `line_bytes`, `instruction_cache_bytes`, `data_cache_bytes`,
 *  `prefetch`. With `probe` it says that it can be loaded, and ends QEMU.
 *
 *  Writes a line when the hook is entered, "lap CYCLES WAITS INSTRUCTIONS", of what passed since the lap before, and a
 *  line when the function returns, "call CYCLES WAITS INSTRUCTIONS". Instructions are looked at from the call before on,
 *  and no longer after it, so that QEMU runs all others as fast as ever. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "te_core.h"
#include "te_qemu_plugin.h"
#include "te_thumb.h"

/* Instructions that are executed, by address; a power of two. The code of an image is much smaller. */
#define TE_TABLE_SLOTS (1u << 20)

int qemu_plugin_version = TE_QEMU_PLUGIN_API;

typedef struct {
    uint64_t cycles;
    uint64_t waits;
    uint64_t instructions;
} te_counts;

typedef enum { TE_OUTSIDE, TE_COUNTING, TE_IN_HOOK, TE_DONE } te_state;

static te_instruction table[TE_TABLE_SLOTS];
static uint32_t table_used;
static te_machine machine;
static const te_core *core;
static FILE *out;
static te_state state;
static qemu_plugin_id_t plugin;
static uint32_t function, hook;
static uint32_t counted_call = 1, calls; /* Which call of the function is counted, and how many have begun. */
static uint32_t function_returns_to, hook_returns_to;
static uint64_t instructions;
static te_counts lap_began;

static te_counts counted(void) {
    return (te_counts){machine.cycles, machine.waits, instructions};
}

static void write_line(const char *what, te_counts since) {
    (void)fprintf(out, "%s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", what, machine.cycles - since.cycles,
                  machine.waits - since.waits, instructions - since.instructions);
    (void)fflush(out);
}

static void register_nothing(qemu_plugin_id_t id) {
    (void)id;
}

/* --- Executed instructions ------------------------------------------------------------------------------------------ */

static void begin_call(uint32_t returns_to) {
    state = TE_COUNTING;
    function_returns_to = returns_to;
    machine.cycles = machine.waits = instructions = 0;
    machine.pipelined = false;
    machine.unaligned = 0;
    machine.issued = (te_issued){0};
    memset(machine.ready, 0, sizeof machine.ready);
    machine.vectors = (te_vectors){0};
    te_flash_reset(&machine.flash);
    lap_began = counted();
}

/* A function that is not called but jumped to, at the end of another, returns to where that would have. */
static uint32_t return_address(uint32_t otherwise) {
    const te_instruction *call = &machine.previous;
    return call->links ? call->address + call->bytes : otherwise;
}

static void on_instruction(unsigned cpu, void *context) {
    const te_instruction *instruction = context;
    const bool jumped = instruction->address != machine.previous.address + machine.previous.bytes;
    (void)cpu;
    if (state == TE_IN_HOOK && instruction->address == hook_returns_to) {
        state = TE_COUNTING;
        lap_began = counted();
        machine.pipelined = false;
    } else if (state == TE_COUNTING && jumped && instruction->address == hook) {
        write_line("lap", lap_began);
        hook_returns_to = return_address(function_returns_to);
        state = TE_IN_HOOK;
    } else if (state == TE_OUTSIDE && jumped && instruction->address == function && ++calls == counted_call) {
        begin_call(return_address(0));
    } else if (state == TE_COUNTING && jumped && instruction->address == function_returns_to) {
        write_line("call", (te_counts){0, 0, 0});
        state = TE_DONE;
        qemu_plugin_reset(plugin, register_nothing);
    }
    if (state == TE_COUNTING) {
        core->execute(&machine, instruction, jumped);
        instructions++;
    } else {
        machine.previous = *instruction;
    }
}

static void on_access(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *context) {
    (void)cpu;
    (void)context;
    if (state == TE_COUNTING) {
        core->access(&machine, (uint32_t)address, 1u << qemu_plugin_mem_size_shift(info),
                     qemu_plugin_mem_is_store(info));
    }
}

/* --- Translated instructions ---------------------------------------------------------------------------------------- */

static te_instruction decode(const struct qemu_plugin_insn *insn) {
    uint8_t data[4] = {0};
#if TE_QEMU_PLUGIN_API >= 3
    (void)qemu_plugin_insn_data(insn, data, sizeof data);
#else
    memcpy(data, qemu_plugin_insn_data(insn), qemu_plugin_insn_size(insn));
#endif
    return te_thumb_decode((uint32_t)qemu_plugin_insn_vaddr(insn), (uint16_t)(data[0] | data[1] << 8),
                           (uint16_t)(data[2] | data[3] << 8));
}

/* Where an instruction is in the table, or where it goes. */
static te_instruction *find(uint32_t address) {
    uint32_t slot = (address / 2u) % TE_TABLE_SLOTS;
    while (table[slot].bytes != 0u && table[slot].address != address) {
        slot = (slot + 1u) % TE_TABLE_SLOTS;
    }
    return &table[slot];
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
        te_instruction *entry = find((uint32_t)qemu_plugin_insn_vaddr(insn));
        if (entry->bytes == 0u && ++table_used == TE_TABLE_SLOTS) {
            (void)fprintf(stderr, "te_cycles: the image executes more than %u instructions\n", TE_TABLE_SLOTS);
            exit(EXIT_FAILURE);
        }
        *entry = decode(insn);
        qemu_plugin_register_vcpu_insn_exec_cb(insn, on_instruction, TE_QEMU_NO_REGISTERS, entry);
        if (entry->words != 0u) {
            qemu_plugin_register_vcpu_mem_cb(insn, on_access, TE_QEMU_NO_REGISTERS, TE_QEMU_READS_AND_WRITES, entry);
        }
    }
}

static void register_counting(qemu_plugin_id_t id) {
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
}

/* Until the call before the one that is counted, only the beginning of the function is looked at. */
static void on_early_call(unsigned cpu, void *context) {
    (void)cpu;
    (void)context;
    if (++calls == counted_call - 1u) {
        qemu_plugin_reset(plugin, register_counting);
    }
}

static void on_early_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
        if (qemu_plugin_insn_vaddr(insn) == function) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_early_call, TE_QEMU_NO_REGISTERS, NULL);
        }
    }
}

/* --- Arguments ------------------------------------------------------------------------------------------------------ */

/* A cache of so many bytes before the flash, of which each line may lie anywhere. */
static bool make_cache(te_cache *cache, uint32_t bytes, uint32_t line_bytes) {
    cache->line_bytes = line_bytes;
    cache->read_bytes = machine.flash.read_bytes;
    cache->lines = cache->ways = line_bytes != 0u ? bytes / line_bytes : 0u;
    return cache->lines <= TE_CACHE_LINES;
}

static bool take_arguments(int argc, char **argv) {
    uint32_t line_bytes = 0, instruction_bytes = 0, data_bytes = 0, prefetch = 0;
    const struct {
        const char *key;
        uint32_t *value;
    } numbers[] = {
        {"function", &function},
        {"call", &counted_call},
        {"hook", &hook},
        {"flash_begin", &machine.flash.begin},
        {"flash_end", &machine.flash.end},
        {"wait_states", &machine.flash.wait_states},
        {"read_bytes", &machine.flash.read_bytes},
        {"line_bytes", &line_bytes},
        {"instruction_cache_bytes", &instruction_bytes},
        {"data_cache_bytes", &data_bytes},
        {"prefetch", &prefetch},
    };
    for (int i = 0; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        bool known = false;
        if (value == NULL) {
            return false;
        }
        *value++ = '\0';
        if (strcmp(argv[i], "core") == 0) {
            core = te_find_core(value);
            known = core != NULL;
        } else if (strcmp(argv[i], "out") == 0) {
            out = fopen(value, "w");
            known = out != NULL;
        }
        for (size_t n = 0; n < sizeof numbers / sizeof numbers[0]; n++) {
            if (strcmp(argv[i], numbers[n].key) == 0) {
                *numbers[n].value = (uint32_t)strtoul(value, NULL, 0);
                known = true;
            }
        }
        if (!known) {
            (void)fprintf(stderr, "te_cycles: it does not take %s=%s\n", argv[i], value);
            return false;
        }
    }
    machine.flash.prefetch = prefetch != 0u;
    return core != NULL && out != NULL && function != 0u && counted_call != 0u &&
           make_cache(&machine.flash.instructions, instruction_bytes, line_bytes) &&
           make_cache(&machine.flash.data, data_bytes, line_bytes);
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
    (void)info;
    if (argc == 1 && strncmp(argv[0], "probe", 5) == 0) {
        (void)fputs("te_cycles: loaded\n", stderr);
        exit(EXIT_SUCCESS);
    }
    if (!take_arguments(argc, argv)) {
        (void)fputs("te_cycles: arguments are missing or wrong\n", stderr);
        return -1;
    }
    plugin = id;
    qemu_plugin_register_vcpu_tb_trans_cb(id, counted_call == 1u ? on_translation : on_early_translation);
    return 0;
}
