//! The tables of a `.tflite` file that an import needs, by their numbers in TensorFlow Lite's schema.
//!
//! `planus` checks every offset and length against the file where it is read: a damaged file is an error,
//! and nothing is copied. Numbers are those of `tensorflow/lite/schema/schema.fbs`, version 3; a new field
//! takes its place in the order of the schema.

use planus::table_reader::Table;
use planus::{Result, Vector};

/// Declares tables that read themselves, and the vectors of them.
macro_rules! tables {
    ($($(#[$doc:meta])* $table:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub(super) struct $table<'a>(Table<'a>);

        impl<'a> planus::TableRead<'a> for $table<'a> {
            fn from_buffer(
                buffer: planus::SliceWithStartOffset<'a>,
                offset: usize,
            ) -> std::result::Result<Self, planus::errors::ErrorKind> {
                Table::from_buffer(buffer, offset).map(Self)
            }
        }

        impl<'a> planus::VectorReadInner<'a> for $table<'a> {
            type Error = planus::Error;
            const STRIDE: usize = 4;

            // Unsafe by planus' signature alone: the offset is checked as any other.
            unsafe fn from_buffer(
                buffer: planus::SliceWithStartOffset<'a>,
                offset: usize,
            ) -> Result<Self> {
                Table::from_buffer(buffer, offset).map(Self).map_err(|kind| {
                    kind.with_error_location(stringify!($table), "element", buffer.offset_from_start)
                })
            }
        }
    )*};
}

tables! {
    /// The whole file.
    Model
    /// What the operators of one kind are.
    OperatorCode
    SubGraph
    Tensor
    Quantization
    Operator
    /// Of any kind of operator.
    Options
    Buffer
}

/// A vector of tables, each of which may be damaged on its own.
type Tables<'a, T> = Vector<'a, Result<T>>;

impl<'a> Model<'a> {
    pub fn of(bytes: &'a [u8]) -> Result<Self> {
        let whole = planus::SliceWithStartOffset {
            buffer: bytes,
            offset_from_start: 0,
        };
        Table::from_buffer(whole, 0)
            .map(Self)
            .map_err(|kind| kind.with_error_location("Model", "root", 0))
    }

    pub fn version(&self) -> Result<u32> {
        Ok(self.0.access(0, "Model", "version")?.unwrap_or(0))
    }

    pub fn operator_codes(&self) -> Result<Tables<'a, OperatorCode<'a>>> {
        self.0.access_required(1, "Model", "operator_codes")
    }

    pub fn subgraphs(&self) -> Result<Tables<'a, SubGraph<'a>>> {
        self.0.access_required(2, "Model", "subgraphs")
    }

    pub fn buffers(&self) -> Result<Tables<'a, Buffer<'a>>> {
        self.0.access_required(4, "Model", "buffers")
    }
}

impl<'a> OperatorCode<'a> {
    /// The number of the builtin operator.
    pub fn builtin(&self) -> Result<i32> {
        // Files before version 3a have the first alone, later ones both or the second.
        let old: Option<i8> = self
            .0
            .access(0, "OperatorCode", "deprecated_builtin_code")?;
        let new: Option<i32> = self.0.access(3, "OperatorCode", "builtin_code")?;
        Ok(new.unwrap_or(0).max(i32::from(old.unwrap_or(0))))
    }

    /// The name of an operator that is not builtin.
    pub fn custom(&self) -> Result<Option<&'a str>> {
        self.0.access(1, "OperatorCode", "custom_code")
    }
}

impl<'a> SubGraph<'a> {
    pub fn tensors(&self) -> Result<Tables<'a, Tensor<'a>>> {
        self.0.access_required(0, "SubGraph", "tensors")
    }

    pub fn inputs(&self) -> Result<Vector<'a, i32>> {
        self.0.access_required(1, "SubGraph", "inputs")
    }

    pub fn outputs(&self) -> Result<Vector<'a, i32>> {
        self.0.access_required(2, "SubGraph", "outputs")
    }

    /// None in a model that does nothing.
    pub fn operators(&self) -> Result<Option<Tables<'a, Operator<'a>>>> {
        self.0.access(3, "SubGraph", "operators")
    }
}

