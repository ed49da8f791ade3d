//! What each column of a table is: a feature in its place, the target, or left out.

use std::collections::HashSet;

use csv::ByteRecord;
use ndarray::Axis;

use super::csv::{CsvOptions, Target};
use super::{Dataset, labels::list};

/// Column names that are taken for the target when none is named, in this order.
const USUAL_TARGETS: [&str; 2] = ["label", "target"];

/// The columns that are features, and their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Features {
    /// All but the target, in the order of the file; a column without a name (pandas'
    /// `Unnamed: 0` too) that numbers the rows is left out.
    #[default]
    All,
    /// These, in this order; others in the file are left out.
    Named(Vec<String>),
    /// As `All`, without these.
    Without(Vec<String>),
}

/// What a column is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Role {
    /// A feature, with its place in the row.
    Feature(usize),
    Target,
    LeftOut,
}

/// The header line, understood.
pub(super) struct Columns {
    /// All names in the file.
    pub names: Vec<String>,
    /// What each of them is.
    pub roles: Vec<Role>,
    /// Names of the features, in the order of the row.
    pub features: Vec<String>,
    /// The column that is read as the target.
    pub target_name: Option<String>,
    /// The names of what is neither.
    pub left_out: Vec<String>,
}

impl Columns {
    pub fn new(record: &ByteRecord, options: &CsvOptions) -> Result<Self, String> {
        let names: Vec<String> = record
            .iter()
            .map(|cell| String::from_utf8_lossy(cell.trim_ascii()).into_owned())
            .collect();
        check_header(&names)?;
        let (wanted, required) = match &options.target {
            Target::Read(name) => (name.as_deref(), true),
            Target::ReadIfThere(name) | Target::Skip(name) => (name.as_deref(), false),
        };
        let target = match &options.features {
            // Where no target is named, a feature of that name is none.
            Features::Named(features) => {
                let is_feature = |&column: &usize| features.contains(&names[column]);
                let found = find_target(&names, wanted, required)?;
                if wanted.is_some() && found.as_ref().is_some_and(is_feature) {
                    return Err(format!(
                        "column {:?} is a feature and cannot be the target too; name another with --target",
                        wanted.unwrap_or_default()
                    ));
                }
                found.filter(|column| !is_feature(column))
            }
            Features::All | Features::Without(_) => find_target(&names, wanted, required)?,
        };
        let features = feature_columns(&names, target, &options.features)?;
        if features.is_empty() {
            return Err(
                "there is no column beside the label, expected at least one feature".to_string(),
            );
        }
        let mut roles = vec![Role::LeftOut; names.len()];
        for (place, &column) in features.iter().enumerate() {
            roles[column] = Role::Feature(place);
        }
        let reads_target = !matches!(options.target, Target::Skip(_));
        if let Some(column) = target.filter(|_| reads_target) {
            roles[column] = Role::Target;
        }
        let left_out = (0..names.len())
            .filter(|&column| roles[column] == Role::LeftOut && Some(column) != target)
            .map(|column| names[column].clone())
            .collect();
        Ok(Self {
            features: features
                .iter()
                .map(|&column| names[column].clone())
                .collect(),
            target_name: target
                .filter(|_| reads_target)
                .map(|column| names[column].clone()),
            names,
            roles,
            left_out,
        })
    }

    pub fn wrong_length(&self, found: usize) -> String {
        let plural = if found == 1 { "" } else { "s" };
        format!(
            "{found} cell{plural}, expected {} as in the header; add or remove cells, or quote a cell that holds a comma",
            self.names.len()
        )
    }
}

fn check_header(names: &[String]) -> Result<(), String> {
    if names.iter().all(|name| name.parse::<f64>().is_ok()) {
        return Err("the first line holds numbers, expected column names; add a header line such as a,b,label".to_string());
    }
    if let [only] = names
        && let Some(separator) = [';', '\t'].into_iter().find(|&c| only.contains(c))
    {
        return Err(format!(
            "the cells are separated by {separator:?}, expected commas; save the file with commas"
        ));
    }
    Ok(())
}

