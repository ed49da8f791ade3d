//! HDF5 for the files of Keras: attributes of text, arrays by path, and nothing else.
//!
//! Everything that comes from a file goes through [`H5File`], which answers a malformed file with
//! one error that names it: sizes are checked before anything is allocated, and should the HDF5
//! crate panic on some input, the panic becomes an error.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use hdf5_pure::{AttrValue, DType, FileBuilder, FinishedGroup, FormatError, GroupBuilder};

use super::most_expanded;
use crate::variable::{ArrayData, NamedArray};
use crate::{Error, FormatKind, Result};

/// Longest text attributes are kept whole below this many bytes, as Keras has it; see
/// [`Node::set_names`].
const OBJECT_HEADER_LIMIT: usize = 64_512;

/// An HDF5 file in memory, open for reading.
pub(crate) struct H5File {
    path: PathBuf,
    file: hdf5_pure::File,
    /// Bytes of the file.
    size: u64,
    /// Bytes that arrays may still take.
    budget: Cell<u64>,
}

impl H5File {
    /// Opens `bytes`; `path` is for messages only.
    pub(crate) fn open(path: &Path, bytes: Vec<u8>) -> Result<Self> {
        let size = bytes.len() as u64;
        if !hdf5_pure::is_hdf5_bytes(&bytes) {
            let found = if bytes.is_empty() {
                "the file is empty"
            } else if bytes.starts_with(b"PK") {
                "the file is a zip archive"
            } else {
                "the file has no HDF5 signature"
            };
            return Err(FormatKind::Unknown.error(
                path,
                format!("{found}, expected an HDF5 file as Keras writes it"),
            ));
        }
        let file = contain(path, "the file", || hdf5_pure::File::from_bytes(bytes))?;
        let expected = file.superblock().eof_address;
        if expected > size {
            return Err(Error::corrupt(
                path,
                format!(
                    "the file is truncated: it has {size} bytes, expected {expected}; copy or save it again"
                ),
            ));
        }
        Ok(Self {
            path: path.to_path_buf(),
            file,
            size,
            budget: Cell::new(most_expanded(size)),
        })
    }

    /// The same file, whose arrays take no more than `most` bytes.
    pub(crate) fn within(self, most: u64) -> Self {
        self.budget.set(self.budget.get().min(most));
        self
    }

