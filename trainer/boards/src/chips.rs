//! Which core a name stands for: cores by all the ways they are written, and families of chips.

use thumbnet_runtime::cores::{CORES, Core};

use crate::hardware::Memory;

/// Families of chips by the start of their names, and where their flash begins. A longer start stands
/// before a shorter one. Chips whose core lacks the FPU that the others of a family have are left out.
const FAMILIES: &[(&str, &str, u32)] = &[
    ("stm32c0", "m0", 0x0800_0000),
    ("stm32f0", "m0", 0x0800_0000),
    ("stm32g0", "m0", 0x0800_0000),
    ("stm32l0", "m0", 0x0800_0000),
    ("stm32u0", "m0", 0x0800_0000),
    ("stm32f1", "m3", 0x0800_0000),
    ("stm32f2", "m3", 0x0800_0000),
    ("stm32l1", "m3", 0x0800_0000),
    ("stm32f3", "m4", 0x0800_0000),
    ("stm32f4", "m4", 0x0800_0000),
    ("stm32g4", "m4", 0x0800_0000),
    ("stm32l4", "m4", 0x0800_0000),
    ("stm32wb5", "m4", 0x0800_0000),
    ("stm32f7", "m7", 0x0800_0000),
    ("stm32h7", "m7", 0x0800_0000),
    ("stm32h5", "m33", 0x0800_0000),
    ("stm32l5", "m33", 0x0800_0000),
    ("stm32u3", "m33", 0x0800_0000),
    ("stm32u5", "m33", 0x0800_0000),
    ("stm32wba", "m33", 0x0800_0000),
    ("nrf51", "m0", 0),
    ("nrf52832", "m4", 0),
    ("nrf52833", "m4", 0),
    ("nrf52840", "m4", 0),
    ("nrf53", "m33", 0),
    ("nrf54l", "m33", 0),
    ("nrf91", "m33", 0),
    ("rp2040", "m0", 0x1000_0000),
    ("rp235", "m33", 0x1000_0000),
    ("atsamd21", "m0", 0),
    ("atsamd51", "m4", 0),
    ("atsame5", "m4", 0),
    ("r7fa4m1", "m4", 0),
    ("esp32c3", "rv32imc", 0x4200_0000),
    ("esp32c6", "rv32imac", 0x4200_0000),
    ("ch32v20", "rv32imac", 0x0800_0000),
    ("ch32v30", "rv32imafc", 0x0800_0000),
];

/// Lower case, without hyphens, underscores and spaces.
fn plain(name: &str) -> String {
    let kept = name.chars().filter(|c| !matches!(c, '-' | '_' | ' '));
    kept.collect::<String>().to_ascii_lowercase()
}

fn family(chip: &str) -> Option<&'static (&'static str, &'static str, u32)> {
    let chip = plain(chip);
    FAMILIES.iter().find(|(start, ..)| chip.starts_with(start))
}

/// The core that a name stands for: one of its own names, or that of a chip.
pub(crate) fn core(name: &str) -> Option<&'static Core> {
    let plain = plain(name);
    let short = plain.strip_prefix("cortex").unwrap_or(&plain);
    let short = short
        .strip_suffix("plus")
        .unwrap_or(short)
        .trim_end_matches('+');
    // An FPU that the row has as well.
    let without_f = short.strip_prefix('m').and(short.strip_suffix('f'));
    Core::named(name)
        .or_else(|| Core::named(short))
        .or_else(|| Core::named(without_f?))
        .or_else(|| {
            let cpu = format!("cortex-{short}");
            CORES.iter().find(|core| core.cpus.contains(&&*cpu))
        })
        .or_else(|| Core::named(family(name)?.1))
}

/// The core of a chip by its family; none for an unknown one.
pub fn core_of(chip: &str) -> Option<&'static Core> {
    Core::named(family(chip)?.1)
}

/// Where a chip's flash begins, by its family; none for an unknown one.
pub fn flash_origin(chip: &str) -> Option<u32> {
    Some(family(chip)?.2)
}

/// A size of memory, with its place or that of `origin`: `512k`, `2M`, `512k@0x08000000`.
///
/// # Errors
///
/// Says what was expected.
pub fn memory(text: &str, origin: Option<u32>) -> Result<Memory, String> {
    let expected = || {
        format!(
            "{text:?} is no memory, expected its size and the address where it begins, such as 512k@0x08000000"
        )
    };
    let (length, address) = match text.split_once('@') {
        Some((length, address)) => (length, Some(address)),
        None => (text, None),
    };
    let (digits, unit) = match length.trim().to_ascii_lowercase() {
        kilo if kilo.ends_with('k') => (kilo.trim_end_matches('k').to_string(), 1 << 10),
        mega if mega.ends_with('m') => (mega.trim_end_matches('m').to_string(), 1 << 20),
        bytes => (bytes, 1),
    };
    let length = digits.parse::<u32>().ok();
    let length = length.and_then(|length| length.checked_mul(unit));
    let length = length.filter(|&length| length > 0).ok_or_else(expected)?;
    let origin = match address.map(|address| address.trim().to_ascii_lowercase()) {
        Some(address) => {
            let digits = address.strip_prefix("0x").ok_or_else(expected)?;
            u32::from_str_radix(digits, 16).map_err(|_| expected())?
        }
        None => origin.ok_or_else(expected)?,
    };
    match origin.checked_add(length - 1) {
        Some(_) => Ok(Memory { origin, length }),
        None => Err(format!(
            "{text:?} ends beyond the addresses of 32 bits, expected less or an earlier begin"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_is_found_by_all_that_it_is_called() {
        for (name, expected) in [
            ("m0+", "m0"),
            ("Cortex-M0plus", "m0"),
            ("m4f", "m4"),
            ("cortex-m7", "m7"),
            ("M33F", "m33"),
            ("m85", "m55"),
            ("rp2040", "m0"),
            ("STM32F411RETx", "m4"),
            ("stm32wba52", "m33"),
            ("esp32-c3", "rv32imc"),
            ("rv32imafc", "rv32imafc"),
        ] {
            assert_eq!(core(name).map(|core| core.short), Some(expected), "{name}");
        }
        for name in ["m5", "", "f", "stm32", "nrf52810", "stm32wl55"] {
            assert_eq!(core(name).map(|core| core.short), None, "{name}");
        }
    }

    #[test]
    fn memory_has_a_size_and_a_place() {
        let flash = |text| memory(text, Some(0x0800_0000));
        let of = |origin, length| Ok(Memory { origin, length });
        assert_eq!(flash("512k"), of(0x0800_0000, 512 << 10));
        assert_eq!(flash("2M@0x10000000"), of(0x1000_0000, 2 << 20));
        assert_eq!(memory("1024@0x0", None), of(0, 1024));
        for wrong in [
            "",
            "k",
            "0k",
            "-1k",
            "512k@",
            "512k@8",
            "5000M",
            "512kk@0xg",
        ] {
            assert_eq!(
                flash(wrong).unwrap_err(),
                format!(
                    "{wrong:?} is no memory, expected its size and the address where it begins, such as 512k@0x08000000"
                )
            );
        }
        assert!(memory("512k", None).unwrap_err().contains("the address"));
        assert!(flash("2M@0xFFF00000").unwrap_err().contains("32 bits"));
    }
}
