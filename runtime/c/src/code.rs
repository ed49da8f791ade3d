//! Error codes: the enumeration of the header, in its order.

use core::ffi::{CStr, c_char};

use thumbnet_runtime::{Error, What};

macro_rules! codes {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        /// What a call returns: `THUMBNET_OK`, or why it did nothing.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(i32)]
        pub enum Code {
            $(#[doc = $text] $name = $number,)*
        }

        impl Code {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// What happened, what was expected, and how to fix it.
            pub const fn text(number: i32) -> &'static CStr {
                const fn terminated(text: &str) -> &CStr {
                    match CStr::from_bytes_with_nul(text.as_bytes()) {
                        Ok(text) => text,
                        Err(_) => c"",
                    }
                }
                match number {
                    $($number => const { terminated(concat!($text, "\0")) },)*
                    _ => c"this is no error code of thumbnet, expected what one of its functions returned",
                }
            }
        }
    };
}

codes! {
    Ok = 0, "no error";
    Null = 1, "a pointer is null, expected an address; pass a buffer";
    Alignment = 2, "a pointer is not aligned for its type; declare the buffer as an array of that type";
    Overlap = 3, "two buffers overlap, expected separate ones; give inputs, scratch and outputs memory of their own";
    NotOpen = 4, "the model is not open; check what thumbnet_open returned";
    Magic = 5, "not a thumbnet blob; check the address, and export the model again";
    Version = 6, "the blob has another format version; export it with the version of this library";
    Crc = 7, "the blob is damaged, or its length is not the one passed: the checksum differs; flash it again, or use thumbnet_open_slot";
    Malformed = 8, "the blob's fields do not decode; export the model again";
    BlobLength = 9, "the slot ends before the blob; pass the length of the whole slot";
    Layers = 10, "the model has more than THUMBNET_MAX_LAYERS layers; export one with fewer";
    Inputs = 11, "the number of inputs is not that of the model; pass thumbnet_inputs values";
    Outputs = 12, "the number of outputs is not that of the model; pass room for thumbnet_outputs values";
    Scratch = 13, "the scratch memory is too short; pass at least thumbnet_scratch_words words";
    Part = 14, "a part of the blob has the wrong length; export the model again";
    Layer = 15, "a layer of the blob contradicts itself or the layer before; export the model again";
    Feature = 16, "the model has a weight type that this library is built without; build the library for this model";
    Activation = 17, "the model has an activation that this library is built without; build the library for this model";
    Packing = 18, "the weights are packed for another core; export with --core, or build the library with the feature portable";
    Misaligned = 19, "the blob is not at a multiple of 4; place it at a multiple of 16, or build the library with the feature portable";
    NotFinite = 20, "an input or what a layer makes of it is not finite; check the sensor";
    SelfTest = 21, "a self-test gave other bits than the exporter; the blob or the build is broken";
    Class = 22, "the model has no label of that number; pass less than thumbnet_label_count";
    Buffer = 23, "the label and its final zero do not fit the buffer; pass a longer one";
    Other = 24, "the runtime gave an error that this library does not know; use a library and header of one version";
}

impl From<Error> for Code {
    #[inline(never)]
    fn from(error: Error) -> Self {
        match error {
            Error::Magic { .. } => Self::Magic,
            Error::Version { .. } => Self::Version,
            Error::Crc { .. } => Self::Crc,
            Error::Malformed => Self::Malformed,
            Error::Length { what, .. } => match what {
                What::Blob => Self::BlobLength,
                What::Layers => Self::Layers,
                What::Inputs => Self::Inputs,
                What::Outputs => Self::Outputs,
                What::Scratch => Self::Scratch,
                // Parts of the blob, which C code has no hand in.
                _ => Self::Part,
            },
            Error::Layer { .. } => Self::Layer,
            Error::Feature { .. } => Self::Feature,
            Error::Activation { .. } => Self::Activation,
            Error::Packing { .. } => Self::Packing,
            Error::Misaligned { .. } => Self::Misaligned,
            Error::NotFinite { .. } => Self::NotFinite,
            Error::SelfTest { .. } => Self::SelfTest,
            // The runtime may come to know more.
            _ => Self::Other,
        }
    }
}

impl From<Result<(), Code>> for Code {
    fn from(result: Result<(), Code>) -> Self {
        match result {
            Ok(()) => Self::Ok,
            Err(code) => code,
        }
    }
}

/// `thumbnet_error_text`: what a code says, for every number; never null.
#[unsafe(no_mangle)]
pub extern "C" fn thumbnet_error_text(error: i32) -> *const c_char {
    Code::text(error).as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::HEADER;

    #[test]
    fn the_header_has_every_code_by_its_number() {
        let shout = |code: &Code| {
            let mut name = String::from("THUMBNET_");
            if *code != Code::Ok {
                name += "ERROR";
            }
            for letter in format!("{code:?}").chars() {
                if letter.is_uppercase() && *code != Code::Ok {
                    name.push('_');
                }
                name.push(letter.to_ascii_uppercase());
            }
            format!("{name} = {}", *code as i32)
        };
        for code in Code::ALL {
            assert!(
                HEADER.contains(&format!("    {}", shout(code))),
                "{}",
                shout(code)
            );
        }
        assert_eq!(
            HEADER.matches("    THUMBNET_ERROR_").count() + 1,
            Code::ALL.len()
        );
    }

    #[test]
    fn every_code_has_a_text_of_one_line() {
        for (number, code) in (0..).zip(Code::ALL) {
            assert_eq!(*code as i32, number);
            let text = Code::text(number).to_str().unwrap();
            assert!(
                !text.is_empty() && !text.contains('\n') && !text.ends_with('.'),
                "{text}"
            );
        }
        for number in [-1, 25, i32::MIN, i32::MAX] {
            let text = Code::text(number).to_str().unwrap();
            assert!(
                text.starts_with("this is no error code"),
                "{number}: {text}"
            );
        }
    }
}
