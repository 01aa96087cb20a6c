/* SPDX-License-Identifier: Apache-2.0 */
/** @file main.c
 *  The application: one model behind the serial protocol, for ever. */
#include <stddef.h>

#include "te_model.h"
#include "te_board.h"
#include "te_protocol.h"
#include "te_runtime.h"
#include "te_text.h"

#ifdef TE_PIXEL_TABLE
#include "te_pixel_table.h"
#define TE_PIXELS te_pixel_table
#else
#define TE_PIXELS NULL
#endif

#ifdef TE_MLPERF_AD01 /* Its input comes as float32, four bytes a value. */
#define TE_DB_BYTES (TE_MODEL_INPUTS_BYTES * 4)
#if TE_MODEL_OUTPUTS_BYTES != TE_MODEL_INPUTS_BYTES
#error "ad01 takes an autoencoder: as many outputs as inputs"
#endif
#else
#define TE_DB_BYTES TE_MODEL_INPUTS_BYTES
#endif

static uint8_t te_db[TE_DB_BYTES];
static te_protocol te_the_protocol;

int main(void) {
    te_board_init();
    const te_status status = te_runtime_init();
    if (status != TE_OK) {
        te_put_text(te_board_putc, "e-[the model could not be prepared: ");
        if (status == TE_ERR_SIZE) {
            te_put_text(te_board_putc, "it needs more than its arena of ");
            te_put_unsigned(te_board_putc, te_runtime_info()->arena_bytes);
            te_put_text(te_board_putc, " bytes]\r\n");
        } else {
            te_put_text(te_board_putc, "the runtime does not support it]\r\n");
        }
        return 1;
    }
    const te_protocol_config config = {
        .device = TE_BOARD_NAME,
        .version = TE_VERSION,
        .mlperf_id = TE_MLPERF_ID,
        .cpu = TE_BOARD_CPU,
        .clock = te_board_clock_source(),
        .count_unit = te_board_count_unit(),
        .clock_hz = te_board_clock_hz(),
        .stack_bytes = te_board_stack_bytes(),
        .pixels = TE_PIXELS,
        .db = te_db,
        .db_bytes = sizeof te_db,
        .put = te_board_putc,
        .microseconds = te_board_microseconds,
        .count = te_board_count,
        .wait = te_board_wait,
        .stack_used_bytes = te_board_stack_used_bytes,
#ifdef TE_UNIQUE_ID_WORDS
        .unique_id = te_board_unique_id(),
        .unique_id_words = TE_UNIQUE_ID_WORDS,
#endif
#ifdef TE_ENROLL_CLASSES
        .learning = te_open_learning(),
#endif
    };
    te_protocol_init(&te_the_protocol, &config);
    te_protocol_greet(&te_the_protocol);
    for (;;) {
        const int byte = te_board_getc();
        if (byte >= 0) {
            te_protocol_feed(&te_the_protocol, (char)byte);
        }
    }
}
