//! Readable lines from the `defmt` log of a firmware under QEMU.
//!
//! `defmt-semihosting` writes rzCOBS frames that end with a zero byte. A frame holds the number of
//! a format string, which is the address of a symbol in the ELF file's `.defmt` section and whose
//! name is the string, and then the arguments. What `defmt-print` does in full is done here for the
//! types that firmware logs, without installing anything; `defmt-decoder` would switch on serde_json's
//! `arbitrary_precision` for the whole workspace, which changes how the trainer writes floats.

use std::{collections::BTreeMap, fmt::Write as _};

use defmt_parser::{DisplayHint, Fragment, ParserMode, Type};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

/// Turns a stream of log bytes into lines.
pub struct Log {
    /// Format strings by number, each with the level of its macro (`info`), if it is a message.
    strings: BTreeMap<u64, Entry>,
    pending: Vec<u8>,
}

struct Entry {
    tag: String,
    format: String,
}

/// A frame that does not fit the program.
#[derive(Debug, PartialEq, Eq)]
struct Malformed;

impl Log {
    /// Reads the format strings of a program; `None` if it does not log by `defmt`.
    pub fn new(elf: &[u8]) -> Option<Self> {
        let elf = object::File::parse(elf).ok()?;
        let section = elf
            .sections()
            .find(|section| section.name() == Ok(".defmt"))?;
        let strings = elf
            .symbols()
            .filter(|symbol| symbol.section_index() == Some(section.index()))
            .filter_map(|symbol| {
                let entry: serde_json::Value = serde_json::from_str(symbol.name().ok()?).ok()?;
                let text = |key: &str| Some(entry.get(key)?.as_str()?.to_owned());
                let (tag, format) = (text("tag")?, text("data")?);
                Some((symbol.address(), Entry { tag, format }))
            })
            .collect();
        Some(Self {
            strings,
            pending: Vec::new(),
        })
    }

    /// Takes bytes as they come and returns the lines that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        self.pending.extend(bytes);
        let mut lines = Vec::new();
        while let Some(end) = self.pending.iter().position(|&byte| byte == 0) {
            let frame: Vec<u8> = self.pending.drain(..=end).take(end).collect();
            if !frame.is_empty() {
                let line = unstuff(&frame).and_then(|frame| self.line(&frame));
                lines.push(line.unwrap_or_else(|Malformed| {
                    format!("(a log frame that does not fit the program: {frame:02x?})")
                }));
            }
        }
        lines
    }

    /// Formats one message.
    fn line(&self, frame: &[u8]) -> Result<String, Malformed> {
        let mut arguments = Arguments {
            bytes: frame,
            strings: &self.strings,
        };
        let entry = arguments.string()?;
        let message = arguments.format(&entry.format, None)?;
        let level = entry.tag.trim_start_matches("defmt_").to_uppercase();
        Ok(if level == "PRINTLN" {
            message
        } else {
            format!("{level:5} {message}")
        })
    }
}

/// Undoes rzCOBS: read from the end, a byte says which of the seven bytes before it were zero.
fn unstuff(frame: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut bytes = frame.iter().rev().copied();
    let mut data = Vec::new();
    while let Some(code) = bytes.next() {
        let (zero_first, count) = match code {
            0x01..=0x7f => {
                for bit in (0..7).rev() {
                    let zero = code >> bit & 1 == 1;
                    data.push(if zero {
                        0
                    } else {
                        bytes.next().ok_or(Malformed)?
                    });
                }
                continue;
            }
            0x80..=0xfe => (true, usize::from(code & 0x7f) + 7),
            0xff => (false, 134),
            0 => return Err(Malformed),
        };
        data.extend(zero_first.then_some(0));
        for _ in 0..count {
            data.push(bytes.next().ok_or(Malformed)?);
        }
    }
    data.reverse();
    Ok(data)
}

/// What is left of a frame.
struct Arguments<'a> {
    bytes: &'a [u8],
    strings: &'a BTreeMap<u64, Entry>,
}

/// One decoded argument.
enum Value {
    Unsigned(u128),
    Signed(i128),
    Bytes(Vec<u8>),
    Text(String),
}

