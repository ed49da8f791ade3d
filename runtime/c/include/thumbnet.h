/*
 * thumbnet: runs a model that `thumbnet export` made, with the same bits as on the machine that made it.
 *
 * C99 or C++. No allocation, no global state, no libc but memcpy, memset and memcmp.
 *
 *     static thumbnet_model model;
 *     static uint32_t scratch[MODEL_SCRATCH_WORDS];
 *     float outputs[MODEL_OUTPUTS];
 *
 *     int32_t error = thumbnet_open(&model, model_blob, MODEL_BLOB_BYTES);
 *     if (error == THUMBNET_OK) {
 *         error = thumbnet_predict(&model, inputs, MODEL_INPUTS,
 *                                  scratch, MODEL_SCRATCH_WORDS, outputs, MODEL_OUTPUTS);
 *     }
 *
 * Contract
 *
 * - Errors: functions that return int32_t return THUMBNET_OK or one of the numbers below. Null pointers,
 *   misaligned ones, wrong lengths and overlapping buffers are errors; nothing was computed then.
 * - Pointers: one that is not null must be the address of as many values of its type as the call says.
 * - Blob: it is not copied. It must stay where it is, unchanged, for as long as its model is used; flash
 *   is the place for it, at a multiple of 16 (a multiple of 4 is enough for the library).
 * - Model: a thumbnet_model may be static, on the stack or in a structure, and may be copied by
 *   assignment. There is nothing to close. Start from zeros (static, or = {0}): calls on a model that
 *   was not opened then return THUMBNET_ERROR_NOT_OPEN, or 0 for a number.
 * - Reentrancy: every function may run in several tasks and interrupts at once, on the same open model
 *   too, as long as each has scratch and outputs of its own and no one opens that model meanwhile.
 * - Floats: as the compiler passes them. Link the library for your -mfloat-abi, and enable the FPU first.
 * - Time: a prediction takes as many instructions whatever the inputs are.
 *
 * Link with -Wl,--gc-sections, so that what is not called takes no flash.
 */
