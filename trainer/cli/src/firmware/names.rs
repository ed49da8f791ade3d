//! Names that Rust and cargo take.

/// Words that are no names in Rust.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// A field of a structure for each input, in their order: `sepal length (cm)` is `sepal_length_cm`.
pub fn fields(names: &[String]) -> Vec<String> {
    let mut fields: Vec<String> = Vec::new();
    for name in names {
        let name = field(name);
        let mut free = name.clone();
        let mut number = 2;
        while fields.contains(&free) {
            free = format!("{name}_{number}");
            number += 1;
        }
        fields.push(free);
    }
    fields
}

fn field(name: &str) -> String {
    let letters: String = name
        .chars()
        .map(|c| match c.is_ascii_alphanumeric() {
            true => c.to_ascii_lowercase(),
            false => '_',
        })
        .collect();
    let words: Vec<&str> = letters.split('_').filter(|word| !word.is_empty()).collect();
    let name = words.join("_");
    match name.chars().next() {
        None => "input".to_string(),
        Some(first) if first.is_ascii_digit() => format!("x_{name}"),
        Some(_) if KEYWORDS.contains(&name.as_str()) => format!("{name}_"),
        Some(_) => name,
    }
}

/// A package's name from that of its folder.
pub fn package(folder: &str) -> String {
    let name = field(folder);
    let is_taken = ["test", "core", "std", "alloc", "proc_macro", "input"].contains(&name.as_str());
    match is_taken || name.ends_with('_') {
        true => "firmware".to_string(),
        false => name.replace('_', "-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_is_a_field_of_its_own() {
        let names = [
            "sepal length (cm)",
            "Type",
            "2nd",
            "",
            "größe",
            "a b",
            "a-b",
            "a_b",
        ];
        assert_eq!(
            fields(&names.map(str::to_string)),
            [
                "sepal_length_cm",
                "type_",
                "x_2nd",
                "input",
                "gr_e",
                "a_b",
                "a_b_2",
                "a_b_3"
            ]
        );
    }

    #[test]
    fn a_package_is_called_as_its_folder() {
        for (folder, expected) in [
            ("fw", "fw"),
            ("My Firmware", "my-firmware"),
            ("test", "firmware"),
            ("2", "x-2"),
            ("match", "firmware"),
            ("...", "firmware"),
        ] {
            assert_eq!(package(folder), expected);
        }
    }
}
