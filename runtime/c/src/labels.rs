//! The classes' names.

use core::ffi::c_char;

use crate::borrow::{place, slice_mut};
use crate::code::Code;
use crate::handle::{Handle, model};

/// `thumbnet_label_count`: labels of the model, 0 where it has none or is not open.
///
/// # Safety
///
/// By the header's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thumbnet_label_count(handle: *const Handle) -> usize {
    // SAFETY: the contract.
    unsafe { model(handle) }.map_or(0, |model| model.labels().count())
}

/// A label.
///
/// # Safety
///
/// By the header's contract.
unsafe fn label(handle: *const Handle, class: u32) -> Result<&'static str, Code> {
    // SAFETY: the contract.
    let model = unsafe { model(handle)? };
    let class = usize::try_from(class).map_err(|_| Code::Class)?;
    model.label(class).ok_or(Code::Class)
}

/// `thumbnet_label`: where a label is in the blob, without a final zero.
///
/// # Safety
///
/// By the header's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thumbnet_label(
    handle: *const Handle,
    class: u32,
    text: *mut *const c_char,
    length: *mut usize,
) -> Code {
    let run = || {
        place(
            text.addr(),
            1,
            size_of::<*const c_char>(),
            align_of::<*const c_char>(),
        )?;
        place(length.addr(), 1, size_of::<usize>(), align_of::<usize>())?;
        // SAFETY: the contract; both addresses were checked.
        unsafe {
            let label = label(handle, class)?;
            text.write(label.as_ptr().cast());
            length.write(label.len());
        }
        Ok(())
    };
    Code::from(run())
}

/// `thumbnet_label_copy`: a label with a final zero.
///
/// # Safety
///
/// By the header's contract.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thumbnet_label_copy(
    handle: *const Handle,
    class: u32,
    buffer: *mut c_char,
    size: usize,
) -> Code {
    let run = || {
        place(buffer.addr(), size, 1, 1)?;
        // SAFETY: the contract; the address was checked.
        let (label, buffer) =
            unsafe { (label(handle, class)?, slice_mut(buffer.cast::<u8>(), size)) };
        if label.len() >= buffer.len() {
            return Err(Code::Buffer);
        }
        let bytes = label.bytes().chain([0]);
        buffer
            .iter_mut()
            .zip(bytes)
            .for_each(|(to, byte)| *to = byte);
        Ok(())
    };
    Code::from(run())
}