    /// Attributes of the group at `group` (`""` is the root).
    pub(crate) fn attributes(&self, group: &str) -> Result<Attributes<'_>> {
        let what = format!("group \"{group}\"");
        let (values, types) = contain(&self.path, &what, || {
            let group = self.group(group)?;
            Ok((group.attrs()?, group.attr_datatypes()?))
        })?;
        // Those that the HDF5 crate cannot decode are missing from `attrs`.
        match types.keys().find(|name| !values.contains_key(*name)) {
            Some(name) => Err(Error::corrupt(
                &self.path,
                format!("attribute \"{name}\" of {what} cannot be decoded; the file is damaged"),
            )),
            None => Ok(Attributes {
                file: self,
                group: group.to_string(),
                values,
            }),
        }
    }

    /// Whether there is a group at `group`.
    pub(crate) fn has_group(&self, group: &str) -> Result<bool> {
        let what = format!("group \"{group}\"");
        contain(&self.path, &what, || match self.group(group) {
            Ok(_) => Ok(true),
            Err(
                hdf5_pure::Error::NotAGroup(_)
                | hdf5_pure::Error::Format(FormatError::PathNotFound(_)),
            ) => Ok(false),
            Err(error) => Err(error),
        })
    }

    /// Names of the arrays directly inside the group at `group`.
    pub(crate) fn array_names(&self, group: &str) -> Result<Vec<String>> {
        let what = format!("group \"{group}\"");
        contain(&self.path, &what, || self.group(group)?.datasets())
    }

    /// The array `name` inside the group at `group`: floats as f32, integers as i64.
    pub(crate) fn array(&self, group: &str, name: &str) -> Result<NamedArray> {
        let what = format!("array \"{name}\" of group \"{group}\"");
        let wrong = |message: String| Error::corrupt(&self.path, format!("{what} {message}"));
        let unsupported = |message: String| {
            FormatKind::Unsupported.error(&self.path, format!("{what} {message}"))
        };
        if name.split('/').any(|part| part.is_empty() || part == ".") {
            return Err(wrong("has a name that is not a path".into()));
        }
        let full = if group.is_empty() {
            name.to_string()
        } else {
            format!("{group}/{name}")
        };
        let (dataset, shape, dtype, element, chunked) = contain(&self.path, &what, || {
            let dataset = self.file.dataset(&full)?;
            let (shape, dtype, element) =
                (dataset.shape()?, dataset.dtype()?, dataset.element_size()?);
            let chunked = dataset.is_chunked();
            Ok((dataset, shape, dtype, element, chunked))
        })?;
        let bytes = shape
            .iter()
            .try_fold(element, |product, &n| product.checked_mul(n));
        // A contiguous array lies in the file as it is; a chunked one may be compressed.
        let most = if chunked {
            self.budget.get()
        } else {
            self.size.min(self.budget.get())
        };
        let bytes = match bytes {
            Some(bytes) if bytes <= most => bytes,
            _ => {
                return Err(wrong(format!(
                    "claims shape {shape:?} of {element} bytes each, more than a file of {} bytes can hold; the file is damaged or hostile",
                    self.size
                )));
            }
        };
        self.budget.set(self.budget.get() - bytes);
        let data = match dtype {
            DType::F32 => contain(&self.path, &what, || dataset.read_f32().map(ArrayData::F32))?,
            // A model of float64 weights: each is rounded to the nearest f32.
            DType::F64 => contain(&self.path, &what, || {
                let values = dataset.read_f64()?;
                Ok(ArrayData::F32(
                    values.into_iter().map(|v| v as f32).collect(),
                ))
            })?,
            DType::I8
            | DType::I16
            | DType::I32
            | DType::I64
            | DType::U8
            | DType::U16
            | DType::U32 => contain(&self.path, &what, || dataset.read_i64().map(ArrayData::I64))?,
            other => {
                return Err(unsupported(format!(
                    "is of type {}, expected float32 or float64; save the model with a float32 dtype policy",
                    if element == 2 {
                        "float16 or bfloat16".into()
                    } else {
                        other.to_string()
                    }
                )));
            }
        };
        let shape: Vec<usize> = shape
            .into_iter()
            .map(|n| usize::try_from(n).expect("checked against the size of the file"))
            .collect();
        let (expected, found) = (
            shape.iter().product::<usize>(),
            match &data {
                ArrayData::F32(values) => values.len(),
                ArrayData::I64(values) => values.len(),
            },
        );
        if found != expected {
            return Err(wrong(format!(
                "holds {found} values, expected {expected} for its shape {shape:?}"
            )));
        }
        Ok(NamedArray {
            name: name.to_string(),
            shape,
            data,
        })
    }

    /// Path of the file, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn group(&self, group: &str) -> Result<hdf5_pure::Group, hdf5_pure::Error> {
        if group.is_empty() {
            Ok(self.file.root())
        } else {
            self.file.group(group)
        }
    }
}

/// Attributes of one group.
pub(crate) struct Attributes<'a> {
    file: &'a H5File,
    group: String,
    values: HashMap<String, AttrValue>,
}

