/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_classes.h
 *  Classes learned on the device: the mean of each class's embeddings, and which of them an embedding is nearest to.
 *
 *  A class is a count and a sum of int8 embeddings, so a mean is exact and the order of the examples does not matter.
 *  Nearest is by the cosine of the angle between the embedding and the class's mean, both less the embedding's zero
 *  point. All of it is integers: a host that follows te_classes_nearest() gets the same class and the same distance. */
#ifndef TE_CLASSES_H
#define TE_CLASSES_H

#include <stdbool.h>
#include <stdint.h>

/** The most examples of a class: 255 * -128 is a sum that int16 holds. */
#define TE_CLASS_EXAMPLES 255u

/** The most values of an embedding: 64 bits then hold every product of accumulators. */
#define TE_CLASS_VALUES 16384u

/** A distance is 1 minus the cosine, in units of 2^-24: 0 to 2^25. */
#define TE_DISTANCE_BITS 24

typedef struct {
    uint32_t classes;      /**< How many there can be, at least 1. */
    uint32_t values;       /**< Of an embedding: 1 to TE_CLASS_VALUES. */
    int32_t zero_point;    /**< Of the embedding, [-128, 127]. */
    uint16_t *counts;      /**< (classes,) examples, 0 to TE_CLASS_EXAMPLES. */
    int16_t *accumulators; /**< (classes, values) sums of the examples as they are, the zero point in them. */
} te_classes;

/** Adds an example to a class.
 *  @param embedding  classes->values values.
 *  @return false, and nothing is added, where the class has TE_CLASS_EXAMPLES examples. */
bool te_classes_add(te_classes *classes, uint32_t which, const int8_t *embedding);

/** Clears a class. */
void te_classes_forget(te_classes *classes, uint32_t which);

/** Finds the class with examples whose distance is the smallest, the lowest of several.
 *
 *  With c = embedding - zero point and C = sum - count * zero point of a class, for each of the two vectors v let s be
 *  the largest integer with |v|^2 * 4^s < 2^62 and r = floor(sqrt(|v|^2 * 4^s)). Then the distance is
 *
 *      max(0, 2^24 - (c . C) * 2^(s_c + s_C) / floor(r_c * r_C / 2^24))
 *
 *  with the quotient rounded towards 0; it is 2^24 where c or C is 0.
 *  @param distance  Receives that class's.
 *  @return The class, or -1 where none has examples. */
int32_t te_classes_nearest(const te_classes *classes, const int8_t *embedding, uint32_t *distance);

#endif /* TE_CLASSES_H */
