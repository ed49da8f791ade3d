//! Ways in which inputs go wrong.

use std::io::{Cursor, Read, Write};

use rand::{Rng, RngExt, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use zip::{ZipArchive, ZipWriter, write::SimpleFileOptions};

/// Any bytes.
pub fn bytes(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    if bytes.is_empty() {
        bytes.push(rng.random());
        return;
    }
    // Heads are at the start, mostly.
    let end = match rng.random_range(0..3) {
        0 => bytes.len().min(128),
        1 => bytes.len().min(2048),
        _ => bytes.len(),
    };
    let at = rng.random_range(0..end);
    match rng.random_range(0..9) {
        0 => bytes[at] ^= 1 << rng.random_range(0..8),
        1 => bytes[at] = *[0, 1, 2, 127, 128, 254, 255].choose(rng).expect("some"),
        2 => bytes[at] = rng.random(),
        3 => bytes.truncate(at),
        4 => bytes.insert(at, rng.random()),
        5 => {
            bytes.remove(at);
        }
        6 => {
            // A length, an offset, a float.
            let number: u64 = *[
                0,
                1,
                8,
                u64::MAX,
                u64::from(u32::MAX),
                1 << 31,
                1 << 40,
                i64::MAX as u64,
                0x7F80_0000,
                0x7FC0_0000,
                bytes.len() as u64,
            ]
            .choose(rng)
            .expect("some");
            let width = *[2, 4, 8].choose(rng).expect("some");
            for (byte, new) in bytes[at..].iter_mut().zip(&number.to_le_bytes()[..width]) {
                *byte = *new;
            }
        }
        7 => {
            let copied = piece(bytes, rng);
            for (byte, new) in bytes[at..].iter_mut().zip(copied) {
                *byte = new;
            }
        }
        _ => {
            let copied = piece(bytes, rng);
            bytes.splice(at..at, copied);
        }
    }
}

/// Up to 64 bytes from anywhere.
fn piece(bytes: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let from = rng.random_range(0..bytes.len());
    let count = rng.random_range(0..64).min(bytes.len() - from);
    bytes[from..from + count].to_vec()
}

/// The beginning of one and the end of another.
pub fn splice(bytes: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    bytes.truncate(rng.random_range(0..=bytes.len()));
    bytes.extend(&other[rng.random_range(0..=other.len())..]);
}

/// Words that tables, headers and configurations have, and such as they should not.
const WORDS: [&str; 40] = [
    ",",
    ";",
    "\t",
    "|",
    "\"",
    "'",
    "\n",
    "\r\n",
    "\r",
    "#",
    " ",
    "",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "1e999",
    "-1",
    "0",
    "1",
    "1e-45",
    "3.4e38",
    "1,5",
    "1.000,5",
    "9007199254740993",
    "18446744073709551616",
    "true",
    "no",
    "NA",
    "?",
    "2024-01-31",
    "\u{feff}",
    "\0",
    "\u{1b}[31m",
    "é",
    "null",
    "{}",
    "[[[[[[[[",
    "label",
    "0x10",
];

/// A text.
pub fn text(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    if rng.random_range(0..4) == 0 || bytes.is_empty() {
        return self::bytes(bytes, rng);
    }
    let at = rng.random_range(0..bytes.len());
    let word = WORDS.choose(rng).expect("some").bytes();
    let end = match rng.random_range(0..3) {
        0 => at,
        1 => at + 1,
        // In place of a cell.
        _ => {
            let cell = bytes[at..].iter().position(|byte| b",;\t\n".contains(byte));
            cell.map_or(bytes.len(), |cell| at + cell)
        }
    };
    bytes.splice(at..end, word);
}

/// JSON: any value in it becomes another one.
pub fn json(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    match serde_json::from_slice(bytes) {
        Ok(mut value) if rng.random_range(0..8) != 0 => {
            change(&mut value, rng);
            *bytes = value.to_string().into_bytes();
        }
        _ => text(bytes, rng),
    }
}

fn change(value: &mut Value, rng: &mut ChaCha8Rng) {
    let deeper = rng.random_range(0..8) != 0;
    match value {
        Value::Array(items) if deeper && !items.is_empty() => {
            let at = rng.random_range(0..items.len());
            match rng.random_range(0..12) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                _ => change(&mut items[at], rng),
            }
        }
        Value::Object(entries) if deeper && !entries.is_empty() => {
            let at = rng.random_range(0..entries.len());
            let key = entries.keys().nth(at).cloned().unwrap_or_default();
            match rng.random_range(0..12) {
                0 => drop(entries.remove(&key)),
                1 => {
                    let moved = entries
                        .values()
                        .nth(rng.random_range(0..entries.len()))
                        .cloned();
                    entries.insert(key, moved.unwrap_or_default());
                }
                _ => change(&mut entries[&key], rng),
            }
        }
        _ => *value = odd(value, rng),
    }
}

fn odd(old: &Value, rng: &mut ChaCha8Rng) -> Value {
    match rng.random_range(0..18) {
        0 => Value::Null,
        1 => json!(-1),
        2 => json!(0),
        3 => json!(1),
        4 => json!(rng.random_range(0..10)),
        5 => json!(1e308),
        6 => json!(-0.5),
        7 => json!(0.3),
        8 => json!(u64::MAX),
        9 => json!(1_000_000_000),
        10 => json!(""),
        11 => json!("relu\n\u{1b}[2J"),
        12 => json!([]),
        13 => json!({}),
        14 => json!([old, old]),
        15 => json!({"class_name": "Dense", "config": {"units": 3}}),
        16 => json!(rng.random::<bool>()),
        _ => (0..rng.random_range(1..300)).fold(old.clone(), |value, _| json!([value])),
    }
}

/// A zip archive: its bytes, or those of a file in it.
pub fn archive(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    match rezipped(bytes, rng) {
        Some(archive) if rng.random_range(0..4) != 0 => *bytes = archive,
        _ => self::bytes(bytes, rng),
    }
}

/// With one of its files changed, repeated or left out. `None` where it is no archive.
fn rezipped(bytes: &[u8], rng: &mut ChaCha8Rng) -> Option<Vec<u8>> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).ok()?;
    let changed = rng.random_range(0..archive.len().max(1));
    let how = rng.next_u32() % 12;
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..archive.len() {
        let file = archive.by_index(index).ok()?;
        let name = file.name().ok()?.into_owned();
        let mut held = Vec::new();
        file.take(1 << 20).read_to_end(&mut held).ok()?;
        if index == changed {
            match how {
                0 => continue,
                _ if name.ends_with(".json") => json(&mut held, rng),
                _ => self::bytes(&mut held, rng),
            }
        }
        writer.start_file(name, SimpleFileOptions::default()).ok()?;
        writer.write_all(&held).ok()?;
    }
    Some(writer.finish().ok()?.into_inner())
}