impl Attributes<'_> {
    /// The text of attribute `name`, of any of the string types of HDF5.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>> {
        let Some(value) = self.values.get(name) else {
            return Ok(None);
        };
        match value {
            AttrValue::String(text)
            | AttrValue::AsciiString(text)
            | AttrValue::VarLenString(text)
            | AttrValue::VarLenAsciiString(text) => Ok(Some(text.clone())),
            AttrValue::StringSized { value, .. } | AttrValue::AsciiStringSized { value, .. } => {
                Ok(Some(value.clone()))
            }
            _ => match strings(value) {
                Some([text]) => Ok(Some(text.clone())),
                _ => Err(self.wrong_type(name, "one text")),
            },
        }
    }

    /// The texts of attribute `name`, or of `name0`, `name1`, … when it was split.
    pub(crate) fn names(&self, name: &str) -> Result<Option<Vec<String>>> {
        let all = |name: &str, value: &AttrValue| match value {
            // An empty list has no type of its own: h5py stores float64, older ones others.
            AttrValue::F64Array(values) if values.is_empty() => Ok(Vec::new()),
            AttrValue::F32Array(values) if values.is_empty() => Ok(Vec::new()),
            value => strings(value)
                .map(<[String]>::to_vec)
                .ok_or_else(|| self.wrong_type(name, "a list of texts")),
        };
        if let Some(value) = self.values.get(name) {
            return all(name, value).map(Some);
        }
        let mut found = None;
        for part in 0.. {
            let name = format!("{name}{part}");
            let Some(value) = self.values.get(&name) else {
                break;
            };
            found
                .get_or_insert_with(Vec::new)
                .extend(all(&name, value)?);
        }
        Ok(found)
    }

    /// [`Attributes::names`], an error when they are missing.
    pub(crate) fn expect_names(&self, name: &str) -> Result<Vec<String>> {
        self.names(name)?.ok_or_else(|| {
            Error::corrupt(
                &self.file.path,
                format!(
                    "group \"{}\" has no attribute \"{name}\", expected the list of names that Keras writes",
                    self.group
                ),
            )
        })
    }

    fn wrong_type(&self, name: &str, expected: &str) -> Error {
        Error::corrupt(
            &self.file.path,
            format!(
                "attribute \"{name}\" of group \"{}\" is of another type, expected {expected}",
                self.group
            ),
        )
    }
}

fn strings(value: &AttrValue) -> Option<&[String]> {
    match value {
        AttrValue::StringArray(values)
        | AttrValue::AsciiStringArray(values)
        | AttrValue::VarLenStringArray(values)
        | AttrValue::VarLenAsciiStringArray(values)
        | AttrValue::VarLenAsciiCharArray(values)
        | AttrValue::StringArraySized { values, .. }
        | AttrValue::AsciiStringArraySized { values, .. } => Some(values),
        _ => None,
    }
}

/// Runs `f`; an error of the HDF5 crate names the file and `what`, and a panic becomes one.
fn contain<T>(
    path: &Path,
    what: &str,
    f: impl FnOnce() -> Result<T, hdf5_pure::Error>,
) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Error::corrupt(
            path,
            format!(
                "{what} cannot be read: {error}; the file is damaged, truncated, or of an HDF5 kind that Keras does not write"
            ),
        )),
        Err(_) => Err(Error::corrupt(
            path,
            format!("{what} cannot be read: the file is damaged"),
        )),
    }
}

/// A group to be written: attributes, arrays and groups by name.
#[derive(Default)]
pub(crate) struct Node<'a> {
    attributes: Vec<(String, AttrValue)>,
    arrays: BTreeMap<String, &'a NamedArray>,
    groups: BTreeMap<String, Node<'a>>,
}

