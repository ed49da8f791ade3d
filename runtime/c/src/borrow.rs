//! What C passes, as slices: an address that is none gives an error code.

use crate::code::Code;

/// Refuses an address at which `count` values of `size` bytes cannot lie.
#[inline(never)]
pub(crate) fn place(address: usize, count: usize, size: usize, align: usize) -> Result<(), Code> {
    if address == 0 {
        return Err(Code::Null);
    }
    if address & (align - 1) != 0 {
        return Err(Code::Alignment);
    }
    // Rust's slices are at most this long, and end where memory does.
    match count.checked_mul(size) {
        Some(bytes)
            if bytes <= isize::MAX.unsigned_abs() && address.checked_add(bytes).is_some() =>
        {
            Ok(())
        }
        Some(_) | None => Err(Code::Overlap),
    }
}

/// A value of the caller's.
///
/// # Safety
///
/// `at` is null, misaligned, or the address of a `T` that nothing writes during `'a`.
#[inline(always)]
pub(crate) unsafe fn one<'a, T>(at: *const T) -> Result<&'a T, Code> {
    place(at.addr(), 1, size_of::<T>(), align_of::<T>())?;
    // SAFETY: it is not null and aligned; the rest the caller promises.
    Ok(unsafe { &*at })
}

/// Values that are read.
///
/// # Safety
///
/// `start` is null, misaligned, or the address of `count` values that nothing writes during `'a`, and
/// any bytes are a `T`.
#[inline(always)]
pub(crate) unsafe fn slice<'a, T>(start: *const T, count: usize) -> Result<&'a [T], Code> {
    place(start.addr(), count, size_of::<T>(), align_of::<T>())?;
    // SAFETY: not null, aligned and no longer than a slice may be; the rest the caller promises.
    Ok(unsafe { core::slice::from_raw_parts(start, count) })
}

/// Values that are written. They may hold anything before.
///
/// # Safety
///
/// `start` is null, misaligned, or the address of `count` values that are for the caller alone during
/// `'a`, and any bytes are a `T`.
#[inline(always)]
pub(crate) unsafe fn slice_mut<'a, T>(start: *mut T, count: usize) -> Result<&'a mut [T], Code> {
    place(start.addr(), count, size_of::<T>(), align_of::<T>())?;
    // SAFETY: not null, aligned and no longer than a slice may be; the rest the caller promises. What C
    // has not written holds some bytes all the same: the compiler of this library cannot see that nobody did.
    Ok(unsafe { core::slice::from_raw_parts_mut(start, count) })
}

/// Where bytes begin and end.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    start: usize,
    end: usize,
}

impl Span {
    #[inline(always)]
    pub fn of<T>(start: *const T, count: usize) -> Self {
        let start = start.addr();
        // Such a length `place` refuses.
        let end = start.wrapping_add(count.wrapping_mul(size_of::<T>()));
        Self { start, end }
    }
}

/// Refuses memory that is lent twice.
#[inline(never)]
pub(crate) fn apart(a: Span, b: Span) -> Result<(), Code> {
    if a.start < b.end && b.start < a.end {
        return Err(Code::Overlap);
    }
    Ok(())
}
