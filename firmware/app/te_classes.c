/* SPDX-License-Identifier: Apache-2.0 */
#include "te_classes.h"

#include <string.h>

#define TE_ONE ((int64_t)1 << TE_DISTANCE_BITS)
#define TE_NORM_LIMIT ((uint64_t)1 << 62)

/* The length of a vector as root * 2^-shift, with as many bits as there are: root is in [2^30, 2^31), or 0. */
typedef struct {
    uint64_t root;
    uint32_t shift;
} te_norm;

/* floor(sqrt(value)) for value < 2^62: a bit of the root a turn, the highest first. */
static uint64_t te_square_root(uint64_t value) {
    uint64_t root = 0;
    for (uint64_t bit = TE_NORM_LIMIT >> 2; bit != 0u; bit >>= 2) {
        if (value >= root + bit) {
            value -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return root;
}

static te_norm te_norm_of(uint64_t square) {
    te_norm norm = {0u, 0u};
    if (square != 0u) {
        while (square < TE_NORM_LIMIT >> 2) {
            square <<= 2;
            norm.shift++;
        }
        norm.root = te_square_root(square);
    }
    return norm;
}

static te_norm te_embedding_norm(const te_classes *classes, const int8_t *embedding) {
    uint64_t square = 0;
    for (uint32_t i = 0; i < classes->values; i++) {
        const int32_t value = embedding[i] - classes->zero_point;
        square += (uint32_t)(value * value);
    }
    return te_norm_of(square);
}

static uint32_t te_distance(const te_classes *classes, uint32_t which, const int8_t *embedding, te_norm norm) {
    const int16_t *accumulators = classes->accumulators + (size_t)which * classes->values;
    const int32_t offset = classes->counts[which] * classes->zero_point;
    uint64_t square = 0;
    int64_t product = 0;
    for (uint32_t i = 0; i < classes->values; i++) {
        const int32_t sum = accumulators[i] - offset; /* At most 255 * 255, whose square 32 bits hold. */
        square += (uint64_t)((uint32_t)(sum < 0 ? -sum : sum)) * (uint32_t)(sum < 0 ? -sum : sum);
        product += (int64_t)((embedding[i] - classes->zero_point) * sum);
    }
    const te_norm own = te_norm_of(square);
    if (norm.root == 0u || own.root == 0u) {
        return (uint32_t)TE_ONE;
    }
    /* By Cauchy-Schwarz the product is below 2^62 when both norms are scaled to below 2^31. */
    const int64_t scaled = product * ((int64_t)1 << (norm.shift + own.shift));
    const int64_t cosine = scaled / (int64_t)((norm.root * own.root) >> TE_DISTANCE_BITS);
    return cosine > TE_ONE ? 0u : (uint32_t)(TE_ONE - cosine);
}

bool te_classes_add(te_classes *classes, uint32_t which, const int8_t *embedding) {
    if (classes->counts[which] >= TE_CLASS_EXAMPLES) {
        return false;
    }
    int16_t *accumulators = classes->accumulators + (size_t)which * classes->values;
    for (uint32_t i = 0; i < classes->values; i++) {
        accumulators[i] = (int16_t)(accumulators[i] + embedding[i]);
    }
    classes->counts[which]++;
    return true;
}

void te_classes_forget(te_classes *classes, uint32_t which) {
    classes->counts[which] = 0;
    memset(classes->accumulators + (size_t)which * classes->values, 0, classes->values * sizeof *classes->accumulators);
}

int32_t te_classes_nearest(const te_classes *classes, const int8_t *embedding, uint32_t *distance) {
    const te_norm norm = te_embedding_norm(classes, embedding);
    int32_t nearest = -1;
    for (uint32_t which = 0; which < classes->classes; which++) {
        if (classes->counts[which] == 0u) {
            continue;
        }
        const uint32_t one = te_distance(classes, which, embedding, norm);
        if (nearest < 0 || one < *distance) {
            nearest = (int32_t)which;
            *distance = one;
        }
    }
    return nearest;
}
