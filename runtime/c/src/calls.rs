//! The functions of the header. All of them check pointers and lengths; what they cannot check is in the
//! header's contract, which each `# Safety` means:
//!
//! * a pointer that is not null is the address of as many values of its type as the call says;
//! * nobody writes what a call reads, nor touches what it writes, while it runs;
//! * the blob stays where it is, unchanged, for as long as its model is used.

use core::ffi::{c_char, c_void};

use thumbnet_runtime::{Error, Model, What, blob_len};

use crate::borrow::{Lent, apart, one, place, slice, slice_mut};
use crate::code::Code;
use crate::handle::{Class, Detection, HANDLE_LAYERS, Handle, model, open};

/// `thumbnet_open`: verifies a blob of this length.
///
/// # Safety
///
/// By the header's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thumbnet_open(
    handle: *mut Handle,
    blob: *const c_void,
    length: usize,
) -> Code {
    // SAFETY: the contract.
    Code::from(unsafe { open(handle, blob, length, Model::open) })
}

/// `thumbnet_open_slot`: verifies the blob at the start of a larger slot.
///
/// # Safety
///
/// By the header's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thumbnet_open_slot(
    handle: *mut Handle,
    slot: *const c_void,
    length: usize,
) -> Code {
    // SAFETY: the contract.
    Code::from(unsafe {
        open(handle, slot, length, |model, slot| {
            match slot.get(..blob_len(slot)?) {
                Some(blob) => model.open(blob),
                None => Err(Error::Length {
                    what: What::Blob,
                    expected: 0,
                    found: 0,
                }),
            }
        })
    })
}

/// `thumbnet_open_without_crc`: for a blob whose checksum was checked before.
///
/// # Safety
///
/// By the header's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thumbnet_open_without_crc(
    handle: *mut Handle,
    blob: *const c_void,
    length: usize,
) -> Code {
    // SAFETY: the contract.
    Code::from(unsafe { open(handle, blob, length, Model::open_without_crc) })
}

/// A number of a model, 0 where it is not open.
///
/// # Safety
///
/// By the header's contract.
#[inline(always)]
unsafe fn number(
    handle: *const Handle,
    number: impl FnOnce(&Model<'static, HANDLE_LAYERS>) -> usize,
) -> usize {
    // SAFETY: the contract.
    unsafe { model(handle) }.map_or(0, number)
}

/// `thumbnet_inputs`: values of an input row.
///
/// # Safety
///
/// By the header's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thumbnet_inputs(handle: *const Handle) -> usize {
    // SAFETY: the contract.
    unsafe { number(handle, Model::inputs) }
}

/// `thumbnet_outputs`: values of an output row.
///
/// # Safety
///
/// By the header's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thumbnet_outputs(handle: *const Handle) -> usize {
    // SAFETY: the contract.
    unsafe { number(handle, Model::outputs) }
}

/// `thumbnet_scratch_words`: words of scratch memory.
///
/// # Safety
///
/// By the header's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thumbnet_scratch_words(handle: *const Handle) -> usize {
    // SAFETY: the contract.
    unsafe { number(handle, Model::scratch_len) }
}

/// What a prediction is given.
struct Buffers<'a, T> {
    model: &'a Model<'static, HANDLE_LAYERS>,
    inputs: &'a [T],
    scratch: &'a mut [u32],
    outputs: &'a mut [f32],
}

/// Checks and borrows what a prediction is given. Nothing is borrowed before all of it is known to lie apart.
macro_rules! buffers {
    ($handle:ident, $inputs:ident, $input_count:ident, $scratch:ident, $scratch_words:ident,
     $outputs:ident, $output_count:ident) => {{
        apart(&[
            Lent::of($inputs, $input_count),
            Lent::of($scratch, $scratch_words),
            Lent::of($outputs, $output_count),
        ])?;
        // SAFETY: the contract; they lie apart.
        unsafe {
            Buffers {
                model: model($handle)?,
                inputs: slice($inputs, $input_count),
                scratch: slice_mut($scratch, $scratch_words),
                outputs: slice_mut($outputs, $output_count),
            }
        }
    }};
}

/// Checks where an answer goes, and writes it once nothing is borrowed any more.
///
/// # Safety
///
/// By the header's contract.
#[inline(always)]
unsafe fn answer<T>(to: *mut T, found: impl FnOnce() -> Result<T, Code>) -> Code {
    let run = || {
        place(to.addr(), 1, size_of::<T>(), align_of::<T>())?;
        let found = found()?;
        // SAFETY: not null, aligned, and by the contract one of them; the borrows above are over.
        unsafe { to.write(found) };
        Ok(())
    };
    Code::from(run())
}

