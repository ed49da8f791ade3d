//! Numbers that arrays may hold: features, and targets such as class numbers.

use std::borrow::Cow;

mod sealed {
    pub trait Sealed {}
}

/// A type of numbers that `fit`, `evaluate`, `predict` and `quantize` take arrays of. All but `f32` are
/// copied to `f32`, rounded to the nearest: whole numbers are exact up to 16,777,216.
pub trait Number: sealed::Sealed + Copy {
    /// As `f32`.
    fn to_f32(self) -> f32;

    /// Values side by side, borrowed where they are `f32`.
    fn floats(values: &[Self]) -> Cow<'_, [f32]> {
        Cow::Owned(values.iter().map(|value| value.to_f32()).collect())
    }
}

impl sealed::Sealed for f32 {}
impl Number for f32 {
    fn to_f32(self) -> f32 {
        self
    }

    fn floats(values: &[Self]) -> Cow<'_, [f32]> {
        Cow::Borrowed(values)
    }
}

impl sealed::Sealed for bool {}
impl Number for bool {
    fn to_f32(self) -> f32 {
        u8::from(self).into()
    }
}

macro_rules! number {
    ($($number:ty),*) => {$(
        impl sealed::Sealed for $number {}
        impl Number for $number {
            fn to_f32(self) -> f32 {
                self as f32 // rounds, as documented
            }
        }
    )*};
}
number!(f64, i8, u8, i16, u16, i32, u32, i64, u64, isize, usize);
