/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_tflm_model.h
 *  What `tinyedge build --runtime tflm` generates of a model beside its te_model.h: the file itself, a resolver that knows
 *  its operators and no other, and the arena. */
#ifndef TE_TFLM_MODEL_H
#define TE_TFLM_MODEL_H

#include <stdint.h>

/* Where TFLite Micro wants its flatbuffer and its arena to begin. */
#define TE_TFLM_ALIGNMENT 16

#ifdef __cplusplus
#include "tensorflow/lite/micro/micro_op_resolver.h"

/** Makes the resolver; to be called once.
 *  @return nullptr where an operator could not be registered. */
const tflite::MicroOpResolver *te_tflm_resolver();

extern "C" {
#endif

/** The .tflite file, aligned to TE_TFLM_ALIGNMENT. */
extern const unsigned char te_tflm_model[];

/** The interpreter's memory, aligned to TE_TFLM_ALIGNMENT, and its size. */
extern unsigned char te_tflm_arena[];
extern const uint32_t te_tflm_arena_bytes;

#ifdef __cplusplus
}
#endif

#endif /* TE_TFLM_MODEL_H */