/// The columns of the file that are features, in the order of the row.
fn feature_columns(
    names: &[String],
    target: Option<usize>,
    features: &Features,
) -> Result<Vec<usize>, String> {
    let others = || (0..names.len()).filter(|&column| Some(column) != target);
    match features {
        Features::All => Ok(others().collect()),
        Features::Without(dropped) => {
            for name in dropped {
                if !names.contains(name) {
                    return Err(format!(
                        "there is no column {name:?} to leave out, the columns are {}{}",
                        list(names),
                        did_you_mean(name, names)
                    ));
                }
            }
            Ok(others()
                .filter(|&column| !dropped.contains(&names[column]))
                .collect())
        }
        Features::Named(wanted) => named(names, target, wanted),
    }
}

fn named(names: &[String], target: Option<usize>, wanted: &[String]) -> Result<Vec<usize>, String> {
    let missing: Vec<String> = wanted
        .iter()
        .filter(|name| !names.contains(name))
        .cloned()
        .collect();
    if let Some(first) = missing.first() {
        let unknown: Vec<String> = names
            .iter()
            .enumerate()
            .filter(|&(column, name)| Some(column) != target && !wanted.contains(name))
            .map(|(_, name)| name.clone())
            .collect();
        if missing.len() == wanted.len() {
            return Err(format!(
                "the file has none of the model's columns {}, but {}; give the columns the model's names in the header",
                list(wanted),
                list(names)
            ));
        }
        let quoted: Vec<String> = missing.iter().map(|name| format!("{name:?}")).collect();
        let unknown_are = match unknown.len() {
            0 => String::new(),
            1 => format!(", and {:?} is not of the model", unknown[0]),
            _ => format!(", and {} are not of the model", list(&unknown)),
        };
        return Err(format!(
            "there is no column {}, expected {}{unknown_are}; add the column, or give it the model's name in the header{}",
            quoted.join(", "),
            list(wanted),
            did_you_mean(first, &unknown)
        ));
    }
    let place = |name: &String| {
        let mut columns = (0..names.len()).filter(|&column| names[column] == *name);
        let first = columns.next().unwrap_or_default();
        match columns.next() {
            None => Ok(first),
            Some(_) => Err(format!(
                "there are two columns {name:?}, expected one; rename one of them"
            )),
        }
    };
    wanted.iter().map(place).collect()
}

/// `; did you mean "b"?` where one of the names is near.
pub(super) fn did_you_mean(name: &str, names: &[String]) -> String {
    match nearest(name, names) {
        Some(near) => format!("; did you mean {near:?}?"),
        None => String::new(),
    }
}

