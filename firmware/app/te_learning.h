/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_learning.h
 *  The commands that learn classes on the device (te enroll, classify, forget, classes, save, restore), for images
 *  whose model gives an embedding. */
#ifndef TE_LEARNING_H
#define TE_LEARNING_H

#include <stdbool.h>
#include <stdint.h>

#include "te_classes.h"
#include "te_store.h"
#include "te_text.h"

/** The classes, and where they are saved. */
typedef struct {
    te_classes classes;
    te_store store; /**< Its record holds the counts and the accumulators of `classes`. */
} te_learning;

/** This image's classes, TE_ENROLL_CLASSES of them, without examples; call once. In te_learning_memory.c. */
te_learning *te_open_learning(void);

/** Runs the model on the loaded input.
 *  @return Its output, or NULL where there is no input; then the answer has said so. */
typedef const int8_t *(*te_embed)(void *context);

/** Answers one of these commands.
 *  @param word    What follows `te`.
 *  @param number  The class, or NULL where none, or no number, was given.
 *  @return false, and nothing is said, where `word` is none of them. */
bool te_run_learning_command(te_learning *learning, te_put put, const char *word, const uint32_t *number, te_embed embed,
                             void *context);

#endif /* TE_LEARNING_H */