impl<'a> Arguments<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(Malformed)?;
        self.bytes = rest;
        Ok(*taken)
    }

    fn slice(&mut self, length: usize) -> Result<Vec<u8>, Malformed> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(Malformed)?;
        self.bytes = rest;
        Ok(taken.to_vec())
    }

    fn length(&mut self) -> Result<usize, Malformed> {
        Ok(u32::from_le_bytes(self.take()?) as usize)
    }

    fn string(&mut self) -> Result<&'a Entry, Malformed> {
        let number = u16::from_le_bytes(self.take()?);
        self.strings.get(&u64::from(number)).ok_or(Malformed)
    }

    /// Reads the arguments of a format string and puts them in.
    fn format(&mut self, format: &str, hint: Option<&DisplayHint>) -> Result<String, Malformed> {
        let fragments =
            defmt_parser::parse(format, ParserMode::ForwardsCompatible).map_err(|_| Malformed)?;
        let mut types = BTreeMap::new();
        for fragment in &fragments {
            if let Fragment::Parameter(parameter) = fragment {
                let own = parameter.hint.clone().or(hint.cloned());
                types
                    .entry(parameter.index)
                    .or_insert((parameter.ty.clone(), own));
            }
        }
        let mut values = BTreeMap::new();
        for (index, (ty, hint)) in types {
            values.insert(index, self.value(&ty, hint.as_ref())?);
        }
        let mut text = String::new();
        for fragment in &fragments {
            match fragment {
                Fragment::Literal(literal) => text.push_str(literal),
                Fragment::Parameter(parameter) => {
                    let value = values.get(&parameter.index).ok_or(Malformed)?;
                    text.push_str(&value.show(parameter.hint.as_ref().or(hint)));
                }
            }
        }
        Ok(text)
    }

    /// A value whose type says how it is formatted (`{=?}`): a number of a string, then arguments.
    fn nested(&mut self, format: &str, hint: Option<&DisplayHint>) -> Result<String, Malformed> {
        let variants: Vec<_> = format.split('|').collect();
        if let [only] = variants[..] {
            return self.format(only, hint);
        }
        let variant = match variants.len() - 1 {
            0..=0xff => usize::from(self.take::<1>()?[0]),
            _ => usize::from(u16::from_le_bytes(self.take()?)),
        };
        self.format(variants.get(variant).ok_or(Malformed)?, hint)
    }

    fn list(&mut self, length: usize, hint: Option<&DisplayHint>) -> Result<Value, Malformed> {
        let format = &self.string()?.format;
        let items: Result<Vec<_>, _> = (0..length).map(|_| self.nested(format, hint)).collect();
        Ok(Value::Text(format!("[{}]", items?.join(", "))))
    }

    fn value(&mut self, ty: &Type, hint: Option<&DisplayHint>) -> Result<Value, Malformed> {
        Ok(match ty {
            Type::U8 => Value::Unsigned(u8::from_le_bytes(self.take()?).into()),
            Type::U16 => Value::Unsigned(u16::from_le_bytes(self.take()?).into()),
            Type::U32 | Type::Usize => Value::Unsigned(u32::from_le_bytes(self.take()?).into()),
            Type::U64 => Value::Unsigned(u64::from_le_bytes(self.take()?).into()),
            Type::U128 => Value::Unsigned(u128::from_le_bytes(self.take()?)),
            Type::I8 => Value::Signed(i8::from_le_bytes(self.take()?).into()),
            Type::I16 => Value::Signed(i16::from_le_bytes(self.take()?).into()),
            Type::I32 | Type::Isize => Value::Signed(i32::from_le_bytes(self.take()?).into()),
            Type::I64 => Value::Signed(i64::from_le_bytes(self.take()?).into()),
            Type::I128 => Value::Signed(i128::from_le_bytes(self.take()?)),
            Type::F32 => Value::Text(format!("{:?}", f32::from_le_bytes(self.take()?))),
            Type::F64 => Value::Text(format!("{:?}", f64::from_le_bytes(self.take()?))),
            Type::Bool => Value::Text((self.take()? != [0]).to_string()),
            Type::Char => {
                let code = u32::from_le_bytes(self.take()?);
                Value::Text(char::from_u32(code).ok_or(Malformed)?.into())
            }
            Type::Str => {
                let length = self.length()?;
                Value::Text(String::from_utf8_lossy(&self.slice(length)?).into_owned())
            }
            Type::IStr => Value::Text(self.string()?.format.clone()),
            Type::U8Slice => {
                let length = self.length()?;
                Value::Bytes(self.slice(length)?)
            }
            Type::U8Array(length) => Value::Bytes(self.slice(*length)?),
            Type::FormatSlice => {
                let length = self.length()?;
                self.list(length, hint)?
            }
            Type::FormatArray(length) => self.list(*length, hint)?,
            Type::Format => {
                let format = &self.string()?.format;
                Value::Text(self.nested(format, hint)?)
            }
            // Several values behind each other, up to a zero in place of a string's number.
            Type::FormatSequence => {
                let mut text = String::new();
                while !self.bytes.starts_with(&[0, 0]) {
                    let format = &self.string()?.format;
                    text += &self.nested(format, hint)?;
                }
                self.take::<2>()?;
                Value::Text(text)
            }
            // Text made on the device, up to a byte that UTF-8 does not have.
            Type::Debug | Type::Display => {
                let end = self
                    .bytes
                    .iter()
                    .position(|&byte| byte == 0xff)
                    .ok_or(Malformed)?;
                let text = String::from_utf8_lossy(&self.slice(end)?).into_owned();
                self.take::<1>()?;
                Value::Text(text)
            }
            Type::BitField(_) => return Err(Malformed),
        })
    }
}

