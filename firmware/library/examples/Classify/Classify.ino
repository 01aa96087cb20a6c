// SPDX-License-Identifier: Apache-2.0
// Classifies an input of zeros once a second and prints the most likely class.
#include <model.h>

void setup() {
    Serial.begin(115200);
}

void loop() {
    memset(te_model_input(), TE_MODEL_INPUT_ZERO_POINT, TE_MODEL_INPUT_BYTES);
    const unsigned long start_us = micros();
    te_model_invoke(NULL, NULL);
    const unsigned long latency_us = micros() - start_us;

    const int8_t *output = te_model_output();
    int best = 0;
    for (int i = 1; i < TE_MODEL_OUTPUT_BYTES; ++i) {
        best = output[i] > output[best] ? i : best;
    }
    Serial.print("class ");
    Serial.print(best);
    Serial.print(" in ");
    Serial.print(latency_us);
    Serial.println(" us");
    delay(1000);
}
