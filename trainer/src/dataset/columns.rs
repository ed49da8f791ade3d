//! What each column of a table is: a feature in its place, a target, or left out.

use std::collections::{BTreeMap, HashMap, HashSet};

use ndarray::Axis;
use wildmatch::WildMatch;

use super::csv::{CsvOptions, Target};
use super::survey::Kind;
use super::{Dataset, labels::list};

/// Column names that are taken for the target when none is named, in this order.
const USUAL_TARGETS: [&str; 2] = ["label", "target"];
/// Names of columns that number the rows, in lower case; pandas' index has none.
const ROW_NUMBERS: [&str; 7] = ["", "id", "index", "idx", "row", "row_id", "nr"];
/// Rows from which on a column that counts by equal steps is no measurement.
const COUNTING_ROWS: usize = 10;

/// The columns that are features, and their order. In names `*` stands for any letters and `?` for
/// one.
///
/// A column of text becomes one feature for each of its texts, 1 where the row has it and else 0,
/// called `column=text`; one of `true` and `false`, `yes` and `no`, `on` and `off` becomes 1 and 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Features {
    /// All but the targets, in the order of the file; left out is what numbers the rows, dates, and
    /// text that is different in nearly every row.
    #[default]
    All,
    /// These, in this order; others in the file are left out.
    Named(Vec<String>),
    /// As `Named`, for a model that has these inputs: each is a column of numbers, or `column=text`.
    OfModel(Vec<String>),
    /// As `All`, without these.
    Without(Vec<String>),
}

/// What a column is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Role {
    /// A feature, with its place in the row.
    Feature(usize),
    /// Several features, by their number in [`Columns::categories`].
    Categories(usize),
    Target,
    /// Names the row's group.
    Group,
    LeftOut,
    /// Neither name nor values.
    Empty,
}

/// A column of text: the place in the row of each text's feature.
pub(super) type Categories = HashMap<Vec<u8>, usize>;

/// The header line, understood.
pub(super) struct Columns {
    /// All names in the file.
    pub names: Vec<String>,
    /// What each of them is.
    pub roles: Vec<Role>,
    /// Names of the features, in the order of the row.
    pub features: Vec<String>,
    /// Of the columns of text.
    pub categories: Vec<Categories>,
    /// The columns that are read as targets.
    pub targets: Vec<usize>,
    /// The names of what is neither, where the features are named.
    pub left_out: Vec<String>,
    /// What was assumed.
    pub notes: Vec<String>,
}

/// One feature.
struct Feature {
    column: usize,
    /// The text that it stands for, in a column of text.
    category: Option<Vec<u8>>,
    name: String,
}

