//! Names in Keras' files: of classes, of objects made of them, and their spellings.

use std::collections::HashMap;

/// `Pinball` of `shop>Pinball`.
pub(crate) fn class_name(registered_name: &str) -> &str {
    registered_name
        .rsplit('>')
        .next()
        .unwrap_or(registered_name)
}

/// `GlorotUniform` and `glorot_uniform` alike, for comparing names: lower case without underscores.
pub(crate) fn folded(name: &str) -> String {
    name.chars()
        .filter(|&c| c != '_')
        .flat_map(char::to_lowercase)
        .collect()
}

/// Keras' `to_snake_case`: `BatchNormalization` is `batch_normalization`, `PReLU` is `p_re_lu`.
pub(crate) fn snake_case(name: &str) -> String {
    let name: Vec<char> = name
        .chars()
        .filter(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    // The pattern (.)([A-Z][a-z]+), left to right without overlap, then ([a-z])([A-Z]).
    let mut first = Vec::new();
    let mut i = 0;
    while i < name.len() {
        first.push(name[i]);
        let word = name[i + 1..]
            .iter()
            .skip(1)
            .take_while(|c| c.is_ascii_lowercase())
            .count();
        if name.get(i + 1).is_some_and(char::is_ascii_uppercase) && word > 0 {
            first.push('_');
            first.extend(&name[i + 1..i + 2 + word]);
            i += 2 + word;
        } else {
            i += 1;
        }
    }
    let mut snake = String::new();
    for (i, &c) in first.iter().enumerate() {
        if i > 0 && first[i - 1].is_ascii_lowercase() && c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

/// `binary_accuracy` as `BinaryAccuracy`.
pub(crate) fn camel_case(name: &str) -> String {
    let word = |word: &str| match word.chars().next() {
        Some(first) => first.to_uppercase().chain(word.chars().skip(1)).collect(),
        None => String::new(),
    };
    name.split('_').map(word).collect()
}

/// `name`, or `name_1`, `name_2`, … when it was used before.
pub(crate) fn unique(name: &str, used: &mut HashMap<String, usize>) -> String {
    let count = used.entry(name.to_string()).or_default();
    *count += 1;
    if *count == 1 {
        name.to_string()
    } else {
        format!("{name}_{}", *count - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snake_case_is_keras_own() {
        for (class, snake) in [
            ("Dense", "dense"),
            ("BatchNormalization", "batch_normalization"),
            ("PReLU", "p_re_lu"),
            ("ReLU", "re_lu"),
            ("LeakyReLU", "leaky_re_lu"),
            ("ELU", "elu"),
            ("RMSprop", "rm_sprop"),
            ("AdamW", "adam_w"),
            ("Conv2D", "conv2d"),
        ] {
            assert_eq!(snake_case(class), snake);
        }
    }
}
