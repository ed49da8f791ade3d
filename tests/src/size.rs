//! What a program takes, and what it can reach, from its ELF file.

use object::{Object as _, ObjectSection as _, ObjectSymbol as _, SectionKind};

/// Bytes that a program takes in flash: code, constants and the initial values of variables.
pub fn flash_bytes(elf: &[u8]) -> u64 {
    let elf = object::File::parse(elf).expect("an ELF file");
    let kinds = [
        SectionKind::Text,
        SectionKind::ReadOnlyData,
        SectionKind::ReadOnlyString,
        SectionKind::Data,
    ];
    let sections = elf
        .sections()
        .filter(|section| kinds.contains(&section.kind()));
    sections.map(|section| section.size()).sum()
}

/// Names of all symbols of a program.
pub fn symbols(elf: &[u8]) -> Vec<String> {
    let elf = object::File::parse(elf).expect("an ELF file");
    let names = elf
        .symbols()
        .filter_map(|symbol| symbol.name().ok().map(str::to_owned));
    names.filter(|name| !name.is_empty()).collect()
}
