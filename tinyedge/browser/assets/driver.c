/* SPDX-License-Identifier: Apache-2.0 */
/** @file driver.c
 *  What a page calls of a model, as exports of a WebAssembly module. tinyedge/browser/wasm.py defines
 *
 *      TE_WEB_VALUES      of the embedding, 0 where the model has none to learn from
 *      TE_WEB_EMBEDDING   which of the model's outputs it is
 *      TE_WEB_ZERO_POINT  of the embedding
 *      TE_WEB_CLASSES     how many classes can be learned
 *
 *  Filling the input may overwrite the outputs, so they are read, and learned from, before that. */
#include <stddef.h>
#include <stdint.h>

#include "page_model.h"

#define TE_EXPORT(name) __attribute__((export_name(#name)))

TE_EXPORT(start) int32_t te_web_start(void);
TE_EXPORT(input) void *te_web_input(void);
TE_EXPORT(invoke) int32_t te_web_invoke(void);
TE_EXPORT(output) const void *te_web_output(int32_t index);

int32_t te_web_start(void) {
    return (int32_t)page_init();
}

void *te_web_input(void) {
    return page_input();
}

int32_t te_web_invoke(void) {
    return (int32_t)page_invoke();
}

#define TE_WEB_RETURN(index, function, type, bytes, ...) \
    case index:                                          \
        return function();

const void *te_web_output(int32_t index) {
    switch (index) {
        PAGE_OUTPUTS(TE_WEB_RETURN)
        default:
            return NULL;
    }
}

#if TE_WEB_VALUES > 0

#include "te_classes.h"

TE_EXPORT(enroll) int32_t te_web_enroll(uint32_t which);
TE_EXPORT(forget) void te_web_forget(uint32_t which);
TE_EXPORT(count) uint32_t te_web_count(uint32_t which);
TE_EXPORT(nearest) int32_t te_web_nearest(void);
TE_EXPORT(distance) uint32_t te_web_distance(uint32_t which);

static uint16_t te_web_counts[TE_WEB_CLASSES];
static int16_t te_web_sums[TE_WEB_CLASSES * TE_WEB_VALUES];
static te_classes te_web_classes = {TE_WEB_CLASSES, TE_WEB_VALUES, TE_WEB_ZERO_POINT, te_web_counts, te_web_sums};

/** Adds the embedding of the last inference to a class; 0 where the class is full. */
int32_t te_web_enroll(uint32_t which) {
    return te_classes_add(&te_web_classes, which, (const int8_t *)te_web_output(TE_WEB_EMBEDDING)) ? 1 : 0;
}

void te_web_forget(uint32_t which) {
    te_classes_forget(&te_web_classes, which);
}

uint32_t te_web_count(uint32_t which) {
    return te_web_counts[which];
}

/** The class nearest to the embedding of the last inference, or -1 where none has examples. */
int32_t te_web_nearest(void) {
    uint32_t distance = 0;
    return te_classes_nearest(&te_web_classes, (const int8_t *)te_web_output(TE_WEB_EMBEDDING), &distance);
}

/** Of the last inference's embedding from a class that has examples: 1 minus the cosine, in units of 2^-24. */
uint32_t te_web_distance(uint32_t which) {
    const te_classes one = {1u, TE_WEB_VALUES, TE_WEB_ZERO_POINT, te_web_counts + which,
                            te_web_sums + which * TE_WEB_VALUES};
    uint32_t distance = 0;
    (void)te_classes_nearest(&one, (const int8_t *)te_web_output(TE_WEB_EMBEDDING), &distance);
    return distance;
}

#endif
