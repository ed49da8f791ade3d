//! The model as C keeps it: `thumbnet_model`, words that it does not look into.

use core::{ffi::c_void, mem::MaybeUninit};

use thumbnet_runtime::{Error, Model};

use crate::borrow::{self, place};
use crate::code::Code;

/// `THUMBNET_MAX_LAYERS`: the greatest number of layers, the input's quantization included.
pub const HANDLE_LAYERS: usize = 16;

/// `thumbnet_model`. C has it as an array of `WORDS` addresses.
#[derive(Debug)]
#[repr(C)]
pub struct Handle {
    /// [`OPEN`] once `model` is written.
    state: u32,
    model: MaybeUninit<Model<'static, HANDLE_LAYERS>>,
}

/// `thumbnet_class`: what `thumbnet_classify` found.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Class {
    /// The class.
    pub index: u32,
    /// The output that decided.
    pub score: f32,
}

/// `thumbnet_detection`: what `thumbnet_detect` found.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Detection {
    /// The reconstruction error.
    pub score: f32,
    /// Whether it is above the threshold.
    pub is_anomaly: bool,
}

/// No memory of zeros, and hardly any other, has it before a model is opened.
const OPEN: u32 = 0x7B17_0E7A;

/// What the header says.
pub(crate) const WORDS: usize = number_behind("#define THUMBNET_MODEL_WORDS ");

const _: () = {
    assert!(size_of::<Handle>() <= WORDS * size_of::<usize>());
    assert!(align_of::<Handle>() <= align_of::<usize>());
    assert!(number_behind("#define THUMBNET_MAX_LAYERS ") == HANDLE_LAYERS);
    // A device has not got RAM to give away: what the header sets aside is used.
    assert!(size_of::<usize>() != 4 || size_of::<Handle>() == WORDS * 4);
};

/// The number that follows these words in the header, for the compiler.
const fn number_behind(words: &str) -> usize {
    let header = include_bytes!("../include/thumbnet.h");
    let words = words.as_bytes();
    let mut at = 0;
    while at + words.len() < header.len() {
        let mut same = 0;
        while same < words.len() && header[at + same] == words[same] {
            same += 1;
        }
        if same == words.len() {
            let mut number = 0;
            let mut digit = at + same;
            while digit < header.len() && header[digit].is_ascii_digit() {
                number = number * 10 + (header[digit] - b'0') as usize;
                digit += 1;
            }
            return number;
        }
        at += 1;
    }
    panic!("the header lacks this definition")
}

/// Fills a handle by `read`; whatever goes wrong, the handle is closed.
///
/// # Safety
///
/// `handle` is null, misaligned, or for this call alone. `blob` is null, or the address of `length` bytes
/// that stay unchanged for as long as the model is used, which C's memory cannot tell.
#[inline(always)]
pub(crate) unsafe fn open(
    handle: *mut Handle,
    blob: *const c_void,
    length: usize,
    read: impl FnOnce(&mut Model<'static, HANDLE_LAYERS>, &'static [u8]) -> Result<(), Error>,
) -> Result<(), Code> {
    place(handle.addr(), 1, size_of::<Handle>(), align_of::<Handle>())?;
    // SAFETY: the address was checked, and the caller lends what is there. C's memory is of some value,
    // whether C has written it or not, and both fields hold any.
    let handle = unsafe { &mut *handle };
    handle.state = 0;
    place(blob.addr(), length, 1, 1)?;
    // SAFETY: the address was checked; the rest the caller promises.
    let blob = unsafe { borrow::slice(blob.cast(), length) };
    // In place: a model on the stack would have to be copied, which brings in `memcpy`.
    read(handle.model.write(Model::empty()), blob)?;
    handle.state = OPEN;
    Ok(())
}

/// The model of a handle.
///
/// # Safety
///
/// `handle` is null, misaligned, or a `thumbnet_model` that nothing writes while the model is borrowed.
#[inline(always)]
pub(crate) unsafe fn model<'a>(
    handle: *const Handle,
) -> Result<&'a Model<'static, HANDLE_LAYERS>, Code> {
    // SAFETY: as the caller promises.
    let handle = unsafe { borrow::one(handle)? };
    if handle.state != OPEN {
        return Err(Code::NotOpen);
    }
    // SAFETY: `open` writes that state behind the model.
    Ok(unsafe { handle.model.assume_init_ref() })
}
