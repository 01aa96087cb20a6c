/* SPDX-License-Identifier: Apache-2.0 */
/** @file case_program.c
 *  Runs the cases in order. Each run appends to the file of outputs its ticks (8 bytes), its output, and a byte: whether
 *  all writes stayed within its buffers. */
#include "case_program.h"

static void case_nothing(void *const *inputs, void *output, void *scratch) {
    (void)inputs;
    (void)output;
    (void)scratch;
}

/* The same code times a case and nothing at all; volatile keeps the compiler from seeing through either call. */
static uint64_t case_time(void (*volatile run)(void *const *, void *, void *), void *const *inputs, void *output,
                          void *scratch) {
    const uint64_t start = case_ticks();
    run(inputs, output, scratch);
    return case_ticks() - start;
}

static bool case_run_once(const case_entry *entry) {
    void *inputs[CASE_MAX_INPUTS];
    for (int32_t k = 0; k < entry->inputs; k++) {
        inputs[k] = case_buffer(entry->input_bytes[k]);
        if (inputs[k] == NULL || !case_read(inputs[k], entry->input_bytes[k])) {
            return false;
        }
    }
    void *output = case_buffer(entry->output_bytes);
    void *scratch = entry->scratch_bytes > 0u ? case_buffer(entry->scratch_bytes) : NULL;
    if (output == NULL || (entry->scratch_bytes > 0u && scratch == NULL)) {
        return false;
    }
    const uint64_t overhead = case_time(case_nothing, inputs, output, scratch);
    const uint64_t with_overhead = case_time(entry->run, inputs, output, scratch);
    const uint64_t ticks = with_overhead > overhead ? with_overhead - overhead : 0u;
    const bool written = case_write(&ticks, sizeof ticks) && case_write(output, entry->output_bytes);
    const uint8_t within = case_release() ? 1u : 0u;
    return written && case_write(&within, sizeof within);
}

int main(void) {
    if (!case_open()) {
        case_exit(2);
    }
    for (int32_t i = 0; i < case_entry_count; i++) {
        for (int32_t run = 0; run < case_entries[i].runs; run++) {
            if (!case_run_once(&case_entries[i])) {
                case_exit(3);
            }
        }
    }
    case_exit(0);
    return 0;
}
