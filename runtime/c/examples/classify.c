/* Opens the model, tests it, and prints the bits of every row's outputs, and its class. */
#include "model.h"
#include "qemu/semihosting.h"
#include "rows.h"
#include "thumbnet.h"

static thumbnet_model model;
static uint32_t scratch[MODEL_SCRATCH_WORDS];

/* Prints what failed, and stops. */
static void check(const char *what, int32_t error)
{
    if (error != THUMBNET_OK) {
        print(what);
        print(": ");
        print(thumbnet_error_text(error));
        print("\n");
        stop(1);
    }
}

static void print_row(const float outputs[MODEL_OUTPUTS], const thumbnet_class *found)
{
    char label[64];

    for (size_t i = 0; i < MODEL_OUTPUTS; i++) {
        print_bits(outputs[i]);
    }
    print_number(found->index);
    if (thumbnet_label_copy(&model, found->index, label, sizeof label) == THUMBNET_OK) {
        print(label);
    }
    print("\n");
}

int main(void)
{
    float outputs[MODEL_OUTPUTS];
    thumbnet_class found;

    check("open", thumbnet_open(&model, model_blob, MODEL_BLOB_BYTES));
    check("self-test",
          thumbnet_self_test(&model, scratch, MODEL_SCRATCH_WORDS, outputs, MODEL_OUTPUTS));
    for (size_t row = 0; row < ROW_COUNT; row++) {
        check("classify",
              thumbnet_classify(&model, rows[row], MODEL_INPUTS, scratch, MODEL_SCRATCH_WORDS,
                                outputs, MODEL_OUTPUTS, &found));
        print_row(outputs, &found);
    }
    stop(0);
}