#ifndef THUMBNET_H
#define THUMBNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__cplusplus)
extern "C" {
#endif

/* The greatest number of layers of a model, the quantization of the inputs included. */
#define THUMBNET_MAX_LAYERS 16

/* Words of an address's size that a model takes. */
#define THUMBNET_MODEL_WORDS 23

/* An opened model: 92 bytes on a 32-bit device. Do not look into it. */
typedef struct thumbnet_model {
    uintptr_t opaque[THUMBNET_MODEL_WORDS];
} thumbnet_model;

/* What thumbnet_classify found. */
typedef struct thumbnet_class {
    uint32_t index; /* the class */
    float score;    /* the output that decided: of several the greatest, else the only one */
} thumbnet_class;

/* What thumbnet_detect found. */
typedef struct thumbnet_detection {
    float score;     /* the reconstruction error: the mean squared difference of inputs and outputs */
    bool is_anomaly; /* whether it is above the model's threshold; false where it has none */
} thumbnet_detection;

/* What functions return; thumbnet_error_text says more. */
enum {
    THUMBNET_OK = 0,
    THUMBNET_ERROR_NULL = 1,         /* a pointer is null */
    THUMBNET_ERROR_ALIGNMENT = 2,    /* a pointer is not aligned for its type */
    THUMBNET_ERROR_OVERLAP = 3,      /* buffers overlap, or one does not fit into memory */
    THUMBNET_ERROR_NOT_OPEN = 4,     /* the model was not opened */
    THUMBNET_ERROR_MAGIC = 5,        /* not a thumbnet blob */
    THUMBNET_ERROR_VERSION = 6,      /* a blob of another format version */
    THUMBNET_ERROR_CRC = 7,          /* a damaged blob, or one of another length */
    THUMBNET_ERROR_MALFORMED = 8,    /* the blob's fields do not decode */
    THUMBNET_ERROR_BLOB_LENGTH = 9,  /* the slot ends before the blob */
    THUMBNET_ERROR_LAYERS = 10,      /* more layers than THUMBNET_MAX_LAYERS */
    THUMBNET_ERROR_INPUTS = 11,      /* not as many inputs as the model has */
    THUMBNET_ERROR_OUTPUTS = 12,     /* not as many outputs as the model has */
    THUMBNET_ERROR_SCRATCH = 13,     /* too little scratch memory */
    THUMBNET_ERROR_PART = 14,        /* a part of the blob has the wrong length */
    THUMBNET_ERROR_LAYER = 15,       /* a layer of the blob contradicts itself */
    THUMBNET_ERROR_FEATURE = 16,     /* a weight type that the library is built without */
    THUMBNET_ERROR_ACTIVATION = 17,  /* an activation that the library is built without */
    THUMBNET_ERROR_PACKING = 18,     /* weights in the order of another core */
    THUMBNET_ERROR_MISALIGNED = 19,  /* the blob is not at a multiple of 4 */
    THUMBNET_ERROR_NOT_FINITE = 20,  /* an input, or a value of a layer, is NaN or infinite */
    THUMBNET_ERROR_SELF_TEST = 21,   /* a self-test gave other bits */
    THUMBNET_ERROR_CLASS = 22,       /* no label of that number */
    THUMBNET_ERROR_BUFFER = 23,      /* a label does not fit the buffer */
    THUMBNET_ERROR_OTHER = 24        /* library and header are of different versions */
};

/*
 * Opens the model of a blob of this length, which is verified: any bytes give a model or an error.
 * Takes time for each byte, for the checksum.
 */
int32_t thumbnet_open(thumbnet_model *model, const void *blob, size_t length);

/* thumbnet_open for a blob at the start of a larger slot, such as a page of flash. */
int32_t thumbnet_open_slot(thumbnet_model *model, const void *slot, size_t slot_length);

/*
 * thumbnet_open for a blob whose checksum was checked before, when it was built in or received: takes a
 * time that grows with layers and units only. Just as safe; damaged weights give wrong results, not a crash.
 */
int32_t thumbnet_open_without_crc(thumbnet_model *model, const void *blob, size_t length);

/* Values of an input row, values of an output row, words of scratch memory; 0 if not open. */
size_t thumbnet_inputs(const thumbnet_model *model);
size_t thumbnet_outputs(const thumbnet_model *model);
size_t thumbnet_scratch_words(const thumbnet_model *model);

/*
 * Computes the outputs of one row.
 *
 * inputs   input_count values, thumbnet_inputs of them: raw, as the model was trained on
 * scratch  scratch_words words, at least thumbnet_scratch_words; need not be written before, and is
 *          left with anything
 * outputs  output_count values, thumbnet_outputs of them
 */
int32_t thumbnet_predict(const thumbnet_model *model, const float *inputs, size_t input_count,
                         uint32_t *scratch, size_t scratch_words, float *outputs,
                         size_t output_count);

/* thumbnet_predict from samples as an ADC has them: the same bits as of floats of the same values. */
int32_t thumbnet_predict_int8(const thumbnet_model *model, const int8_t *inputs, size_t input_count,
                              uint32_t *scratch, size_t scratch_words, float *outputs,
                              size_t output_count);
int32_t thumbnet_predict_uint8(const thumbnet_model *model, const uint8_t *inputs,
                               size_t input_count, uint32_t *scratch, size_t scratch_words,
                               float *outputs, size_t output_count);
int32_t thumbnet_predict_int16(const thumbnet_model *model, const int16_t *inputs,
                               size_t input_count, uint32_t *scratch, size_t scratch_words,
                               float *outputs, size_t output_count);
int32_t thumbnet_predict_uint16(const thumbnet_model *model, const uint16_t *inputs,
                                size_t input_count, uint32_t *scratch, size_t scratch_words,
                                float *outputs, size_t output_count);

/*
 * thumbnet_predict, and decides for a class: of several outputs the first of the greatest; of one output
 * class 1 from the model's threshold on (0.5 where it has none), else class 0.
 */
int32_t thumbnet_classify(const thumbnet_model *model, const float *inputs, size_t input_count,
                          uint32_t *scratch, size_t scratch_words, float *outputs,
                          size_t output_count, thumbnet_class *found);

/*
 * Whether a class that thumbnet_classify found is one that the model knows: whether its probability is at
 * least the model's threshold for that. True where it has none, false if not open or found is null.
 */
bool thumbnet_is_known(const thumbnet_model *model, const thumbnet_class *found);

/*
 * thumbnet_predict of an autoencoder, and how far its outputs are from the inputs. A model with another number
 * of outputs than inputs gives THUMBNET_ERROR_OUTPUTS.
 */
int32_t thumbnet_detect(const thumbnet_model *model, const float *inputs, size_t input_count,
                        uint32_t *scratch, size_t scratch_words, float *outputs,
                        size_t output_count, thumbnet_detection *found);

/* Whether an output says yes, where each decides for itself: from the threshold on. False if not open. */
bool thumbnet_says_yes(const thumbnet_model *model, float output);

/*
 * Runs the test vectors that the exporter put into the blob, and compares every bit of every layer. Call it
 * once after the start: it finds a wrong build. A blob without vectors passes. Buffers as of
 * thumbnet_predict.
 */
int32_t thumbnet_self_test(const thumbnet_model *model, uint32_t *scratch, size_t scratch_words,
                           float *outputs, size_t output_count);

/* Labels of the model; 0 if it has none or is not open. */
size_t thumbnet_label_count(const thumbnet_model *model);

/* Where a class's label is in the blob: UTF-8, without a final zero. */
int32_t thumbnet_label(const thumbnet_model *model, uint32_t index, const char **text,
                       size_t *length);

/* Copies a class's label with a final zero: UTF-8. */
int32_t thumbnet_label_copy(const thumbnet_model *model, uint32_t index, char *buffer, size_t size);

/* The version of the library, such as "0.1.0". */
const char *thumbnet_version(void);

/* What an error number means and how to fix it, in one line; for any number, never null. */
const char *thumbnet_error_text(int32_t error);

#if defined(__cplusplus)
}
#endif

#endif /* THUMBNET_H */
