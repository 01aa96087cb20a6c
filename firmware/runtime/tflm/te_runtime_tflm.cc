/* SPDX-License-Identifier: Apache-2.0 */
/** @file te_runtime_tflm.cc
 *  te_runtime.h over TFLite Micro's interpreter, linked from upstream's library.
 *
 *  C++ without exceptions, run-time types, heap and static constructors: what has a constructor is made in static
 *  memory by te_runtime_init() and never destroyed. */
#include <new>

#include "te_model.h"
#include "te_runtime.h"
#include "te_tflm_model.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {

alignas(tflite::MicroInterpreter) unsigned char interpreter_memory[sizeof(tflite::MicroInterpreter)];
tflite::MicroInterpreter *interpreter;

/* In the order of te_model_info's members; C++17 has no other way to name them. */
te_model_info info = {
    TE_MODEL_NAME,
    "tflm",
    TE_TFLM_KERNELS,
    TE_MODEL_SHA256,
    0, /* The arena, which te_runtime_init() tells. */
    {TE_MODEL_INPUT_RANK, TE_MODEL_INPUT_DIMS, TE_MODEL_INPUT_BYTES, TE_MODEL_INPUT_SCALE, TE_MODEL_INPUT_ZERO_POINT},
    {TE_MODEL_OUTPUT_RANK, TE_MODEL_OUTPUT_DIMS, TE_MODEL_OUTPUT_BYTES, TE_MODEL_OUTPUT_SCALE,
     TE_MODEL_OUTPUT_ZERO_POINT},
    TE_MODEL_LAYER_COUNT,
    nullptr,
};

bool is_int8(const TfLiteTensor *tensor, int32_t bytes) {
    return tensor != nullptr && tensor->type == kTfLiteInt8 && tensor->bytes == static_cast<size_t>(bytes);
}

} // namespace

te_status te_runtime_init(void) {
    info.arena_bytes = te_tflm_arena_bytes;
    const tflite::Model *model = tflite::GetModel(te_tflm_model);
    const tflite::MicroOpResolver *resolver = te_tflm_resolver();
    if (model->version() != TFLITE_SCHEMA_VERSION || resolver == nullptr) {
        return TE_ERR_UNSUPPORTED;
    }
    interpreter = new (interpreter_memory)
        tflite::MicroInterpreter(model, *resolver, te_tflm_arena, te_tflm_arena_bytes);
    if (interpreter->AllocateTensors() != kTfLiteOk) {
        return TE_ERR_SIZE;
    }
    /* A library of another ABI than these headers would show here, if not before. */
    if (!is_int8(interpreter->input(0), TE_MODEL_INPUT_BYTES) || !is_int8(interpreter->output(0), TE_MODEL_OUTPUT_BYTES)) {
        return TE_ERR_UNSUPPORTED;
    }
    info.arena_bytes = static_cast<uint32_t>(interpreter->arena_used_bytes());
    return TE_OK;
}

const te_model_info *te_runtime_info(void) {
    return &info;
}

int8_t *te_runtime_input(void) {
    return interpreter->input(0)->data.int8;
}

/* A library without error strings calls no profiler, so there is nothing that could call the hook. */
te_status te_runtime_invoke(te_layer_hook, void *) {
    return interpreter->Invoke() == kTfLiteOk ? TE_OK : TE_ERR_STATE;
}

const int8_t *te_runtime_output(void) {
    return interpreter->output(0)->data.int8;
}

/* The vtables of the library's abstract classes point to it. Nothing calls it. */
extern "C" void __cxa_pure_virtual(void) {
    for (;;) {
    }
}
