//! Automatic names as Keras gives them: `dense`, `dense_1`, `batch_normalization`.

use std::collections::HashMap;

/// Counts the names of each kind in one model.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Names {
    counts: HashMap<String, usize>,
}

impl Names {
    /// The next name of a class that `taken` does not have.
    pub fn next(&mut self, class_name: &str, taken: impl Fn(&str) -> bool) -> String {
        let prefix = snake_case(class_name);
        let count = self.counts.entry(prefix.clone()).or_default();
        loop {
            let name = match *count {
                0 => prefix.clone(),
                n => format!("{prefix}_{n}"),
            };
            *count += 1;
            if !taken(&name) {
                return name;
            }
        }
    }
}

/// Keras' conversion of class names: `ReLU` is `re_lu`, `PReLU` is `p_re_lu`, `ELU` is `elu`.
pub(crate) fn snake_case(class_name: &str) -> String {
    let chars: Vec<char> = class_name.chars().collect();
    let mut out = String::new();
    for (i, &c) in chars.iter().enumerate() {
        let before = i.checked_sub(1).map(|i| chars[i]);
        let after = chars.get(i + 1);
        let begins_word = c.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase() || after.is_some_and(|after| after.is_lowercase())
            });
        if begins_word {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_become_keras_names() {
        let pairs = [
            ("Dense", "dense"),
            ("ReLU", "re_lu"),
            ("LeakyReLU", "leaky_re_lu"),
            ("PReLU", "p_re_lu"),
            ("ELU", "elu"),
            ("BatchNormalization", "batch_normalization"),
            ("InputLayer", "input_layer"),
        ];
        for (class, name) in pairs {
            assert_eq!(snake_case(class), name);
        }
    }

    #[test]
    fn names_count_per_class_and_skip_what_is_taken() {
        let mut names = Names::default();
        assert_eq!(names.next("Dense", |_| false), "dense");
        assert_eq!(names.next("ELU", |_| false), "elu");
        assert_eq!(names.next("Dense", |name| name == "dense_1"), "dense_2");
    }
}