impl Columns {
    /// * `empty` - columns at the end without name and values
    /// * `kinds` - what columns hold, where that is known; else numbers
    pub fn new(
        names: Vec<String>,
        empty: usize,
        options: &CsvOptions,
        kinds: &BTreeMap<usize, Kind>,
    ) -> Result<Self, String> {
        let used = names.len() - empty;
        let mut notes = Vec::new();
        let targets = find_targets(&names[..used], options, &mut notes)?;
        let group = find_group(&names[..used], &targets, options)?;
        let others: Vec<usize> = targets.iter().copied().chain(group).collect();
        let features = match &options.features {
            Features::All => all(&names[..used], &others, &[], kinds, &mut notes)?,
            Features::Without(dropped) => {
                let dropped = dropped_columns(&names[..used], dropped)?;
                all(&names[..used], &others, &dropped, kinds, &mut notes)?
            }
            Features::Named(wanted) => {
                let wanted = expanded(&names[..used], &targets, wanted);
                named(&names[..used], &targets, &wanted, kinds)?
            }
            Features::OfModel(wanted) => named(&names[..used], &targets, wanted, kinds)?,
        };
        if features.is_empty() {
            return Err("there is no column of numbers or categories beside the label, expected at least one feature".to_string());
        }
        let mut roles = vec![Role::LeftOut; names.len()];
        roles[used..].fill(Role::Empty);
        let mut categories: Vec<Categories> = Vec::new();
        for (place, feature) in features.iter().enumerate() {
            let role = &mut roles[feature.column];
            match &feature.category {
                None => *role = Role::Feature(place),
                Some(category) => {
                    let number = match *role {
                        Role::Categories(number) => number,
                        _ => {
                            categories.push(Categories::new());
                            categories.len() - 1
                        }
                    };
                    *role = Role::Categories(number);
                    categories[number].insert(category.clone(), place);
                }
            }
        }
        let reads_target = !matches!(options.target, Target::Skip(_));
        if reads_target {
            for &column in &targets {
                roles[column] = Role::Target;
            }
        }
        if let Some(column) = group {
            roles[column] = Role::Group;
        }
        let left_out = match options.features {
            Features::Named(_) | Features::OfModel(_) => (0..used)
                .filter(|column| roles[*column] == Role::LeftOut && !targets.contains(column))
                .map(|column| names[column].clone())
                .collect(),
            Features::All | Features::Without(_) => Vec::new(),
        };
        Ok(Self {
            features: features.into_iter().map(|feature| feature.name).collect(),
            categories,
            targets: if reads_target { targets } else { Vec::new() },
            names,
            roles,
            left_out,
            notes,
        })
    }

    /// The names of the targets.
    pub fn target_names(&self) -> Vec<String> {
        let names = self.targets.iter();
        names.map(|&column| self.names[column].clone()).collect()
    }

    /// Whether a column's cells become features.
    pub fn is_feature(&self, column: usize) -> bool {
        match self.roles.get(column) {
            Some(Role::Feature(_) | Role::Categories(_)) => true,
            Some(Role::Target | Role::Group | Role::LeftOut | Role::Empty) | None => false,
        }
    }

    /// The texts of a column, sorted.
    pub fn texts(&self, categories: usize) -> Vec<String> {
        let mut texts: Vec<String> = self.categories[categories]
            .keys()
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .collect();
        texts.sort_unstable();
        texts
    }

    pub fn wrong_length(&self, found: usize, separator: u8) -> String {
        let plural = if found == 1 { "" } else { "s" };
        let separator = match separator {
            b',' => "comma".to_string(),
            b'\t' => "tab".to_string(),
            other => format!("{:?}", char::from(other)),
        };
        format!(
            "{found} cell{plural}, expected {} as in the header; add or remove cells, or quote a cell that holds a {separator}",
            self.names.len()
        )
    }
}

/// The column that names groups.
fn find_group(
    names: &[String],
    targets: &[usize],
    options: &CsvOptions,
) -> Result<Option<usize>, String> {
    let Some(wanted) = &options.group else {
        return Ok(None);
    };
    let Some(column) = names.iter().position(|name| name == wanted) else {
        return Err(format!(
            "there is no column {wanted:?} of groups, the columns are {}{}",
            list(names),
            did_you_mean(wanted, names)
        ));
    };
    let is_feature = match &options.features {
        Features::Named(features) | Features::OfModel(features) => features.contains(wanted),
        Features::All | Features::Without(_) => false,
    };
    match (targets.contains(&column), is_feature) {
        (true, _) => Err(format!(
            "column {wanted:?} is the target and cannot name the groups too; name the target with --target"
        )),
        (_, true) => Err(format!(
            "column {wanted:?} is a feature and cannot name the groups too; leave it out of the features"
        )),
        (false, false) => Ok(Some(column)),
    }
}

/// Whether a name is one of those, or like one by wildcards.
pub(super) fn is_like(name: &str, patterns: &[String]) -> bool {
    patterns
        .iter()
        .any(|pattern| pattern == name || WildMatch::new(pattern).matches(name))
}