impl<'a> Node<'a> {
    /// The group at `path` below this one, made when it is not there.
    pub(crate) fn group(&mut self, path: &str) -> &mut Node<'a> {
        path.split('/')
            .filter(|part| !part.is_empty())
            .fold(self, |node, part| {
                node.groups.entry(part.to_string()).or_default()
            })
    }

    /// A text of variable length, marked as UTF-8, as h5py stores a `str`.
    pub(crate) fn set_text(&mut self, name: &str, text: &str) {
        self.attributes
            .push((name.to_string(), AttrValue::VarLenString(text.to_string())));
    }

    /// A text of variable length, marked as ASCII, as h5py stores `bytes`.
    pub(crate) fn set_bytes(&mut self, name: &str, text: &str) {
        self.attributes.push((
            name.to_string(),
            AttrValue::VarLenAsciiString(text.to_string()),
        ));
    }

    /// A list of names as Keras' `save_attributes_to_hdf5_group` stores it: one attribute, or
    /// `name0`, `name1`, … of fixed-width texts where that would pass 64,512 bytes.
    pub(crate) fn set_names(&mut self, name: &str, names: &[String]) -> Result<(), String> {
        let width = names.iter().map(String::len).max().unwrap_or(0);
        if width > OBJECT_HEADER_LIMIT {
            return Err(format!(
                "a name of {width} bytes does not fit into attribute \"{name}\", expected at most {OBJECT_HEADER_LIMIT}"
            ));
        }
        if names.is_empty() {
            self.attributes
                .push((name.to_string(), AttrValue::F64Array(Vec::new())));
            return Ok(());
        }
        let mut parts = 1;
        while width * names.len().div_ceil(parts) > OBJECT_HEADER_LIMIT {
            parts += 1;
        }
        if parts == 1 {
            self.attributes.push((
                name.to_string(),
                AttrValue::VarLenAsciiStringArray(names.to_vec()),
            ));
            return Ok(());
        }
        // numpy.array_split: the first `len % parts` parts have one more.
        let (small, larger) = (names.len() / parts, names.len() % parts);
        let mut rest = names;
        for part in 0..parts {
            let (these, others) = rest.split_at(small + usize::from(part < larger));
            rest = others;
            let width = u32::try_from(width).expect("at most 64,512");
            let value = AttrValue::ascii_string_array_sized(these.to_vec(), width)
                .map_err(|error| error.to_string())?;
            self.attributes.push((format!("{name}{part}"), value));
        }
        Ok(())
    }

    /// Puts `array` at `path` below this group.
    pub(crate) fn set_array(&mut self, path: &str, array: &'a NamedArray) -> Result<(), String> {
        let (group, name) = path.rsplit_once('/').unwrap_or(("", path));
        if path.split('/').any(|part| matches!(part, "" | ".")) {
            return Err(format!("\"{path}\" is not a name for an array"));
        }
        let twice =
            || format!("two arrays have the name \"{path}\", or one is a folder of the other");
        let mut node = self;
        for part in group.split('/').filter(|part| !part.is_empty()) {
            if node.arrays.contains_key(part) {
                return Err(twice());
            }
            node = node.groups.entry(part.to_string()).or_default();
        }
        if node.groups.contains_key(name) || node.arrays.insert(name.to_string(), array).is_some() {
            return Err(twice());
        }
        Ok(())
    }

    /// The bytes of an HDF5 file with this group as its root.
    pub(crate) fn into_bytes(self) -> Result<Vec<u8>, String> {
        let mut file = FileBuilder::new();
        for (name, value) in self.attributes {
            file.set_attr(&name, value);
        }
        for (name, array) in self.arrays {
            fill(file.create_dataset(&name), array);
        }
        for (name, node) in self.groups {
            let group = file.create_group(&name);
            file.add_group(node.finish(group));
        }
        file.finish().map_err(|error| error.to_string())
    }

    fn finish(self, mut builder: GroupBuilder) -> FinishedGroup {
        for (name, value) in self.attributes {
            builder.set_attr(&name, value);
        }
        for (name, array) in self.arrays {
            fill(builder.create_dataset(&name), array);
        }
        for (name, node) in self.groups {
            let group = builder.create_group(&name);
            builder.add_group(node.finish(group));
        }
        builder.finish()
    }
}

