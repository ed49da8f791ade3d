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
/// [`place`] or [`apart`] let them pass, `start` is the address of `count` values that nothing writes during
/// `'a`, and any bytes are a `T`.
#[inline(always)]
pub(crate) unsafe fn slice<'a, T>(start: *const T, count: usize) -> &'a [T] {
    // SAFETY: not null, aligned and no longer than a slice may be; the rest the caller promises.
    unsafe { core::slice::from_raw_parts(start, count) }
}

/// Values that are written. They may hold anything before.
///
/// # Safety
///
/// [`place`] or [`apart`] let them pass, `start` is the address of `count` values that are for the caller
/// alone during `'a`, and any bytes are a `T`.
#[inline(always)]
pub(crate) unsafe fn slice_mut<'a, T>(start: *mut T, count: usize) -> &'a mut [T] {
    // SAFETY: not null, aligned and no longer than a slice may be; the rest the caller promises. What C
    // has not written holds some bytes all the same: the compiler of this library cannot see that nobody did.
    unsafe { core::slice::from_raw_parts_mut(start, count) }
}

/// Memory that C lends for a call.
pub(crate) struct Lent {
    start: usize,
    count: usize,
    /// Bytes of a value, which are its alignment, too.
    size: usize,
}

impl Lent {
    #[inline(always)]
    pub fn of<T>(start: *const T, count: usize) -> Self {
        const { assert!(size_of::<T>() == align_of::<T>()) };
        Self {
            start: start.addr(),
            count,
            size: size_of::<T>(),
        }
    }

    /// Where it ends: `place` has looked that this does not overflow.
    fn end(&self) -> usize {
        self.start.wrapping_add(self.count.wrapping_mul(self.size))
    }
}

/// Refuses memory that cannot be there, or is lent twice.
#[inline(never)]
pub(crate) fn apart(all: &[Lent]) -> Result<(), Code> {
    for (index, one) in all.iter().enumerate() {
        place(one.start, one.count, one.size, one.size)?;
        for other in all.iter().take(index) {
            if one.start < other.end() && other.start < one.end() {
                return Err(Code::Overlap);
            }
        }
    }
    Ok(())
}