/// The columns whose names are like this one.
fn like(names: &[String], pattern: &String) -> Vec<usize> {
    let is_like = |&column: &usize| is_like(&names[column], std::slice::from_ref(pattern));
    (0..names.len()).filter(is_like).collect()
}

/// The columns to leave out.
fn dropped_columns(names: &[String], wanted: &[String]) -> Result<Vec<usize>, String> {
    let mut dropped = Vec::new();
    for pattern in wanted {
        let columns = like(names, pattern);
        if columns.is_empty() {
            return Err(format!(
                "there is no column {pattern:?} to leave out, the columns are {}{}",
                list(names),
                did_you_mean(pattern, names)
            ));
        }
        dropped.extend(columns);
    }
    Ok(dropped)
}

/// All columns that are neither targets nor dropped.
fn all(
    names: &[String],
    targets: &[usize],
    dropped: &[usize],
    kinds: &BTreeMap<usize, Kind>,
    notes: &mut Vec<String>,
) -> Result<Vec<Feature>, String> {
    let mut features = Vec::new();
    let mut seen = HashSet::new();
    for column in (0..names.len()).filter(|c| !targets.contains(c) && !dropped.contains(c)) {
        let name = &names[column];
        if !name.is_empty() && !seen.insert(name) {
            return Err(format!(
                "there are two columns {name:?}, expected different names; rename one of them"
            ));
        }
        match kinds.get(&column) {
            None | Some(Kind::Number) => features.push(Feature {
                column,
                category: None,
                name: name.clone(),
            }),
            Some(Kind::Categories(texts)) => {
                features.extend(of_categories(column, name, texts));
                notes.push(format!(
                    "column {name:?} holds text and becomes {} inputs of 0 and 1, one for each text",
                    texts.len()
                ));
            }
            Some(Kind::LeftOut(reason)) => notes.push(reason.note(name)),
        }
    }
    Ok(features)
}

/// One feature for each text.
fn of_categories<'a>(
    column: usize,
    name: &'a str,
    texts: &'a [Vec<u8>],
) -> impl Iterator<Item = Feature> + 'a {
    texts.iter().map(move |text| Feature {
        column,
        category: Some(text.clone()),
        name: format!("{name}={}", String::from_utf8_lossy(text)),
    })
}

/// The names, with those of the columns in place of one with wildcards that is no column's.
fn expanded(names: &[String], targets: &[usize], wanted: &[String]) -> Vec<String> {
    let mut expanded = Vec::new();
    for want in wanted {
        match want.contains(['*', '?']) && !names.contains(want) {
            true => {
                let columns = like(names, want).into_iter();
                let features = columns.filter(|column| !targets.contains(column));
                let before = expanded.len();
                expanded.extend(features.map(|column| names[column].clone()));
                if expanded.len() == before {
                    expanded.push(want.clone());
                }
            }
            false => expanded.push(want.clone()),
        }
    }
    expanded
}

/// These columns: by name, or one text of a column as `column=text`.
fn named(
    names: &[String],
    targets: &[usize],
    wanted: &[String],
    kinds: &BTreeMap<usize, Kind>,
) -> Result<Vec<Feature>, String> {
    let mut missing = Vec::new();
    let mut features: Vec<Feature> = Vec::new();
    for want in wanted {
        let columns: Vec<usize> = (0..names.len()).filter(|&c| names[c] == *want).collect();
        if columns.len() > 1 {
            return Err(format!(
                "there are two columns {want:?}, expected one; rename one of them"
            ));
        }
        if columns.is_empty() {
            match category(names, want) {
                Some(feature) => features.push(feature),
                None => missing.push(want.clone()),
            }
        }
        for column in columns {
            match kinds.get(&column) {
                Some(Kind::Categories(texts)) => {
                    features.extend(of_categories(column, &names[column], texts));
                }
                None | Some(Kind::Number | Kind::LeftOut(_)) => features.push(Feature {
                    column,
                    category: None,
                    name: names[column].clone(),
                }),
            }
        }
    }
    if missing.is_empty() {
        return Ok(features);
    }
    Err(unknown_columns(names, targets, wanted, &missing))
}

