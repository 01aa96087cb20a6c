/* SPDX-License-Identifier: Apache-2.0 */
#include "te_learning.h"

#include <stddef.h>

/* What the functions below need of one command. */
typedef struct {
    te_learning *learning;
    te_put put;
    uint32_t which; /* A class below the capacity, where the command takes one. */
    te_embed embed;
    void *context;
} te_call;

static void te_answer(te_put put, const char *name, uint32_t value) {
    te_put_text(put, name);
    te_put_text(put, "-[");
    te_put_unsigned(put, value);
    te_put_text(put, "]\r\n");
}

static void te_on_enroll(const te_call *call) {
    te_classes *classes = &call->learning->classes;
    const int8_t *embedding = call->embed(call->context);
    if (embedding == NULL) {
        return;
    }
    if (!te_classes_add(classes, call->which, embedding)) {
        te_put_text(call->put, "e-[class ");
        te_put_unsigned(call->put, call->which);
        te_put_text(call->put, " has ");
        te_put_unsigned(call->put, TE_CLASS_EXAMPLES);
        te_put_text(call->put, " examples, which is the most: te forget clears it]\r\n");
        return;
    }
    te_put_text(call->put, "te-enroll-[");
    te_put_unsigned(call->put, call->which);
    te_put_text(call->put, ",");
    te_put_unsigned(call->put, classes->counts[call->which]);
    te_put_text(call->put, "]\r\n");
}

static void te_on_classify(const te_call *call) {
    uint32_t distance = 0;
    const int8_t *embedding = call->embed(call->context);
    if (embedding == NULL) {
        return;
    }
    const int32_t nearest = te_classes_nearest(&call->learning->classes, embedding, &distance);
    if (nearest < 0) {
        te_put_text(call->put, "e-[no class has examples: use te enroll or te restore first]\r\n");
        return;
    }
    te_put_text(call->put, "te-class-[");
    te_put_signed(call->put, nearest);
    te_put_text(call->put, ",");
    te_put_unsigned(call->put, distance);
    te_put_text(call->put, "]\r\n");
}

static void te_on_forget(const te_call *call) {
    te_classes_forget(&call->learning->classes, call->which);
    te_answer(call->put, "te-forget", call->which);
}

static void te_on_classes(const te_call *call) {
    const te_classes *classes = &call->learning->classes;
    te_put_text(call->put, "te-classes-[");
    for (uint32_t which = 0; which < classes->classes; which++) {
        te_put_text(call->put, which > 0u ? "," : "");
        te_put_unsigned(call->put, classes->counts[which]);
    }
    te_put_text(call->put, "]\r\n");
}

static void te_write_outcome(const te_call *call, const char *name, te_store_status status) {
    static const char *const errors[] = {
        [TE_STORE_TOO_SMALL] = "there is no room for the classes where this board saves them",
        [TE_STORE_FAILED] = "the flash did not keep the classes",
        [TE_STORE_EMPTY] = "no classes were saved: use te save first",
        [TE_STORE_FOREIGN] = "the saved classes are of another model or of another number of classes",
        [TE_STORE_DAMAGED] = "the saved classes are damaged: their CRC is wrong",
    };
    if (status == TE_STORE_OK) {
        te_answer(call->put, name, call->learning->store.record->sequence);
        return;
    }
    te_put_text(call->put, "e-[");
    te_put_text(call->put, errors[status]);
    te_put_text(call->put, "]\r\n");
}

static void te_on_save(const te_call *call) {
    te_write_outcome(call, "te-save", te_store_save(&call->learning->store));
}

static void te_on_restore(const te_call *call) {
    te_learning *learning = call->learning;
    const te_store_status status = te_store_restore(&learning->store);
    for (uint32_t which = 0; status == TE_STORE_FAILED && which < learning->classes.classes; which++) {
        te_classes_forget(&learning->classes, which);
    }
    te_write_outcome(call, "te-restore", status);
}

bool te_run_learning_command(te_learning *learning, te_put put, const char *word, const uint32_t *number, te_embed embed,
                             void *context) {
    static const struct {
        const char *word;
        bool takes_class;
        void (*run)(const te_call *call);
    } commands[] = {
        {"enroll", true, te_on_enroll},    {"classify", false, te_on_classify}, {"forget", true, te_on_forget},
        {"classes", false, te_on_classes}, {"save", false, te_on_save},         {"restore", false, te_on_restore},
    };
    const uint32_t classes = learning->classes.classes;
    const te_call call = {learning, put, number == NULL ? 0u : *number, embed, context};
    for (uint32_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (!te_same_text(word, commands[i].word)) {
            continue;
        }
        if (commands[i].takes_class && (number == NULL || *number >= classes)) {
            te_put_text(put, "e-[te ");
            te_put_text(put, word);
            te_put_text(put, " needs a class from 0 to ");
            te_put_unsigned(put, classes - 1u);
            te_put_text(put, "]\r\n");
        } else {
            commands[i].run(&call);
        }
        return true;
    }
    return false;
}
