/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_cascade.h
 *  Which rows each layer of a cascade reads and writes when the layers run a stripe of rows at a time.
 *
 *  A stripe is some rows of the cascade's output. Before it come, in each layer before, the rows that it needs and that were
 *  not made yet: no row is made twice. A tensor within the cascade has a buffer of the rows that are needed at a time; what
 *  is still needed of them moves to its begin before more rows are made. */
#ifndef TE_CASCADE_H
#define TE_CASCADE_H

#include <stdint.h>

/** An image of a cascade, and the windows through which the layer that makes it reads others. */
typedef struct {
    int8_t *rows;      /**< The whole image, or the buffer of some of its rows. */
    int32_t row_bytes; /**< Of one row; buffer and row have the alignment of the values. */
    int32_t height;    /**< Rows of the whole image. */
    int32_t stride_h;  /**< Rows of the sources from a window to the next. */
    int32_t pad_top;   /**< Rows of padding before the first row of the sources. */
    int32_t window_h;  /**< Rows of the sources under one row. */
    int8_t sources[2]; /**< The images read, by their indices, which are lower than its own; -1 for none. Without any, the
                            image is there before the cascade runs. */
    int8_t is_whole;   /**< Whether `rows` is the whole image. */
} te_cascade_image;

/** What a layer does in one stripe, and has done so far. */
typedef struct {
    const int8_t *inputs[2]; /**< The first row of each source that lies under the stripe. */
    int8_t *output;          /**< The first row to make. */
    int32_t in_h;            /**< Rows under the stripe. */
    int32_t out_h;           /**< Rows to make; 0 where enough are there. */
    int32_t pad_top;         /**< Rows of padding before the first one under the stripe. */
    int32_t made;            /**< Rows made at the stripe's end. */
    int32_t held;            /**< Which row lies at the begin of the image's `rows`. */
    int32_t needed;          /**< The first row that this stripe or a later one reads. */
} te_cascade_stripe;

/** Begins an inference: only the images that no layer makes are there. */
void te_cascade_begin(const te_cascade_image *images, te_cascade_stripe *stripes, int32_t count);

/** Says what to do in the next stripe.
 *  @param images  (count), in the order of execution; the last is the cascade's output.
 *  @param stripes  (count), as the call for the stripe before left them.
 *  @param until   The row of the output at which the stripe ends, at most its height. */
void te_cascade_advance(const te_cascade_image *images, te_cascade_stripe *stripes, int32_t count, int32_t until);

#endif /* TE_CASCADE_H */