impl<'a> Tensor<'a> {
    /// With -1 where any size fits; empty for a scalar.
    pub fn shape(&self) -> Result<Vector<'a, i32>> {
        let signature: Option<Vector<'a, i32>> = self.0.access(7, "Tensor", "shape_signature")?;
        match signature.filter(|signature| !signature.is_empty()) {
            Some(signature) => Ok(signature),
            None => Ok(self
                .0
                .access(0, "Tensor", "shape")?
                .unwrap_or(Vector::new_empty())),
        }
    }

    /// As numbered in [`super::tensor::Kind`].
    pub fn kind(&self) -> Result<i8> {
        Ok(self.0.access(1, "Tensor", "type")?.unwrap_or(0))
    }

    pub fn buffer(&self) -> Result<u32> {
        Ok(self.0.access(2, "Tensor", "buffer")?.unwrap_or(0))
    }

    pub fn quantization(&self) -> Result<Option<Quantization<'a>>> {
        self.0.access(4, "Tensor", "quantization")
    }

    /// Whether zeros are left out of the buffer.
    pub fn is_sparse(&self) -> Result<bool> {
        let sparsity: Option<Options<'a>> = self.0.access(6, "Tensor", "sparsity")?;
        Ok(sparsity.is_some())
    }
}

impl<'a> Quantization<'a> {
    pub fn scale(&self) -> Result<Vector<'a, f32>> {
        let scale = self.0.access(2, "QuantizationParameters", "scale")?;
        Ok(scale.unwrap_or(Vector::new_empty()))
    }

    pub fn zero_point(&self) -> Result<Vector<'a, i64>> {
        let zero_point = self.0.access(3, "QuantizationParameters", "zero_point")?;
        Ok(zero_point.unwrap_or(Vector::new_empty()))
    }

    /// The axis that several scales are along.
    pub fn axis(&self) -> Result<i32> {
        let axis = self.0.access(6, "QuantizationParameters", "axis")?;
        Ok(axis.unwrap_or(0))
    }
}

impl<'a> Operator<'a> {
    /// Index of its [`OperatorCode`].
    pub fn code(&self) -> Result<u32> {
        Ok(self.0.access(0, "Operator", "opcode_index")?.unwrap_or(0))
    }

    /// Indices of tensors; -1 for one that is left out.
    pub fn inputs(&self) -> Result<Vector<'a, i32>> {
        let inputs = self.0.access(1, "Operator", "inputs")?;
        Ok(inputs.unwrap_or(Vector::new_empty()))
    }

    /// Indices of tensors.
    pub fn outputs(&self) -> Result<Vector<'a, i32>> {
        let outputs = self.0.access(2, "Operator", "outputs")?;
        Ok(outputs.unwrap_or(Vector::new_empty()))
    }

    pub fn options(&self) -> Result<Option<Options<'a>>> {
        self.0.access(4, "Operator", "builtin_options")
    }
}

/// Fields of the options, by the operators that have them; 0 and false where they are left out.
impl Options<'_> {
    /// Of FULLY_CONNECTED, ADD, SUB, MUL and DIV: the function that follows.
    pub fn fused_activation(&self) -> Result<i8> {
        let fused = self.0.access(0, "Options", "fused_activation_function")?;
        Ok(fused.unwrap_or(0))
    }

    /// Of FULLY_CONNECTED: 0 for rows of weights, one after another.
    pub fn weights_format(&self) -> Result<i8> {
        let format = self.0.access(1, "Options", "weights_format")?;
        Ok(format.unwrap_or(0))
    }

    /// Of FULLY_CONNECTED: whether the axes before the last one stay.
    pub fn keep_num_dims(&self) -> Result<bool> {
        let keep = self.0.access(2, "Options", "keep_num_dims")?;
        Ok(keep.unwrap_or(false))
    }

    /// `alpha` of LEAKY_RELU, `beta` of SOFTMAX.
    pub fn number(&self) -> Result<f32> {
        Ok(self.0.access(0, "Options", "number")?.unwrap_or(0.0))
    }

    /// Of GELU: whether by tanh.
    pub fn approximate(&self) -> Result<bool> {
        let approximate = self.0.access(0, "Options", "approximate")?;
        Ok(approximate.unwrap_or(false))
    }
}

impl<'a> Buffer<'a> {
    /// Empty for a tensor that is computed.
    pub fn data(&self) -> Result<&'a [u8]> {
        Ok(self.0.access(0, "Buffer", "data")?.unwrap_or(&[]))
    }

    /// Whether the data lie behind the tables, as in files of more than 2 GB.
    pub fn is_outside(&self) -> Result<bool> {
        let offset: Option<u64> = self.0.access(1, "Buffer", "offset")?;
        Ok(offset.unwrap_or(0) > 1)
    }
}