fn fill(dataset: &mut hdf5_pure::DatasetBuilder, array: &NamedArray) {
    let shape: Vec<u64> = array.shape.iter().map(|&n| n as u64).collect();
    match &array.data {
        ArrayData::F32(values) => dataset.with_f32_data(values),
        ArrayData::I64(values) => dataset.with_i64_data(values),
    }
    .with_shape(&shape);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(name: &str, shape: &[usize], values: &[f32]) -> NamedArray {
        NamedArray {
            name: name.into(),
            shape: shape.into(),
            data: ArrayData::F32(values.into()),
        }
    }

    fn reopened(root: Node) -> H5File {
        H5File::open(Path::new("test.h5"), root.into_bytes().unwrap()).unwrap()
    }

    #[test]
    fn arrays_and_scalars_come_back_as_they_were() {
        let kernel = array(
            "a/kernel",
            &[2, 3],
            &[1.0, -2.0, 3.5, 0.0, f32::MIN_POSITIVE, 6.0],
        );
        let step = NamedArray {
            name: "step".into(),
            shape: vec![],
            data: ArrayData::I64(vec![1 << 40]),
        };
        let mut root = Node::default();
        root.set_array("g/a/kernel", &kernel).unwrap();
        root.set_array("g/step", &step).unwrap();
        let file = reopened(root);
        assert_eq!(file.array("g", "a/kernel").unwrap(), kernel);
        assert_eq!(file.array("g", "step").unwrap(), step);
        assert_eq!(file.array_names("g").unwrap(), ["step"]);
        assert!(file.has_group("g/a").unwrap());
        assert!(!file.has_group("g/b").unwrap() && !file.has_group("g/step").unwrap());
    }

    #[test]
    fn names_above_64_kilobytes_are_split_as_numpy_splits_them() {
        // 30 names, the longest of 9,000 bytes: 7 fit into 64,512, so 5 parts of 6 names.
        let mut names: Vec<String> = (0..30).map(|i| format!("layer_{i}")).collect();
        names[3] = "x".repeat(9_000);
        let mut root = Node::default();
        root.set_names("layer_names", &names).unwrap();
        assert_eq!(root.attributes.len(), 5);
        assert_eq!(root.attributes[4].0, "layer_names4");
        let file = reopened(root);
        let attributes = file.attributes("").unwrap();
        assert_eq!(attributes.names("layer_names").unwrap(), Some(names));
    }

    #[test]
    fn a_name_that_fits_into_no_attribute_is_refused() {
        let error = Node::default().set_names("layer_names", &["x".repeat(64_513)]);
        assert_eq!(
            error.unwrap_err(),
            "a name of 64513 bytes does not fit into attribute \"layer_names\", expected at most 64512"
        );
    }

    #[test]
    fn no_names_are_an_empty_list_and_not_a_missing_one() {
        let mut root = Node::default();
        root.set_names("weight_names", &[]).unwrap();
        let file = reopened(root);
        let attributes = file.attributes("").unwrap();
        assert_eq!(attributes.names("weight_names").unwrap(), Some(vec![]));
        assert_eq!(attributes.names("layer_names").unwrap(), None);
        assert_eq!(
            attributes
                .expect_names("layer_names")
                .unwrap_err()
                .to_string(),
            "test.h5: group \"\" has no attribute \"layer_names\", expected the list of names that Keras writes"
        );
    }

    #[test]
    fn two_arrays_of_one_name_are_refused() {
        let kernel = array("kernel", &[1], &[1.0]);
        let mut root = Node::default();
        root.set_array("a/kernel", &kernel).unwrap();
        for path in ["a/kernel", "a", "a/kernel/b"] {
            assert_eq!(
                root.set_array(path, &kernel).unwrap_err(),
                format!("two arrays have the name \"{path}\", or one is a folder of the other")
            );
        }
    }

    #[test]
    fn what_expands_beyond_the_files_means_is_refused_before_it_is_read() {
        let mut file = FileBuilder::new();
        let values = 20 << 20;
        file.create_dataset("kernel")
            .with_f32_data(&vec![0.0; values])
            .with_shape(&[values as u64])
            .with_chunks(&[1 << 20])
            .with_deflate(6);
        let bytes = file.finish().unwrap();
        let size = bytes.len();
        // 80 MiB of zeros, where 64 MiB and 8 times the file's size are allowed.
        assert!(size < 1 << 20);
        let file = H5File::open(Path::new("a.h5"), bytes).unwrap();
        assert_eq!(
            file.array("", "kernel").unwrap_err().to_string(),
            format!(
                "a.h5: array \"kernel\" of group \"\" claims shape [20971520] of 4 bytes each, more than a file of {size} bytes can hold; the file is damaged or hostile"
            )
        );
    }

    #[test]
    fn what_is_not_hdf5_is_said() {
        let error = |bytes: &[u8]| {
            let opened = H5File::open(Path::new("a.h5"), bytes.to_vec());
            opened.err().expect("refused").to_string()
        };
        assert_eq!(
            error(b""),
            "a.h5: the file is empty, expected an HDF5 file as Keras writes it"
        );
        assert_eq!(
            error(b"PK\x03\x04"),
            "a.h5: the file is a zip archive, expected an HDF5 file as Keras writes it"
        );
        assert_eq!(
            error(b"hello"),
            "a.h5: the file has no HDF5 signature, expected an HDF5 file as Keras writes it"
        );
    }
}
