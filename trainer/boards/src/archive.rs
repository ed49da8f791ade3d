//! The part of a static library that is needed.

use std::{
    collections::{HashMap, HashSet},
    io::Cursor,
};

use ar_archive_writer::{
    ArchiveKind, DEFAULT_OBJECT_READER, NewArchiveMember, write_archive_to_stream,
};
use object::{Object as _, ObjectSymbol as _, read::archive::ArchiveFile};

/// The members of an archive whose names begin with `own`, and those that they need: what defines the symbols
/// that they lack, and so on. The compiler's library is hundreds of members, few of which a model needs.
///
/// # Errors
///
/// Bytes that are no archive of object files.
pub fn needed(archive: &[u8], own: &str) -> Result<Vec<u8>, object::Error> {
    let mut members = Vec::new();
    let mut lacks = Vec::new();
    let mut defined = HashMap::new();
    let file = ArchiveFile::parse(archive)?;
    for member in file.members() {
        let member = member?;
        let data = member.data(archive)?;
        let mut lacking = Vec::new();
        if let Ok(object) = object::File::parse(data) {
            for symbol in object.symbols() {
                let name = symbol.name_bytes()?;
                if symbol.is_undefined() && !name.is_empty() {
                    lacking.push(name);
                } else if symbol.is_global() {
                    defined.entry(name).or_insert(members.len());
                }
            }
        }
        members.push((member.name(), data));
        lacks.push(lacking);
    }
    let mut open: Vec<usize> = (0..members.len())
        .filter(|member| members[*member].0.starts_with(own.as_bytes()))
        .collect();
    let mut kept: HashSet<usize> = open.iter().copied().collect();
    while let Some(member) = open.pop() {
        for name in &lacks[member] {
            if let Some(&other) = defined.get(name)
                && kept.insert(other)
            {
                open.push(other);
            }
        }
    }
    let kept: Vec<NewArchiveMember> = (0..members.len())
        .filter(|member| kept.contains(member))
        .map(|member| {
            let (name, data) = members[member];
            let name = String::from_utf8_lossy(name).into_owned();
            NewArchiveMember::new(data, &DEFAULT_OBJECT_READER, name)
        })
        .collect();
    let mut written = Cursor::new(Vec::new());
    write_archive_to_stream(&mut written, &kept, ArchiveKind::Gnu, false, None)
        .expect("memory takes all bytes");
    Ok(written.into_inner())
}
