//! Bytes, floats and texts as C and Rust write them.

use std::fmt::Write as _;

/// Bytes by sixteens: `0x54, 0x4e, ...`.
pub fn bytes(bytes: &[u8]) -> String {
    lines(bytes.chunks(16), |byte| format!("0x{byte:02x}"))
}

/// Bytes as little-endian words by eights, the last one filled up with zeros.
pub fn words(bytes: &[u8]) -> String {
    let words: Vec<u32> = bytes
        .chunks(4)
        .map(|chunk| {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            u32::from_le_bytes(word)
        })
        .collect();
    lines(words.chunks(8), |word| format!("0x{word:08x}U"))
}

fn lines<'a, T: 'a>(
    chunks: impl Iterator<Item = &'a [T]>,
    literal: impl Fn(&T) -> String,
) -> String {
    let mut text = String::new();
    for chunk in chunks {
        let literals: Vec<String> = chunk.iter().map(&literal).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "    {},", literals.join(", "));
    }
    text
}

/// A finite float as C writes it, which reads back as the same bits.
pub fn float(value: f32) -> String {
    format!("{value:e}F")
}

/// A text as C writes it: what is not plain ASCII by octal digits, which no digit behind can lengthen.
pub fn text(text: &str) -> String {
    let mut literal = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                literal.push('\\');
                literal.push(char::from(byte));
            }
            // Of two question marks, old compilers make another sign.
            b'?' => literal.push_str("\\?"),
            b' '..=b'~' => literal.push(char::from(byte)),
            _ => {
                let _ = write!(literal, "\\{byte:03o}");
            }
        }
    }
    literal.push('"');
    literal
}

/// A text in a comment of C, which it must not end.
pub fn comment(text: &str) -> String {
    text.replace("*/", "*_/").replace(['\n', '\r', '\\'], "_")
}

/// A macro's name from that of a file: `MY_MODEL_H`.
pub fn guard(file: &str) -> String {
    let letters = file.chars().map(|c| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    });
    let name: String = letters.collect();
    match name.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("MODEL_{name}"),
        false => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_little_endian_and_filled_up() {
        assert_eq!(words(b"TNET\x01"), "    0x54454e54U, 0x00000001U,\n");
        assert_eq!(bytes(&[1, 255]), "    0x01, 0xff,\n");
    }

    #[test]
    fn a_text_is_one_literal_whatever_is_in_it() {
        assert_eq!(text("a \"b\"\\"), r#""a \"b\"\\""#);
        assert_eq!(text("ü1??="), r#""\303\2741\?\?=""#);
        assert_eq!(comment("a*/b\n"), "a*_/b_");
        assert_eq!(guard("my-model.h"), "MY_MODEL_H");
        assert_eq!(guard("2.h"), "MODEL_2_H");
    }

    #[test]
    fn a_float_reads_back_as_it_was() {
        for value in [
            5.1,
            -0.0,
            0.0,
            1e38,
            f32::MIN_POSITIVE,
            f32::MAX,
            3.0,
            -1e-45,
            120.0,
        ] {
            let literal = float(value);
            let digits = literal.strip_suffix('F').unwrap();
            assert!(digits.contains('e'), "{literal}");
            assert_eq!(
                digits.parse::<f32>().unwrap().to_bits(),
                value.to_bits(),
                "{literal}"
            );
        }
    }
}