macro_rules! predict {
    ($($name:ident($sample:ty) = $method:ident;)*) => {$(
        #[doc = concat!("`", stringify!($name), "`: the outputs of one row of `", stringify!($sample), "`.")]
        ///
        /// # Safety
        ///
        /// By the header's contract.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            handle: *const Handle,
            inputs: *const $sample,
            input_count: usize,
            scratch: *mut u32,
            scratch_words: usize,
            outputs: *mut f32,
            output_count: usize,
        ) -> Code {
            let run = || {
                let b = buffers!(handle, inputs, input_count, scratch, scratch_words, outputs, output_count);
                Ok(b.model.$method(b.inputs, b.scratch, b.outputs)?)
            };
            Code::from(run())
        }
    )*};
}

predict! {
    thumbnet_predict(f32) = predict;
    thumbnet_predict_int8(i8) = predict_samples;
    thumbnet_predict_uint8(u8) = predict_samples;
    thumbnet_predict_int16(i16) = predict_samples;
    thumbnet_predict_uint16(u16) = predict_samples;
}

/// `thumbnet_classify`: predicts, and decides for a class.
///
/// # Safety
///
/// By the header's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thumbnet_classify(
    handle: *const Handle,
    inputs: *const f32,
    input_count: usize,
    scratch: *mut u32,
    scratch_words: usize,
    outputs: *mut f32,
    output_count: usize,
    class: *mut Class,
) -> Code {
    let found = || {
        let b = buffers!(
            handle,
            inputs,
            input_count,
            scratch,
            scratch_words,
            outputs,
            output_count
        );
        let found = b.model.classify(b.inputs, b.scratch, b.outputs)?;
        Ok(Class {
            index: found.index as u32, // less than the outputs, which are a u16
            score: found.score,
        })
    };
    // SAFETY: the contract.
    unsafe { answer(class, found) }
}

/// `thumbnet_is_known`: whether what `thumbnet_classify` found is a class that the model knows.
///
/// # Safety
///
/// By the header's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thumbnet_is_known(handle: *const Handle, class: *const Class) -> bool {
    // SAFETY: the contract.
    let both = unsafe { (model(handle), one(class)) };
    let (Ok(model), Ok(class)) = both else {
        return false;
    };
    model.is_known(&thumbnet_runtime::Class {
        index: class.index as usize, // a u32 is no wider than C's addresses
        score: class.score,
        label: "",
    })
}

/// `thumbnet_detect`: predicts, and compares the outputs with the inputs.
///
/// # Safety
///
/// By the header's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thumbnet_detect(
    handle: *const Handle,
    inputs: *const f32,
    input_count: usize,
    scratch: *mut u32,
    scratch_words: usize,
    outputs: *mut f32,
    output_count: usize,
    found: *mut Detection,
) -> Code {
    let detection = || {
        let b = buffers!(
            handle,
            inputs,
            input_count,
            scratch,
            scratch_words,
            outputs,
            output_count
        );
        let detection = b.model.detect(b.inputs, b.scratch, b.outputs)?;
        Ok(Detection {
            score: detection.score,
            is_anomaly: detection.is_anomaly,
        })
    };
    // SAFETY: the contract.
    unsafe { answer(found, detection) }
}

/// `thumbnet_says_yes`: whether an output that decides for itself says yes.
///
/// # Safety
///
/// By the header's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thumbnet_says_yes(handle: *const Handle, output: f32) -> bool {
    // SAFETY: the contract.
    unsafe { model(handle) }.is_ok_and(|model| model.says_yes(output))
}

/// `thumbnet_self_test`: runs the blob's own test vectors.
///
/// # Safety
///
/// By the header's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thumbnet_self_test(
    handle: *const Handle,
    scratch: *mut u32,
    scratch_words: usize,
    outputs: *mut f32,
    output_count: usize,
) -> Code {
    let run = || {
        apart(&[
            Lent::of(scratch, scratch_words),
            Lent::of(outputs, output_count),
        ])?;
        // SAFETY: the contract; they lie apart.
        let (model, scratch, outputs) = unsafe {
            let scratch = slice_mut(scratch, scratch_words);
            (model(handle)?, scratch, slice_mut(outputs, output_count))
        };
        Ok(model.self_test(scratch, outputs)?)
    };
    Code::from(run())
}

/// `thumbnet_version`: the version of this library, such as `0.1.0`.
#[unsafe(no_mangle)]
pub extern "C" fn thumbnet_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
