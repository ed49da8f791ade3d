//! JSON as Keras writes it.

use std::io;

use serde_json::Value;

/// JSON as Python writes it: `", "` and `": "`, other than ASCII as `\u` escapes.
pub(crate) fn to_json(value: &Value) -> String {
    struct Python;
    impl serde_json::ser::Formatter for Python {
        fn begin_array_value<W: ?Sized + io::Write>(
            &mut self,
            writer: &mut W,
            first: bool,
        ) -> io::Result<()> {
            writer.write_all(if first { b"" } else { b", " })
        }
        fn begin_object_key<W: ?Sized + io::Write>(
            &mut self,
            writer: &mut W,
            first: bool,
        ) -> io::Result<()> {
            writer.write_all(if first { b"" } else { b", " })
        }
        fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
            writer.write_all(b": ")
        }
        fn write_string_fragment<W: ?Sized + io::Write>(
            &mut self,
            writer: &mut W,
            fragment: &str,
        ) -> io::Result<()> {
            for c in fragment.chars() {
                if c.is_ascii() {
                    writer.write_all(&[c as u8])?; // ASCII, so one byte
                } else {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(writer, "\\u{unit:04x}")?;
                    }
                }
            }
            Ok(())
        }
    }
    let mut json = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, Python);
    serde::Serialize::serialize(value, &mut serializer).expect("a Value has only text keys");
    String::from_utf8(json).expect("ASCII")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_spelled_as_python_spells_it() {
        let value = json!({"name": "größe", "shape": [null, 4], "rate": 0.1});
        assert_eq!(
            to_json(&value),
            r#"{"name": "gr\u00f6\u00dfe", "shape": [null, 4], "rate": 0.1}"#
        );
    }
}