/// The feature of `column=text`.
fn category(names: &[String], want: &str) -> Option<Feature> {
    // The longest name: a column's may hold the sign too.
    let (column, name) = names
        .iter()
        .enumerate()
        .filter(|(_, name)| {
            want.strip_prefix(*name)
                .is_some_and(|rest| rest.starts_with('='))
        })
        .max_by_key(|(_, name)| name.len())?;
    Some(Feature {
        column,
        category: Some(want.as_bytes()[name.len() + 1..].to_vec()),
        name: want.to_string(),
    })
}

/// What to say where columns of the model are not there.
fn unknown_columns(
    names: &[String],
    targets: &[usize],
    wanted: &[String],
    missing: &[String],
) -> String {
    let unknown: Vec<String> = names
        .iter()
        .enumerate()
        .filter(|(column, name)| !targets.contains(column) && !wanted.contains(name))
        .map(|(_, name)| name.clone())
        .collect();
    if missing.len() == wanted.len() {
        return format!(
            "the file has none of the model's columns {}, but {}; give the columns the model's names in the header",
            list(wanted),
            list(names)
        );
    }
    let quoted: Vec<String> = missing.iter().map(|name| format!("{name:?}")).collect();
    let unknown_are = match unknown.len() {
        0 => String::new(),
        1 => format!(", and {:?} is not of the model", unknown[0]),
        _ => format!(", and {} are not of the model", list(&unknown)),
    };
    let near = missing
        .first()
        .map_or(String::new(), |first| did_you_mean(first, &unknown));
    format!(
        "there is no column {}, expected {}{unknown_are}; add the column, or give it the model's name in the header{near}",
        quoted.join(", "),
        list(wanted),
    )
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

/// The columns of the targets.
fn find_targets(
    names: &[String],
    options: &CsvOptions,
    notes: &mut Vec<String>,
) -> Result<Vec<usize>, String> {
    let (wanted, required) = match &options.target {
        Target::Read(wanted) => (wanted, true),
        Target::ReadIfThere(wanted) | Target::Skip(wanted) => (wanted, false),
    };
    let features: &[String] = match &options.features {
        Features::Named(features) | Features::OfModel(features) => features,
        Features::All | Features::Without(_) => &[],
    };
    let mut found = Vec::new();
    for name in wanted {
        let mut columns = (0..names.len()).filter(|&column| names[column] == *name);
        match (columns.next(), columns.next()) {
            (Some(_), Some(_)) => {
                return Err(format!(
                    "there are two columns {name:?}, expected one; rename one of them"
                ));
            }
            (Some(_), None) if features.contains(name) => {
                return Err(format!(
                    "column {name:?} is a feature and cannot be the target too; name another with --target"
                ));
            }
            (Some(column), None) => found.push(column),
            (None, _) if required => {
                return Err(format!(
                    "there is no column {name:?}, the columns are {}; name the label column with --target{}",
                    list(names),
                    did_you_mean(name, names)
                ));
            }
            (None, _) => {}
        }
    }
    if wanted.is_empty() {
        // A feature of that name is none.
        let is_feature = |&column: &usize| features.contains(&names[column]);
        let usual = |name: &&str| names.iter().position(|other| other == name);
        found.extend(
            USUAL_TARGETS
                .iter()
                .find_map(usual)
                .filter(|c| !is_feature(c)),
        );
        if found.is_empty() && required {
            found.extend(last_column(names, features, notes)?);
        }
    }
    Ok(found)
}

/// The last column, where it is no feature.
fn last_column(
    names: &[String],
    features: &[String],
    notes: &mut Vec<String>,
) -> Result<Option<usize>, String> {
    let last = names.len().checked_sub(1).filter(|_| names.len() > 1);
    let Some(column) = last.filter(|&column| !features.contains(&names[column])) else {
        return Err(format!(
            "there is no column \"label\" or \"target\", the columns are {}; name the label column with --target",
            list(names)
        ));
    };
    let name = &names[column];
    notes.push(format!(
        "the target is the last column, {name:?}; name another with --target"
    ));
    Ok(Some(column))
}

/// Leaves out columns that number the rows, which would give away their order: whole numbers, none
/// of them twice, under no name (as pandas writes its index) or one such as `id`; and any column
/// that counts by equal steps.
pub(super) fn leave_row_numbers_out(data: &mut Dataset, keep: &[String]) {
    let rows = data.rows();
    let is_usual = |name: &str| {
        let name = name.to_lowercase();
        ROW_NUMBERS.contains(&name.as_str()) || name.starts_with("unnamed: ")
    };
    let numbers_rows = |column: usize| {
        let values = data.x.index_axis(Axis(1), column);
        let mut seen = HashSet::new();
        rows > 1
            && values
                .iter()
                .all(|value| value.fract() == 0.0 && *value >= 0.0 && seen.insert(value.to_bits()))
    };
    let counts = |column: usize| {
        let values = data.x.index_axis(Axis(1), column);
        let steps = || values.iter().zip(values.iter().skip(1)).map(|(a, b)| b - a);
        let first = steps().next().unwrap_or(0.0);
        rows >= COUNTING_ROWS && first != 0.0 && steps().all(|step| step == first)
    };
    let (left_out, kept): (Vec<usize>, Vec<usize>) =
        (0..data.feature_names.len()).partition(|&column| {
            let name = &data.feature_names[column];
            !is_like(name, keep) && ((is_usual(name) && numbers_rows(column)) || counts(column))
        });
    if left_out.is_empty() || kept.is_empty() {
        return;
    }
    data.x = data.x.select(Axis(1), &kept);
    let names = std::mem::take(&mut data.feature_names);
    for &column in &left_out {
        data.notes.push(match names[column].as_str() {
            "" => "a column without a name numbers the rows and is left out; give it a name and insist with --keep".to_string(),
            name => format!("column {name:?} numbers the rows and is left out; insist with --keep {name}"),
        });
    }
    data.feature_names = kept.iter().map(|&column| names[column].clone()).collect();
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
    fn wildcards_stand_for_columns() {
        let table = "acc_x,gyro,acc_y,label\n1,2,3,0\n";
        let data = read(Features::Named(names(&["acc_*"])), table).unwrap();
        assert_eq!(data.feature_names, ["acc_x", "acc_y"]);
        let data = read(Features::Without(names(&["acc_?"])), table).unwrap();
        assert_eq!(data.feature_names, ["gyro"]);
        assert_eq!(
            read(Features::All, "a,a,label\n1,2,0\n").unwrap_err(),
            "d.csv:1: there are two columns \"a\", expected different names; rename one of them"
        );
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
            target: Target::Skip(vec![]),
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
            assert_eq!(data.notes.len(), 1);
            assert_eq!(data.x.shape(), [3, 1]);
        }
        // A measurement without a name stays: it is no number of a row.
        for text in [",a,label\n7,1,0\n7,1,1\n", ",a,label\n0.5,1,0\n7,1,1\n"] {
            assert_eq!(read(Features::All, text).unwrap().feature_names, ["", "a"]);
        }
        // One with a name stays, too, but for names such as id, and where many rows are counted.
        let data = read(Features::All, "i,a,label\n0,1,0\n1,1,1\n").unwrap();
        assert_eq!(data.feature_names, ["i", "a"]);
        let data = read(Features::All, "ID,a,label\n7,1,0\n1,1,1\n").unwrap();
        assert_eq!(data.feature_names, ["a"]);
        // Where nothing else is left, it is what there is to learn from.
        let data = read(Features::All, "id,label\n0,0\n1,1\n").unwrap();
        assert_eq!(data.feature_names, ["id"]);
    }
}
