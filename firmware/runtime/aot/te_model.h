/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_model.h
 *  The compiled model of an image under names that do not change with it. Three definitions say which it is: for ic_model.h,
 *  TE_MODEL_HEADER is "ic_model.h" with the quotes, TE_MODEL is ic and TE_MODEL_UPPER is IC. */
#ifndef TE_MODEL_H
#define TE_MODEL_H

#include TE_MODEL_HEADER

#define TE_JOIN_EXPANDED(first, second) first##second
#define TE_JOIN(first, second) TE_JOIN_EXPANDED(first, second)

#define te_model_init TE_JOIN(TE_MODEL, _init)
#define te_model_invoke TE_JOIN(TE_MODEL, _invoke)
#define te_model_invoke_profiled TE_JOIN(TE_MODEL, _invoke_profiled)
#define te_model_reset TE_JOIN(TE_MODEL, _reset)

#define TE_MODEL_NAME TE_JOIN(TE_MODEL_UPPER, _NAME)
#define TE_MODEL_SHA256 TE_JOIN(TE_MODEL_UPPER, _SHA256)
#define TE_MODEL_INSTRUCTION_SET TE_JOIN(TE_MODEL_UPPER, _INSTRUCTION_SET)
#define TE_MODEL_ARENA_BYTES TE_JOIN(TE_MODEL_UPPER, _ARENA_BYTES)

#define TE_MODEL_STATE_BYTES TE_JOIN(TE_MODEL_UPPER, _STATE_BYTES)

/* Of a model with one output, as an image that learns classes has it. */
#define TE_MODEL_OUTPUT_BYTES TE_JOIN(TE_MODEL_UPPER, _OUTPUT_BYTES)
#define TE_MODEL_OUTPUT_ZERO_POINT TE_JOIN(TE_MODEL_UPPER, _OUTPUT_ZERO_POINT)

/* Both hand each tensor to another macro: (index, function, type, bytes, scale, zero point, rank, dimensions...). */
#define TE_MODEL_INPUTS TE_JOIN(TE_MODEL_UPPER, _INPUTS)
#define TE_MODEL_OUTPUTS TE_JOIN(TE_MODEL_UPPER, _OUTPUTS)
#define TE_MODEL_INPUTS_BYTES TE_JOIN(TE_MODEL_UPPER, _INPUTS_BYTES)
#define TE_MODEL_OUTPUTS_BYTES TE_JOIN(TE_MODEL_UPPER, _OUTPUTS_BYTES)

#define TE_MODEL_LAYER_COUNT TE_JOIN(TE_MODEL_UPPER, _LAYER_COUNT)
#define TE_MODEL_LAYERS TE_JOIN(TE_MODEL_UPPER, _LAYERS)

#endif /* TE_MODEL_H */
