// As classify.c, in C++17.
#include "model.h"
#include "qemu/semihosting.h"
#include "rows.h"
#include "thumbnet.h"

namespace {

thumbnet_model model;
uint32_t scratch[MODEL_SCRATCH_WORDS];

// Prints what failed, and stops.
void check(const char *what, int32_t error)
{
    if (error != THUMBNET_OK) {
        print(what);
        print(": ");
        print(thumbnet_error_text(error));
        print("\n");
        stop(1);
    }
}

} // namespace

int main()
{
    float outputs[MODEL_OUTPUTS] = {};
    thumbnet_class found = {};

    check("open", thumbnet_open(&model, model_blob, MODEL_BLOB_BYTES));
    check("self-test",
          thumbnet_self_test(&model, scratch, MODEL_SCRATCH_WORDS, outputs, MODEL_OUTPUTS));
    for (const auto &row : rows) {
        check("classify",
              thumbnet_classify(&model, row, MODEL_INPUTS, scratch, MODEL_SCRATCH_WORDS, outputs,
                                MODEL_OUTPUTS, &found));
        for (float output : outputs) {
            print_bits(output);
        }
        print_number(found.index);
        const char *label = nullptr;
        size_t length = 0;
        if (thumbnet_label(&model, found.index, &label, &length) == THUMBNET_OK) {
            print_part(label, length);
        }
        print("\n");
    }
    stop(0);
}
