/* SPDX-License-Identifier: Apache-2.0 */
#include "te_kernels.h"
#include "te_single_rounding.h"

#define BOX_NUMBERS 4

/** The detections so far, largest score first. */
typedef struct {
    float *boxes;   /* y_min, x_min, y_max, x_max of each. */
    float *classes;
    float *scores;
    int32_t count;
} te_detections;

/** What one class has, or each anchor at best. */
typedef struct {
    const int8_t *scores; /* Of the first anchor. */
    int32_t stride;
    int32_t class_index; /* ANY_CLASS: the first of the largest score. */
    int32_t most;        /* Detections that it may have. */
} te_candidates;

#define ANY_CLASS (-1)

static float center(double offset, float size, float position) {
    const double moved = te_rounded_f64(offset * (double)size);
    return (float)(moved + (double)position);
}

/** The corners of an anchor's box. */
static void decode(const te_detection_postprocess_params *params, const int8_t *encodings, int32_t anchor, float *box) {
    const int8_t *code = encodings + anchor * params->box_numbers;
    const float *place = params->anchors + anchor * BOX_NUMBERS;
    const float y = center(params->y[code[0] - INT8_MIN], place[2], place[0]);
    const float x = center(params->x[code[1] - INT8_MIN], place[3], place[1]);
    const float half_h = (float)(params->half_h[code[2] - INT8_MIN] * (double)place[2]);
    const float half_w = (float)(params->half_w[code[3] - INT8_MIN] * (double)place[3]);
    box[0] = y - half_h;
    box[1] = x - half_w;
    box[2] = y + half_h;
    box[3] = x + half_w;
}

static float area(const float *box) {
    return te_rounded_f32((box[2] - box[0]) * (box[3] - box[1]));
}

/** How far two boxes reach along an axis in common. */
static float common(const float *a, const float *b, int32_t axis) {
    const float low = a[axis] < b[axis] ? b[axis] : a[axis];
    const float high = b[axis + 2] < a[axis + 2] ? b[axis + 2] : a[axis + 2];
    return high - low < 0.0f ? 0.0f : high - low;
}

static float intersection_over_union(const float *a, const float *b) {
    const float area_a = area(a);
    const float area_b = area(b);
    if (area_a <= 0.0f || area_b <= 0.0f) {
        return 0.0f;
    }
    const float both = te_rounded_f32(common(a, b, 0) * common(a, b, 1));
    return both / (area_a + area_b - both);
}

/** Whether a detection of the same class, or in fast suppression any, covers a box. */
static int is_covered(const te_detections *found, const float *box, int32_t class_index, float threshold) {
    for (int32_t i = 0; i < found->count; ++i) {
        if (class_index != ANY_CLASS && found->classes[i] != (float)class_index) {
            continue;
        }
        if (intersection_over_union(found->boxes + i * BOX_NUMBERS, box) > threshold) {
            return 1;
        }
    }
    return 0;
}

/** Puts a detection at a position before those from there on; the last of as many as there may be is lost. */
static void insert(te_detections *found, int32_t position, int32_t limit, const float *box, int32_t class_index,
                   float score) {
    found->count += found->count < limit;
    for (int32_t i = found->count - 1; i > position; --i) {
        for (int32_t number = 0; number < BOX_NUMBERS; ++number) {
            found->boxes[i * BOX_NUMBERS + number] = found->boxes[(i - 1) * BOX_NUMBERS + number];
        }
        found->classes[i] = found->classes[i - 1];
        found->scores[i] = found->scores[i - 1];
    }
    for (int32_t number = 0; number < BOX_NUMBERS; ++number) {
        found->boxes[position * BOX_NUMBERS + number] = box[number];
    }
    found->classes[position] = (float)class_index;
    found->scores[position] = score;
}

static int32_t first_largest(const int8_t *scores, int32_t count) {
    int32_t largest = 0;
    for (int32_t i = 1; i < count; ++i) {
        if (scores[i] > scores[largest]) {
            largest = i;
        }
    }
    return largest;
}

/** Finds detections among candidates: the largest score first, of equal ones the first anchor.
 *
 *  A class's detections are all kept while it is looked at, for a candidate comes in only where a smaller score goes. */
static void suppress(const te_detection_postprocess_params *params, const int8_t *encodings, const int8_t *scores,
                     const te_candidates *candidates, te_detections *found) {
    int32_t left = candidates->most;
    int32_t code = INT8_MAX;
    while (code >= params->least_code) {
        const float score = params->score_scale * (float)(code - params->score_zero_point);
        int32_t next = INT8_MIN - 1;
        int32_t position = found->count;
        while (position > 0 && found->scores[position - 1] < score) {
            --position;
        }
        for (int32_t anchor = 0; anchor < params->anchor_count; ++anchor) {
            const int32_t candidate = candidates->scores[anchor * candidates->stride];
            float box[BOX_NUMBERS];
            if (candidate != code) {
                next = candidate < code && candidate > next ? candidate : next;
                continue;
            }
            if (left == 0 || position == params->max_detections) {
                return;
            }
            decode(params, encodings, anchor, box);
            if (!is_covered(found, box, candidates->class_index, params->iou_threshold)) {
                int32_t class_index = candidates->class_index;
                if (class_index == ANY_CLASS) {
                    class_index = first_largest(scores + anchor * params->score_columns, params->classes);
                }
                insert(found, position, params->max_detections, box, class_index, score);
                ++position;
                --left;
            }
        }
        code = next;
    }
}

void te_detection_postprocess_s8(const te_detection_postprocess_params *params, const int8_t *input1,
                                 const int8_t *input2, float *output, void *scratch) {
    const int32_t rows = params->rows;
    /* Behind that of the background, if there is one. */
    const int8_t *scores = input2 + (params->score_columns - params->classes);
    te_detections found = {output, output + BOX_NUMBERS * rows, output + (BOX_NUMBERS + 1) * rows, 0};
    float *count = output + (BOX_NUMBERS + 2) * rows;
    for (float *number = output; number < count; ++number) {
        *number = 0.0f;
    }
    if (params->class_detections > 0) {
        for (int32_t i = 0; i < params->classes; ++i) {
            const te_candidates of_class = {scores + i, params->score_columns, i, params->class_detections};
            suppress(params, input1, scores, &of_class, &found);
        }
    } else if (params->classes == 1) {
        const te_candidates only = {scores, params->score_columns, ANY_CLASS, params->max_detections};
        suppress(params, input1, scores, &only, &found);
    } else {
        int8_t *best = scratch;
        for (int32_t anchor = 0; anchor < params->anchor_count; ++anchor) {
            const int8_t *of_anchor = scores + anchor * params->score_columns;
            best[anchor] = of_anchor[first_largest(of_anchor, params->classes)];
        }
        const te_candidates at_best = {best, 1, ANY_CLASS, params->max_detections};
        suppress(params, input1, scores, &at_best, &found);
    }
    *count = (float)found.count;
}
