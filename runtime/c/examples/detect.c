/* Of a model that detects anomalies: prints the bits of every row's outputs and score, and whether it is one. */
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

int main(void)
{
    float outputs[MODEL_OUTPUTS];
    thumbnet_detection found;

    check("open", thumbnet_open(&model, model_blob, MODEL_BLOB_BYTES));
    for (size_t row = 0; row < ROW_COUNT; row++) {
        check("detect", thumbnet_detect(&model, rows[row], MODEL_INPUTS, scratch,
                                        MODEL_SCRATCH_WORDS, outputs, MODEL_OUTPUTS, &found));
        for (size_t i = 0; i < MODEL_OUTPUTS; i++) {
            print_bits(outputs[i]);
        }
        print_bits(found.score);
        print(found.is_anomaly ? "anomaly\n" : "normal\n");
    }
    stop(0);
}