/// The name that differs least, where that is by few letters or only by their case.
pub fn nearest<'a>(name: &str, names: &'a [String]) -> Option<&'a String> {
    let lower = name.to_lowercase();
    names
        .iter()
        .filter(|other| *other != name)
        .map(|other| {
            let distance = strsim::damerau_levenshtein(&lower, &other.to_lowercase());
            (distance, other)
        })
        .filter(|(distance, _)| *distance == 0 || *distance <= (lower.chars().count() / 3).min(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// Index of the label column.
fn find_target(
    names: &[String],
    wanted: Option<&str>,
    required: bool,
) -> Result<Option<usize>, String> {
    let found = match wanted {
        Some(wanted) => {
            let mut columns = (0..names.len()).filter(|&column| names[column] == wanted);
            let first = columns.next();
            if columns.next().is_some() {
                return Err(format!(
                    "there are two columns {wanted:?}, expected one; rename one of them"
                ));
            }
            first
        }
        None => USUAL_TARGETS
            .iter()
            .find_map(|usual| names.iter().position(|name| name == usual)),
    };
    if found.is_some() || !required {
        return Ok(found);
    }
    Err(format!(
        "there is no column {}, the columns are {}; name the label column with --target",
        match wanted {
            Some(wanted) => format!("{wanted:?}"),
            None => "\"label\" or \"target\"".to_string(),
        },
        list(names)
    ))
}

/// Leaves out columns that have no name and number the rows, as pandas writes its index: whole
/// numbers, none of them twice. They would give away the order of the rows.
pub(super) fn leave_row_numbers_out(data: &mut Dataset) {
    let unnamed = |name: &str| name.is_empty() || name.starts_with("Unnamed: ");
    let numbers_rows = |column: usize| {
        let values = data.x.index_axis(Axis(1), column);
        let mut seen = HashSet::new();
        values.len() > 1
            && values
                .iter()
                .all(|value| value.fract() == 0.0 && *value >= 0.0 && seen.insert(value.to_bits()))
    };
    let (left_out, kept): (Vec<usize>, Vec<usize>) = (0..data.feature_names.len())
        .partition(|&column| unnamed(&data.feature_names[column]) && numbers_rows(column));
    if left_out.is_empty() || kept.is_empty() {
        return;
    }
    data.x = data.x.select(Axis(1), &kept);
    let names = std::mem::take(&mut data.feature_names);
    let pick = |columns: &[usize]| {
        columns
            .iter()
            .map(|&c| names[c].clone())
            .collect::<Vec<_>>()
    };
    data.left_out.extend(pick(&left_out));
    data.feature_names = pick(&kept);
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{CsvOptions, Target, read_csv_bytes};
    use super::*;

    fn read(features: Features, text: &str) -> Result<Dataset, String> {
        let options = CsvOptions {
            features,
            ..CsvOptions::default()
        };
        read_csv_bytes(text.as_bytes(), Path::new("d.csv"), &options)
            .map_err(|error| error.to_string())
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_string()).collect()
    }

    #[test]
    fn named_columns_are_reordered_and_others_left_out() {
        let wanted = Features::Named(names(&["a", "b"]));
        let data = read(wanted.clone(), "b,id,label,a\n2,x,0,1\n4,y,1,3\n").unwrap();
        assert_eq!(data.x.iter().copied().collect::<Vec<_>>(), [1., 2., 3., 4.]);
        assert_eq!(data.feature_names, ["a", "b"]);
        assert_eq!(data.left_out, ["id"]);
        assert_eq!(
            read(wanted.clone(), "a,c,label\n1,2,0\n").unwrap_err(),
            "d.csv:1: there is no column \"b\", expected a, b, and \"c\" is not of the model; add the column, or give it the model's name in the header"
        );
        assert_eq!(
            read(wanted, "a,B,label\n1,2,0\n").unwrap_err(),
            "d.csv:1: there is no column \"b\", expected a, b, and \"B\" is not of the model; add the column, or give it the model's name in the header; did you mean \"B\"?"
        );
    }

    #[test]
    fn a_file_of_something_else_is_named_once() {
        let wanted = Features::Named(names(&["a", "b"]));
        assert_eq!(
            read(wanted, "x,y,label\n1,2,0\n").unwrap_err(),
            "d.csv:1: the file has none of the model's columns a, b, but x, y, label; give the columns the model's names in the header"
        );
    }

    #[test]
    fn a_feature_called_label_is_a_feature() {
        let options = CsvOptions {
            features: Features::Named(names(&["label"])),
            target: Target::Skip(None),
            ..CsvOptions::default()
        };
        let data = read_csv_bytes(b"label\n7\n", Path::new("d.csv"), &options).unwrap();
        assert_eq!((data.x[[0, 0]], data.y), (7.0, None));
    }

    #[test]
    fn dropped_columns_must_be_there() {
        let without = |name: &str| Features::Without(names(&[name]));
        let data = read(without("id"), "id,a,label\n5,1,0\n6,2,1\n").unwrap();
        assert_eq!(data.feature_names, ["a"]);
        assert_eq!(
            read(without("ids"), "id,a,label\n5,1,0\n").unwrap_err(),
            "d.csv:1: there is no column \"ids\" to leave out, the columns are id, a, label; did you mean \"id\"?"
        );
    }

    #[test]
    fn an_unnamed_column_that_numbers_the_rows_is_left_out() {
        for header in ["", "Unnamed: 0"] {
            let text = format!("{header},a,label\n7,1,0\n0,1,1\n3,2,1\n");
            let data = read(Features::All, &text).unwrap();
            assert_eq!(data.feature_names, ["a"], "{header}");
            assert_eq!(data.left_out, [header]);
            assert_eq!(data.x.shape(), [3, 1]);
        }
        // A measurement without a name stays: it is no number of a row.
        for text in [",a,label\n7,1,0\n7,1,1\n", ",a,label\n0.5,1,0\n7,1,1\n"] {
            assert_eq!(read(Features::All, text).unwrap().feature_names, ["", "a"]);
        }
        // One with a name stays, too.
        let data = read(Features::All, "i,a,label\n0,1,0\n1,1,1\n").unwrap();
        assert_eq!(data.feature_names, ["i", "a"]);
    }
}
