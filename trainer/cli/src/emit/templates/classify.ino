// Classifies a few rows and prints class, score and label of each.
#include <thumbnet.h>
#include <model.h>
#include "rows.h"

static thumbnet_model model;
static uint32_t scratch[MODEL_SCRATCH_WORDS];

// Prints what failed, and whether nothing did.
static bool is_well(const char *what, int32_t error)
{
    if (error != THUMBNET_OK) {
        Serial.print(what);
        Serial.print(": ");
        Serial.println(thumbnet_error_text(error));
    }
    return error == THUMBNET_OK;
}

void setup()
{
    Serial.begin(115200);
    float outputs[MODEL_OUTPUTS];
    if (!is_well("open", thumbnet_open(&model, model_blob, MODEL_BLOB_BYTES))
        || !is_well("self-test", thumbnet_self_test(&model, scratch, MODEL_SCRATCH_WORDS, outputs, MODEL_OUTPUTS))) {
        return;
    }
    // Read your sensors here.
    for (const float *row : rows) {
        thumbnet_class found;
        if (!is_well("classify", thumbnet_classify(&model, row, MODEL_INPUTS, scratch, MODEL_SCRATCH_WORDS,
                                                   outputs, MODEL_OUTPUTS, &found))) {
            return;
        }
        char label[64] = "";
        (void)thumbnet_label_copy(&model, found.index, label, sizeof label);
        Serial.print((unsigned long)found.index);
        Serial.print(" ");
        Serial.print(found.score, 6);
        Serial.print(" ");
        Serial.println(label);
    }
}

void loop()
{
}