impl Value {
    /// The value as its display hint wants it; hints for times and the like are ignored.
    fn show(&self, hint: Option<&DisplayHint>) -> String {
        match (self, hint) {
            (
                Self::Unsigned(x),
                Some(DisplayHint::Hexadecimal {
                    alternate,
                    zero_pad,
                    ..
                }),
            ) => {
                if *alternate {
                    format!("{x:#0zero_pad$x}")
                } else {
                    format!("{x:0zero_pad$x}")
                }
            }
            (Self::Unsigned(x), Some(DisplayHint::NoHint { zero_pad })) => {
                format!("{x:0zero_pad$}")
            }
            (Self::Unsigned(x), _) => x.to_string(),
            (Self::Signed(x), _) => x.to_string(),
            (Self::Bytes(bytes), Some(DisplayHint::Ascii)) => {
                format!("b\"{}\"", bytes.escape_ascii())
            }
            (Self::Bytes(bytes), _) => {
                let mut text = String::from("[");
                for (i, byte) in bytes.iter().enumerate() {
                    let _ = write!(text, "{}{byte}", if i == 0 { "" } else { ", " });
                }
                text + "]"
            }
            (Self::Text(text), _) => text.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Log {
        let entry = |tag: &str, format: &str| Entry {
            tag: tag.into(),
            format: format.into(),
        };
        let strings = BTreeMap::from([
            (1, entry("defmt_info", "hello {=u32} {=f32} {=str}")),
            (2, entry("defmt_warn", "hello {=[u8]:a} {=bool}")),
            (3, entry("defmt_error", "{1=u8:#04x} {0=?}")),
            (4, entry("defmt_derived", "Off|On {{ volts: {=i8} }}")),
        ]);
        Log {
            strings,
            pending: Vec::new(),
        }
    }

    #[test]
    fn frames_of_defmt_semihosting_are_read_as_they_come() {
        // What the device sent for info!("hello {=u32} {=f32} {=str}", 3, 1.5, "abc") and
        // warn!("hello {=[u8]:a} {=bool}", *b"abc", true).
        let bytes = b"\x00\x01\x03\x7a\xc0\x3f\x03\x71abcx\x00\x02\x03a:bc\x01x\x00";
        let mut log = log();
        assert_eq!(log.push(&bytes[..9]), [""; 0]);
        assert_eq!(
            log.push(&bytes[9..]),
            ["INFO  hello 3 1.5 abc", "WARN  hello b\"abc\" true"]
        );
    }

    #[test]
    fn a_derived_format_names_its_variant() {
        // Strings 3 and 4, variant 1 of two, -3, and 10 for the argument that is shown first.
        let frame = [3, 0, 4, 0, 1, 0xfd, 10];
        assert_eq!(log().line(&frame).unwrap(), "ERROR 0x0a On { volts: -3 }");
    }

    #[test]
    fn a_frame_of_another_program_is_shown_as_such() {
        assert_eq!(log().line(&[9, 0]), Err(Malformed));
        let line = "(a log frame that does not fit the program: [09, 7d])";
        assert_eq!(log().push(&[9, 0x7d, 0]), [line]);
    }
}
