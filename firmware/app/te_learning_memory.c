/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_learning_memory.c
 *  The memory of the classes, sized at build time by the model and the number of classes. */
#include <string.h>

#include "te_model.h"
#include "te_board_store.h"
#include "te_learning.h"

#define TE_COUNT_BYTES (TE_ENROLL_CLASSES * 2u)
#define TE_ACCUMULATOR_BYTES (TE_ENROLL_CLASSES * TE_MODEL_OUTPUT_BYTES * 2u)
#define TE_CONTENTS_BYTES (sizeof(te_store_header) + TE_COUNT_BYTES + TE_ACCUMULATOR_BYTES)
#define TE_RECORD_BYTES TE_STORE_RECORD_BYTES(TE_CONTENTS_BYTES)

/* As it lies in the flash, so that a save copies nothing. */
static struct {
    te_store_header header;
    uint16_t counts[TE_ENROLL_CLASSES];
    int16_t accumulators[TE_ENROLL_CLASSES * TE_MODEL_OUTPUT_BYTES];
    /* cppcheck-suppress unusedStructMember ; te_store.c writes it as bytes of the record. */
    uint8_t fill_and_crc[TE_RECORD_BYTES - TE_CONTENTS_BYTES];
} record;

/* Where one of these does not hold, an array has -1 elements. */
typedef char te_the_record_has_no_gaps[sizeof record == TE_RECORD_BYTES ? 1 : -1];
typedef char te_the_embedding_is_short_enough[TE_MODEL_OUTPUT_BYTES <= TE_CLASS_VALUES ? 1 : -1];

static te_learning learning = {
    .classes =
        {
            .classes = TE_ENROLL_CLASSES,
            .values = TE_MODEL_OUTPUT_BYTES,
            .zero_point = TE_MODEL_OUTPUT_ZERO_POINT,
            .counts = record.counts,
            .accumulators = record.accumulators,
        },
};

te_learning *te_open_learning(void) {
    te_store_flash flash;
    record.header.classes = TE_ENROLL_CLASSES;
    record.header.values = TE_MODEL_OUTPUT_BYTES;
    memcpy(record.header.model, TE_MODEL_SHA256, sizeof record.header.model);
    te_board_open_store(&flash, sizeof record);
    te_store_init(&learning.store, &flash, &record.header, sizeof record);
    return &learning;
}
