//! Automatic names as Keras gives them: `dense`, `dense_1`, `batch_normalization`.

use std::collections::HashMap;

use crate::keras::snake_case;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_per_class_and_skip_what_is_taken() {
        let mut names = Names::default();
        assert_eq!(names.next("Dense", |_| false), "dense");
        assert_eq!(names.next("ELU", |_| false), "elu");
        assert_eq!(names.next("Dense", |name| name == "dense_1"), "dense_2");
    }
}
