/* SPDX-License-Identifier: Apache-2.0 */
/** @file protocol_fuzzer.c
 *  libFuzzer over the serial protocol: the bytes are the line, the first one chooses the benchmark. Any command line gets
 *  one answer, of printable lines, the last of them "m-ready"; the sanitizers see every other byte that is touched. */
#include <stdlib.h>
#include <string.h>

#include "te_protocol.h"
#include "te_runtime.h"

#define FUZZ_VALUES 24
#define FUZZ_READY "m-ready\r\n"
/* A fuzzer asks for four billion inferences before long. */
#define FUZZ_MOST_INFERENCES 50u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- A model ------------------------------------------------------------------------------------------------------- */

static const te_layer_info fuzz_layers[2] = {
    {.name = "first, layer", .op = "OP", .kernel = "kernel_s8", .macs = 3u},
    {.name = "second]\x01\xff", .op = "OP", .kernel = "kernel_s8", .macs = 4294967295u},
};
static const te_tensor_info fuzz_input_info = {
    .type = TE_TYPE_INT8, .rank = 4, .dims = {1, 2, 4, 3}, .bytes = FUZZ_VALUES, .scale = 0.01f, .zero_point = -128};
static const te_tensor_info fuzz_output_info = {
    .type = TE_TYPE_INT8, .rank = 2, .dims = {1, FUZZ_VALUES}, .bytes = FUZZ_VALUES, .scale = 1e30f, .zero_point = 3};
static const te_model_info fuzz_info = {
    .name = "fuzz \"\\\x7f",
    .runtime = "aot",
    .instruction_set = "portable",
    .sha256 = "0123456789abcdef0123456789abcdef",
    .arena_bytes = 48u,
    .input_count = 1,
    .inputs = &fuzz_input_info,
    .output_count = 1,
    .outputs = &fuzz_output_info,
    .layer_count = 2,
    .layers = fuzz_layers,
};
static int8_t *fuzz_input;
static int8_t *fuzz_output;
static uint32_t fuzz_inferences;

te_status te_runtime_init(void) {
    return TE_OK;
}

const te_model_info *te_runtime_info(void) {
    return &fuzz_info;
}

void *te_runtime_input(int32_t index) {
    if (index != 0) {
        abort();
    }
    return fuzz_input;
}

te_status te_runtime_reset(void) {
    return TE_OK;
}

const void *te_runtime_output(int32_t index) {
    if (index != 0) {
        abort();
    }
    return fuzz_output;
}

te_status te_runtime_invoke(te_layer_hook hook, void *context) {
    if (++fuzz_inferences > FUZZ_MOST_INFERENCES) {
        return (te_status)(TE_OK + 1);
    }
    for (int32_t i = 0; i < FUZZ_VALUES; i++) {
        fuzz_output[i] = fuzz_input[FUZZ_VALUES - 1 - i];
        fuzz_input[i] = 0;
    }
    for (int32_t layer = -1; hook != NULL && layer <= 2; layer++) {
        hook(context, layer); /* One too many at either end. */
    }
    return TE_OK;
}

/* --- A board ------------------------------------------------------------------------------------------------------- */

static uint64_t fuzz_now;
static uint32_t fuzz_answers;
static char fuzz_last[sizeof FUZZ_READY];

static void fuzz_put(char byte) {
    if (!(byte >= ' ' && byte <= '~') && byte != '\r' && byte != '\n') {
        abort();
    }
    memmove(fuzz_last, fuzz_last + 1, sizeof fuzz_last - 2u);
    fuzz_last[sizeof fuzz_last - 2u] = byte;
    fuzz_answers += strcmp(fuzz_last, FUZZ_READY) == 0 ? 1u : 0u;
}

static uint64_t fuzz_clock(void) {
    return fuzz_now += 7u;
}

static uint32_t fuzz_wait(uint32_t counts) {
    fuzz_now += counts;
    return 0u;
}

static uint32_t fuzz_stack_used_bytes(void) {
    return 1u;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const benchmarks[] = {"", "ic01", "kws01", "ad01", "ic01"};
    static const te_pixel_values pixels[TE_PIXEL_CHANNELS] = {{1}, {2}, {3}};
    if (size == 0u) {
        return 0;
    }
    const uint32_t benchmark = data[0] % 5u;
    const uint32_t db_bytes = FUZZ_VALUES * (benchmark == 3u ? 4u : 1u);
    /* From the heap, so that the address sanitizer guards both ends of each. */
    uint8_t *db = malloc(db_bytes);
    te_protocol *protocol = malloc(sizeof *protocol);
    fuzz_input = malloc(FUZZ_VALUES);
    fuzz_output = malloc(FUZZ_VALUES);
    if (db == NULL || protocol == NULL || fuzz_input == NULL || fuzz_output == NULL) {
        abort();
    }
    memset(db, 0, db_bytes);
    memset(fuzz_output, 0, FUZZ_VALUES);
    memset(fuzz_last, ' ', sizeof fuzz_last - 1u);
    fuzz_answers = 0;
    fuzz_inferences = 0;
    const te_protocol_config config = {
        .device = "fuzz",
        .version = "0",
        .mlperf_id = benchmarks[benchmark],
        .cpu = "host",
        .clock = "none",
        .count_unit = "ticks",
        .clock_hz = 1u,
        .stack_bytes = 2u,
        .pixels = benchmark == 4u ? pixels : NULL,
        .db = db,
        .db_bytes = db_bytes,
        .put = fuzz_put,
        .microseconds = fuzz_clock,
        .count = fuzz_clock,
        .wait = fuzz_wait,
        .stack_used_bytes = fuzz_stack_used_bytes,
    };
    te_protocol_init(protocol, &config);
    te_protocol_greet(protocol);
    for (size_t i = 1; i < size; i++) {
        const uint32_t before = fuzz_answers;
        te_protocol_feed(protocol, (char)data[i]);
        if (fuzz_answers - before != (data[i] == '%' ? 1u : 0u)) {
            abort();
        }
        if (data[i] == '%' && strcmp(fuzz_last, FUZZ_READY) != 0) {
            abort();
        }
    }
    free(db);
    free(protocol);
    free(fuzz_input);
    free(fuzz_output);
    return 0;
}
