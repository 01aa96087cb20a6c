/* SPDX-License-Identifier: Apache-2.0 */
#include "te_cascade.h"

#include <string.h>

/** Moves bytes down in memory, where they may overlap. memmove() of small libraries goes byte by byte. */
static void move_down(int8_t *to, const int8_t *from, int32_t bytes) {
    for (; bytes >= 16; bytes -= 16) {
        uint32_t words[4];
        memcpy(words, from, sizeof words);
        memcpy(to, words, sizeof words);
        from += sizeof words;
        to += sizeof words;
    }
    for (; bytes > 0; --bytes) {
        *to++ = *from++;
    }
}

static int32_t first_row_under(const te_cascade_image *image, int32_t row) {
    const int32_t origin = row * image->stride_h - image->pad_top;
    return origin > 0 ? origin : 0;
}

static int32_t last_row_under(const te_cascade_image *image, int32_t row, int32_t height) {
    const int32_t end = row * image->stride_h - image->pad_top + image->window_h;
    return end < height ? end : height;
}

void te_cascade_begin(const te_cascade_image *images, te_cascade_stripe *stripes, int32_t count) {
    for (int32_t i = 0; i < count; ++i) {
        stripes[i].made = images[i].sources[0] < 0 ? images[i].height : 0;
        stripes[i].held = 0;
    }
}

/** From the output back to the sources: how many rows to make, and which are still needed. */
static void demand(const te_cascade_image *images, te_cascade_stripe *stripes, int32_t count, int32_t until) {
    for (int32_t i = 0; i < count; ++i) {
        stripes[i].out_h = 0;
        stripes[i].needed = stripes[i].made;
    }
    stripes[count - 1].out_h = until - stripes[count - 1].made;
    for (int32_t i = count - 1; i >= 0; --i) {
        const te_cascade_image *image = images + i;
        const te_cascade_stripe *stripe = stripes + i;
        const int32_t end = stripe->made + stripe->out_h;
        for (int32_t j = 0; j < 2 && image->sources[j] >= 0; ++j) {
            const int32_t height = images[image->sources[j]].height;
            te_cascade_stripe *source = stripes + image->sources[j];
            const int32_t first = first_row_under(image, stripe->made);
            const int32_t rows = stripe->out_h > 0 ? last_row_under(image, end - 1, height) - source->made : 0;
            if (rows > source->out_h) {
                source->out_h = rows;
            }
            if (first < source->needed) {
                source->needed = first;
            }
        }
    }
}

void te_cascade_advance(const te_cascade_image *images, te_cascade_stripe *stripes, int32_t count, int32_t until) {
    demand(images, stripes, count, until);
    for (int32_t i = 0; i < count; ++i) {
        const te_cascade_image *image = images + i;
        te_cascade_stripe *stripe = stripes + i;
        if (!image->is_whole && stripe->needed > stripe->held) {
            move_down(image->rows, image->rows + (stripe->needed - stripe->held) * image->row_bytes,
                      (stripe->made - stripe->needed) * image->row_bytes);
            stripe->held = stripe->needed;
        }
        stripe->output = image->rows + (stripe->made - stripe->held) * image->row_bytes;
        for (int32_t j = 0; j < 2 && image->sources[j] >= 0 && stripe->out_h > 0; ++j) {
            const te_cascade_image *source = images + image->sources[j];
            const int32_t first = first_row_under(image, stripe->made);
            const int32_t end = last_row_under(image, stripe->made + stripe->out_h - 1, source->height);
            stripe->pad_top = first - (stripe->made * image->stride_h - image->pad_top);
            stripe->in_h = end - first;
            stripe->inputs[j] = source->rows + (first - stripes[image->sources[j]].held) * source->row_bytes;
        }
        stripe->made += stripe->out_h;
    }
}
