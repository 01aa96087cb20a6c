/* SPDX-License-Identifier: Apache-2.0 */
#include "te_stream.h"

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

static int32_t first_row_under(const te_stream_image *image, int32_t row) {
    const int32_t origin = row * image->stride_h - image->pad_top;
    return origin > 0 ? origin : 0;
}

static int32_t last_row_under(const te_stream_image *image, int32_t row, int32_t height) {
    const int32_t end = row * image->stride_h - image->pad_top + image->window_h;
    return end < height ? end : height;
}

void te_stream_begin(const te_stream_image *images, te_stream_strip *strips, int32_t count) {
    for (int32_t i = 0; i < count; ++i) {
        strips[i].made = images[i].sources[0] < 0 ? images[i].height : 0;
        strips[i].held = 0;
    }
}

/** From the output back to the sources: how many rows to make, and which are still needed. */
static void demand(const te_stream_image *images, te_stream_strip *strips, int32_t count, int32_t until) {
    for (int32_t i = 0; i < count; ++i) {
        strips[i].out_h = 0;
        strips[i].needed = strips[i].made;
    }
    strips[count - 1].out_h = until - strips[count - 1].made;
    for (int32_t i = count - 1; i >= 0; --i) {
        const te_stream_image *image = images + i;
        const te_stream_strip *strip = strips + i;
        const int32_t end = strip->made + strip->out_h;
        for (int32_t j = 0; j < 2 && image->sources[j] >= 0; ++j) {
            const int32_t height = images[image->sources[j]].height;
            te_stream_strip *source = strips + image->sources[j];
            const int32_t first = first_row_under(image, strip->made);
            const int32_t rows = strip->out_h > 0 ? last_row_under(image, end - 1, height) - source->made : 0;
            if (rows > source->out_h) {
                source->out_h = rows;
            }
            if (first < source->needed) {
                source->needed = first;
            }
        }
    }
}

void te_stream_advance(const te_stream_image *images, te_stream_strip *strips, int32_t count, int32_t until) {
    demand(images, strips, count, until);
    for (int32_t i = 0; i < count; ++i) {
        const te_stream_image *image = images + i;
        te_stream_strip *strip = strips + i;
        if (!image->is_whole && strip->needed > strip->held) {
            move_down(image->rows, image->rows + (strip->needed - strip->held) * image->row_bytes,
                      (strip->made - strip->needed) * image->row_bytes);
            strip->held = strip->needed;
        }
        strip->output = image->rows + (strip->made - strip->held) * image->row_bytes;
        for (int32_t j = 0; j < 2 && image->sources[j] >= 0 && strip->out_h > 0; ++j) {
            const te_stream_image *source = images + image->sources[j];
            const int32_t first = first_row_under(image, strip->made);
            const int32_t end = last_row_under(image, strip->made + strip->out_h - 1, source->height);
            strip->pad_top = first - (strip->made * image->stride_h - image->pad_top);
            strip->in_h = end - first;
            strip->inputs[j] = source->rows + (first - strips[image->sources[j]].held) * source->row_bytes;
        }
        strip->made += strip->out_h;
    }
}
