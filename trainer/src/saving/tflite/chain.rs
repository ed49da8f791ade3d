//! A chain of TensorFlow Lite's operators to Keras layers.
//!
//! Operators stand in the order in which they run. The walk knows which tensors hold the values between
//! the layers so far and the next: one that takes any other is on a branch, and is refused. Tensors of
//! the same values in other shapes (RESHAPE, QUANTIZE) are all of them; a `Flatten` or `Reshape` is made
//! where the next layer needs one. Sizes are of one row: the first axis of every tensor counts the rows.

use std::collections::{HashMap, HashSet};

use ndarray::{ArrayD, IxDyn};
use planus::Vector;

use super::schema::{Buffer, Model, Operator, OperatorCode, Options, Tensor};
use super::tensor::{Constant, Integers, constant};
use super::{Imported, Refusal, operators};
use crate::activations::Activation as Function;
use crate::layers::{
    Activation, Dense, Flatten, Input, Layer, LeakyReLU, PReLU, Rescaling, Reshape,
};
use crate::{Result, Sequential};

/// What is read, for messages.
const KNOWN: &str = "FULLY_CONNECTED, activations, RESHAPE, QUANTIZE, DEQUANTIZE, and MUL, ADD, SUB or DIV by constants";
/// What to do with any other file.
const ADVICE: &str =
    "give the Keras model that it was converted from, if that is a chain of dense layers";
/// Values of a row, and axes of it, beyond which no dense model is.
const MOST_VALUES: usize = 1 << 24;
const MOST_AXES: usize = 8;
/// Tensors that one operator takes or gives.
const MOST_TENSORS: usize = 64;

type Step<T = ()> = std::result::Result<T, Refusal>;

/// Reads the one graph of the file, of `size` bytes.
pub(super) fn import(model: &Model, size: usize) -> Step<Imported> {
    let graphs = model.subgraphs()?;
    let graph = match (graphs.len(), graphs.get(0)) {
        (1, Some(graph)) => graph?,
        (count, _) => {
            return Err(Refusal::unsupported(format!(
                "has {count} graphs, expected one: loops, conditions and several entry points are not read; {ADVICE}"
            )));
        }
    };
    let file = File {
        tensors: graph.tensors()?,
        buffers: model.buffers()?,
        codes: model.operator_codes()?,
    };
    let input = only(graph.inputs()?, "inputs")?;
    let output = only(graph.outputs()?, "outputs")?;
    let mut walk = Walk::from(&file, input, super::super::most_expanded(size as u64))?;
    if let Some(operators) = graph.operators()? {
        let mut index = 0;
        while let Some(operator) = operators.get(index) {
            let operator = operator?;
            let next = operators.get(index + 1).transpose()?;
            let used = walk.step(&operator, next.as_ref()).map_err(|refusal| {
                let message = match file.name(&operator) {
                    Ok(name) => format!("operator {index} ({name}) {}", refusal.message),
                    Err(_) => format!("operator {index} {}", refusal.message),
                };
                Refusal { message, ..refusal }
            })?;
            index += used;
        }
    }
    walk.finish(output)
}

/// The only tensor of the graph's inputs or outputs.
fn only(tensors: Vector<'_, i32>, what: &str) -> Step<i32> {
    match (tensors.len(), tensors.get(0)) {
        (1, Some(tensor)) => Ok(tensor),
        (count, _) => Err(Refusal::unsupported(format!(
            "has {count} {what}, expected one: models that branch are not read; {ADVICE}"
        ))),
    }
}

struct File<'a> {
    tensors: Vector<'a, planus::Result<Tensor<'a>>>,
    buffers: Vector<'a, planus::Result<Buffer<'a>>>,
    codes: Vector<'a, planus::Result<OperatorCode<'a>>>,
}

impl<'a> File<'a> {
    fn tensor(&self, index: i32) -> Step<Tensor<'a>> {
        let found = usize::try_from(index)
            .ok()
            .and_then(|index| self.tensors.get(index));
        match found {
            Some(tensor) => Ok(tensor?),
            None => Err(Refusal::corrupt(format!(
                "takes tensor {index} of {}; the file is damaged",
                self.tensors.len()
            ))),
        }
    }

    fn buffer(&self, tensor: &Tensor) -> Step<Buffer<'a>> {
        let index = tensor.buffer()?;
        match self.buffers.get(index as usize) {
            Some(buffer) => Ok(buffer?),
            None => Err(Refusal::corrupt(format!(
                "takes buffer {index} of {}; the file is damaged",
                self.buffers.len()
            ))),
        }
    }

    /// Whether a tensor is written in the file; -1 is one that is left out.
    fn is_constant(&self, index: i32) -> Step<bool> {
        let buffer = self.buffer(&self.tensor(index)?)?;
        Ok(!buffer.data()?.is_empty() || buffer.is_outside()?)
    }

    fn name(&self, operator: &Operator) -> Step<String> {
        let index = operator.code()?;
        let Some(code) = self.codes.get(index as usize) else {
            return Err(Refusal::corrupt(format!(
                "is of kind {index} of {}; the file is damaged",
                self.codes.len()
            )));
        };
        let code = code?;
        let number = code.builtin()?;
        Ok(match (operators::name(number), code.custom()?) {
            (Some("CUSTOM"), Some(custom)) => custom.to_string(),
            (Some(name), _) => name.to_string(),
            (None, _) => format!("number {number}"),
        })
    }
}

struct Walk<'a> {
    file: &'a File<'a>,
    layers: Vec<Layer>,
    /// Arrays of each layer.
    weights: Vec<Vec<ArrayD<f32>>>,
    /// Of a row at the input.
    input: Vec<usize>,
    /// Of a row after the layers so far.
    shape: Vec<usize>,
    /// The tensors that hold what the layers so far give, each with its shape of a row.
    values: HashMap<i32, Row>,
    /// Constants under other indices: after QUANTIZE or DEQUANTIZE.
    copies: HashMap<i32, i32>,
    /// Tensors that hold shapes, or what is computed from shapes.
    shapes: HashSet<i32>,
    inputs: Option<Integers>,
    /// Bytes that constants may still take: several operators may take the same ones.
    room: u64,
}

/// A row of a tensor.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    shape: Vec<usize>,
    /// Whether the axes but the last one are counted as rows, as a Dense layer on several axes has it.
    folded: bool,
}

impl<'a> Walk<'a> {
    fn from(file: &'a File<'a>, input: i32, room: u64) -> Step<Self> {
        let tensor = file.tensor(input)?;
        let sizes = tensor.shape()?;
        let shape = row_sizes(sizes)
            .filter(|shape| !shape.is_empty())
            .and_then(|shape| {
                let known = shape.into_iter().map(|size| size.filter(|size| *size > 0));
                known.collect::<Option<Vec<usize>>>()
            })
            .filter(|shape| count(shape).is_some_and(|count| count <= MOST_VALUES));
        let Some(shape) = shape else {
            return Err(Refusal::unsupported(format!(
                "its input is of shape {}, expected rows on the first axis and known sizes after it, such as [1, 10]; {ADVICE}",
                listed(sizes)
            )));
        };
        let row = Row {
            shape: shape.clone(),
            folded: false,
        };
        Ok(Self {
            file,
            layers: Vec::new(),
            weights: Vec::new(),
            input: shape.clone(),
            shape,
            values: HashMap::from([(input, row)]),
            copies: HashMap::new(),
            shapes: HashSet::new(),
            inputs: integers(&tensor, "its input")?,
            room,
        })
    }

    /// Takes an operator, and the next one where both are one layer; how many it took.
    fn step(&mut self, operator: &Operator<'a>, next: Option<&Operator<'a>>) -> Step<usize> {
        let name = self.file.name(operator)?;
        let inputs = indices(operator.inputs()?)?;
        let outputs = indices(operator.outputs()?)?;
        if self.is_of_shapes(&name, &inputs)? {
            self.shapes.extend(outputs);
            return Ok(1);
        }
        let [output] = outputs.as_slice() else {
            return Err(Refusal::unsupported(format!(
                "gives {} tensors, expected one: models that branch are not read; {ADVICE}",
                outputs.len()
            )));
        };
        let copies = matches!(name.as_str(), "QUANTIZE" | "DEQUANTIZE");
        if let ([constant], true) = (inputs.as_slice(), copies)
            && (self.copies.contains_key(constant) || self.file.is_constant(*constant)?)
        {
            let source = self.copies.get(constant).copied().unwrap_or(*constant);
            self.copies.insert(*output, source);
            return Ok(1);
        }
        let made = Made {
            name: &name,
            operator,
            inputs: &inputs,
            output: *output,
        };
        if name == "LOGISTIC" && self.is_times_itself(&made, next)? {
            return self.silu(&made, next);
        }
        self.apply(&made)?;
        Ok(1)
    }

    /// Whether an operator computes with shapes alone.
    fn is_of_shapes(&self, name: &str, inputs: &[i32]) -> Step<bool> {
        if name == "SHAPE" {
            return Ok(true);
        }
        let mut any = false;
        for input in inputs.iter().filter(|input| **input >= 0) {
            if self.shapes.contains(input) {
                any = true;
            } else if !self.file.is_constant(*input)? {
                return Ok(false);
            }
        }
        Ok(any)
    }

    fn apply(&mut self, made: &Made<'_, 'a>) -> Step {
        let options = made.operator.options()?;
        let number = || match &options {
            Some(options) => options.number(),
            None => Ok(0.0),
        };
        match made.name {
            "QUANTIZE" | "DEQUANTIZE" => {
                let row = self.alone(made)?;
                self.values.insert(made.output, row);
                Ok(())
            }
            "RESHAPE" | "SQUEEZE" | "EXPAND_DIMS" => self.reshape(made),
            "FULLY_CONNECTED" => self.dense(made, options),
            "MUL" | "ADD" | "SUB" | "DIV" => self.arithmetic(made, options),
            "RELU" => self.function(made, "relu"),
            "RELU6" => self.function(made, "relu6"),
            "RELU_N1_TO_1" => self.function(made, "hard_tanh"),
            "TANH" => self.function(made, "tanh"),
            "LOGISTIC" => self.function(made, "sigmoid"),
            "ELU" => self.function(made, "elu"),
            "EXP" => self.function(made, "exponential"),
            "HARD_SWISH" => self.function(made, "hard_silu"),
            "LOG_SOFTMAX" => self.function(made, "log_softmax"),
            "SOFTMAX" => {
                let beta = number()?;
                if beta != 1.0 {
                    let row = self.alone(made)?;
                    self.take(row)?;
                    self.add(Rescaling::new(f64::from(beta), 0.0), Vec::new());
                    let row = self.row();
                    self.give(made.inputs.first().copied().unwrap_or(-1), row);
                }
                self.function(made, "softmax")
            }
            "GELU" => {
                let approximate = match options {
                    Some(options) => options.approximate()?,
                    None => false,
                };
                self.function_of(made, Function::Gelu { approximate })
            }
            "LEAKY_RELU" => {
                let slope = number()?;
                if !slope.is_finite() || slope < 0.0 {
                    return Err(Refusal::unsupported(format!(
                        "has the slope {slope}, expected one from 0; {ADVICE}"
                    )));
                }
                let row = self.alone(made)?;
                self.take(row.clone())?;
                self.add(LeakyReLU::new(f64::from(slope)), Vec::new());
                self.give(made.output, row);
                Ok(())
            }
            "PRELU" => self.prelu(made),
            _ => Err(Refusal::unsupported(format!(
                "is not of a dense chain, expected {KNOWN}; {ADVICE}"
            ))),
        }
    }

    /// The row that an operator of one input takes.
    fn alone(&self, made: &Made) -> Step<Row> {
        match self.source(made)? {
            (row, others) if others.is_empty() => Ok(row),
            (_, others) => Err(Refusal::unsupported(format!(
                "takes {} constants, expected none; {ADVICE}",
                others.len()
            ))),
        }
    }

    /// The row that an operator takes, and its constants in their order, without those that are shapes
    /// or left out.
    fn source(&self, made: &Made) -> Step<(Row, Vec<i32>)> {
        let mut row = None;
        let mut constants = Vec::new();
        for &input in made.inputs {
            if input < 0 || self.shapes.contains(&input) {
                continue;
            }
            match self.values.get(&input) {
                Some(found) if row.is_none() => row = Some(found.clone()),
                Some(_) => return Err(branches("takes computed values twice")),
                None if self.copies.contains_key(&input) => constants.push(self.copies[&input]),
                None if self.file.is_constant(input)? => constants.push(input),
                None => {
                    return Err(branches(&format!(
                        "takes tensor {input}, which the operator before it does not give"
                    )));
                }
            }
        }
        match row {
            Some(row) => Ok((row, constants)),
            None => Err(Refusal::unsupported(format!(
                "takes constants alone; {ADVICE}"
            ))),
        }
    }

    /// Makes the layers' output a row of this shape.
    fn take(&mut self, row: Row) -> Step {
        if self.shape == row.shape {
            return Ok(());
        }
        let layer: Layer = match row.shape.as_slice() {
            [_] => Flatten::new().into(),
            shape => Reshape::new(shape.iter().map(|&size| size as i64).collect::<Vec<_>>()).into(),
        };
        self.add(layer, Vec::new());
        self.shape = row.shape;
        Ok(())
    }

    fn add(&mut self, layer: impl Into<Layer>, weights: Vec<ArrayD<f32>>) {
        self.layers.push(layer.into());
        self.weights.push(weights);
    }

    /// What the layers so far give, as a row.
    fn row(&self) -> Row {
        Row {
            shape: self.shape.clone(),
            folded: false,
        }
    }

    /// A tensor that holds what the layers now give; all others are of the past.
    fn give(&mut self, tensor: i32, row: Row) {
        self.values = HashMap::from([(tensor, row)]);
    }

    fn constant(&mut self, index: i32) -> Step<Constant> {
        let tensor = self.file.tensor(index)?;
        let buffer = self.file.buffer(&tensor)?;
        // In f32 a half of a byte is four.
        let expanded = 8 * buffer.data()?.len() as u64;
        self.room = self.room.checked_sub(expanded).ok_or_else(|| {
            Refusal::corrupt(
                "takes more constants than the file can hold; the file is damaged or hostile",
            )
        })?;
        constant(&tensor, &buffer).map_err(|message| {
            let message = format!("takes tensor {index}, which {message}");
            match message.contains("damaged") {
                true => Refusal::corrupt(message),
                false => Refusal::unsupported(format!("{message}; {ADVICE}")),
            }
        })
    }

    fn reshape(&mut self, made: &Made) -> Step {
        // The second tensor is the shape, which the output's says as well.
        let inputs: Vec<i32> = made.inputs.iter().copied().take(1).collect();
        let (row, _) = self.source(&Made {
            inputs: &inputs,
            ..*made
        })?;
        let sizes = self.file.tensor(made.output)?.shape()?;
        let values = count(&row.shape).unwrap_or(0);
        let target = row_sizes(sizes).unwrap_or_default();
        let known: Option<Vec<usize>> = target.iter().copied().collect();
        let last = row.shape.last().copied();
        let folds = |size: &Option<usize>| size.is_none() || *size == last;
        let row = match known {
            Some(shape) if !shape.is_empty() && count(&shape) == Some(values) => Row {
                shape,
                folded: false,
            },
            _ if target.last().is_some_and(folds) => Row {
                folded: true,
                ..row
            },
            _ => {
                return Err(Refusal::unsupported(format!(
                    "makes shape {} of rows of shape {:?}, expected rows to stay rows; {ADVICE}",
                    listed(sizes),
                    row.shape
                )));
            }
        };
        self.values.insert(made.output, row);
        Ok(())
    }

    fn dense(&mut self, made: &Made, options: Option<Options>) -> Step {
        let (row, constants) = self.source(made)?;
        let (fused, keeps_axes) = match &options {
            Some(options) if options.weights_format()? != 0 => {
                return Err(Refusal::unsupported(format!(
                    "has weights in an order of their own; {ADVICE}"
                )));
            }
            Some(options) => (options.fused_activation()?, options.keep_num_dims()?),
            None => (0, false),
        };
        let (weights, bias) = match constants.as_slice() {
            [weights] => (self.constant(*weights)?, None),
            [weights, bias] => (self.constant(*weights)?, Some(self.constant(*bias)?)),
            constants => {
                return Err(Refusal::unsupported(format!(
                    "takes {} constants, expected weights, or weights and a bias; {ADVICE}",
                    constants.len()
                )));
            }
        };
        let &[units, width] = weights.shape.as_slice() else {
            return Err(Refusal::corrupt(format!(
                "has weights of shape {:?}, expected [units, inputs]; the file is damaged",
                weights.shape
            )));
        };
        let mut row = row;
        let values = count(&row.shape).unwrap_or(0);
        if row.folded && row.shape.last() != Some(&width) && values.checked_rem(width) == Some(0) {
            row.shape = vec![values / width, width];
        }
        let last = row.shape.last() == Some(&width);
        let all = values == width;
        let mut shape = row.shape.clone();
        match (all, last) {
            (true, _) if !(last && keeps_axes) => shape = vec![width],
            (_, true) => {}
            _ => {
                return Err(Refusal::corrupt(format!(
                    "has weights for {width} inputs, but rows are of shape {:?}; the file is damaged",
                    row.shape
                )));
            }
        }
        self.take(Row {
            shape: shape.clone(),
            folded: false,
        })?;
        if let Some(size) = shape.last_mut() {
            *size = units;
        }
        let bias = bias.map(|bias| bias.values);
        if let Some(bias) = bias.as_ref().filter(|bias| bias.len() != units) {
            return Err(Refusal::corrupt(format!(
                "has a bias of {} values for {units} units; the file is damaged",
                bias.len()
            )));
        }
        let mut layer = Dense::new(units).with_activation(fused_function(fused)?);
        layer.use_bias = bias.is_some();
        let by_unit = ArrayD::from_shape_vec(IxDyn(&[units, width]), weights.values)
            .expect("as many values as the shape says");
        let kernel = by_unit.reversed_axes().as_standard_layout().into_owned();
        let bias = bias.map(|bias| ndarray::Array1::from(bias).into_dyn());
        self.add(layer, std::iter::once(kernel).chain(bias).collect());
        self.shape = shape.clone();
        // Whatever the axes before it, the last one is known now.
        let folded = false;
        self.give(made.output, Row { shape, folded });
        Ok(())
    }

    /// `x * c`, `x + c`, `x - c`, `c - x` and `x / c`.
    fn arithmetic(&mut self, made: &Made, options: Option<Options>) -> Step {
        let (row, constants) = self.source(made)?;
        let [index] = constants.as_slice() else {
            return Err(branches("takes no constant"));
        };
        let constant = self.constant(*index)?;
        let values: Vec<f64> = along_a_row(&constant, &row)?;
        let constant_first = made
            .inputs
            .first()
            .is_some_and(|first| !self.values.contains_key(first));
        let negative = || values.iter().map(|value| -value).collect();
        let (scale, offset) = match (made.name, constant_first) {
            ("MUL", _) => (values, vec![0.0]),
            ("ADD", _) => (vec![1.0], values),
            ("SUB", false) => (vec![1.0], negative()),
            ("SUB", true) => (vec![-1.0], values),
            ("DIV", false) if values.iter().all(|value| *value != 0.0) => {
                (values.iter().map(|value| 1.0 / value).collect(), vec![0.0])
            }
            _ => {
                return Err(Refusal::unsupported(format!(
                    "divides by the row or by 0, expected a constant as the divisor; {ADVICE}"
                )));
            }
        };
        let last = row.shape.last().copied().unwrap_or(0);
        let width = scale.len().max(offset.len());
        match width == 1 || width == last {
            true => self.take(row.clone())?,
            false => self.take(Row {
                shape: vec![width],
                folded: false,
            })?,
        }
        self.rescale(scale, offset);
        let fused = match options {
            Some(options) => options.fused_activation()?,
            None => 0,
        };
        if fused != 0 {
            self.add(Activation::new(fused_function(fused)?), Vec::new());
        }
        self.give(made.output, row);
        Ok(())
    }

    /// A factor and then an offset are one layer.
    fn rescale(&mut self, scale: Vec<f64>, offset: Vec<f64>) {
        if let Some(Layer::Rescaling(before)) = self.layers.last_mut()
            && before.offset == [0.0]
            && scale == [1.0]
        {
            before.offset = offset;
            return;
        }
        let mut layer = Rescaling::new(1.0, 0.0);
        layer.scale = scale;
        layer.offset = offset;
        self.add(layer, Vec::new());
    }

    fn function(&mut self, made: &Made, name: &str) -> Step {
        self.function_of(made, named(name))
    }

    fn function_of(&mut self, made: &Made, function: Function) -> Step {
        let row = self.alone(made)?;
        if row.folded && matches!(function, Function::Softmax | Function::LogSoftmax) {
            return Err(Refusal::unsupported(format!(
                "takes rows whose sizes the file does not say; {ADVICE}"
            )));
        }
        self.take(row.clone())?;
        match self.layers.last_mut() {
            Some(Layer::Dense(dense)) if dense.activation == Function::Linear => {
                dense.activation = function;
            }
            _ => self.add(Activation::new(function), Vec::new()),
        }
        self.give(made.output, row);
        Ok(())
    }

    fn prelu(&mut self, made: &Made) -> Step {
        let (row, constants) = self.source(made)?;
        let [index] = constants.as_slice() else {
            return Err(branches("takes no constant"));
        };
        let constant = self.constant(*index)?;
        let slopes = along_a_row(&constant, &row)?;
        let values = count(&row.shape).unwrap_or(0);
        let full: Vec<f32> = slopes
            .iter()
            .map(|slope| *slope as f32)
            .cycle()
            .take(values)
            .collect();
        self.take(row.clone())?;
        let slopes = ArrayD::from_shape_vec(IxDyn(&row.shape), full)
            .expect("as many values as the shape says");
        self.add(PReLU::new(), vec![slopes]);
        self.give(made.output, row);
        Ok(())
    }

    /// Whether the next operator multiplies a sigmoid by what it was taken of, which is Keras' silu.
    fn is_times_itself(&self, made: &Made, next: Option<&Operator>) -> Step<bool> {
        let Some(next) = next else {
            return Ok(false);
        };
        let factors = indices(next.inputs()?)?;
        let (&[a, b], [source]) = (factors.as_slice(), made.inputs) else {
            return Ok(false);
        };
        let itself = |tensor: i32| tensor == *source;
        let pair = (itself(a) && b == made.output) || (itself(b) && a == made.output);
        Ok(pair && self.file.name(next)? == "MUL")
    }

    fn silu(&mut self, made: &Made<'_, 'a>, next: Option<&Operator<'a>>) -> Step<usize> {
        self.function(made, "silu")?;
        let outputs = match next {
            Some(next) => indices(next.outputs()?)?,
            None => Vec::new(),
        };
        let row = self.values.get(&made.output).cloned();
        if let ([output], Some(row)) = (outputs.as_slice(), row) {
            self.give(*output, row);
        }
        Ok(2)
    }

    fn finish(mut self, output: i32) -> Step<Imported> {
        let Some(row) = self.values.get(&output).cloned() else {
            return Err(branches("its output is not what the last operator gives"));
        };
        if !self
            .layers
            .iter()
            .any(|layer| matches!(layer, Layer::Dense(_)))
        {
            return Err(Refusal::unsupported(format!(
                "has no FULLY_CONNECTED operator, expected a chain of them; {ADVICE}"
            )));
        }
        self.take(row)?;
        let outputs = integers(&self.file.tensor(output)?, "its output")?;
        Ok(Imported {
            inputs: self.inputs,
            outputs,
            model: self.model().map_err(|error| {
                Refusal::unsupported(format!("its layers do not make a model: {error}"))
            })?,
        })
    }

    fn model(self) -> Result<Sequential> {
        let mut model = Sequential::new();
        model.add(Input::new(self.input))?;
        for layer in self.layers {
            model.add(layer)?;
        }
        let weights: Vec<ArrayD<f32>> = self.weights.into_iter().flatten().collect();
        model.set_weights(&weights)?;
        Ok(model)
    }
}

/// An operator that makes a layer.
struct Made<'s, 'a> {
    name: &'s str,
    operator: &'s Operator<'a>,
    inputs: &'s [i32],
    output: i32,
}

fn branches(what: &str) -> Refusal {
    Refusal::unsupported(format!("{what}: models that branch are not read; {ADVICE}"))
}

fn named(name: &str) -> Function {
    name.parse().expect("a name of Keras")
}

/// By the number of TensorFlow Lite's `ActivationFunctionType`.
fn fused_function(number: i8) -> Step<Function> {
    Ok(match number {
        0 => Function::Linear,
        1 => named("relu"),
        2 => named("hard_tanh"),
        3 => named("relu6"),
        4 => named("tanh"),
        number => {
            return Err(Refusal::unsupported(format!(
                "has the fused activation {number}, expected NONE, RELU, RELU_N1_TO_1, RELU6 or TANH; {ADVICE}"
            )));
        }
    })
}

/// What integers of a tensor stand for; an error begins with what it is of.
fn integers(tensor: &Tensor, of: &str) -> Step<Option<Integers>> {
    Integers::of(tensor)
        .map_err(|message| Refusal::unsupported(format!("{of} {message}; {ADVICE}")))
}

fn indices(tensors: Vector<'_, i32>) -> Step<Vec<i32>> {
    if tensors.len() > MOST_TENSORS {
        return Err(Refusal::unsupported(format!(
            "takes or gives {} tensors, expected a few; {ADVICE}",
            tensors.len()
        )));
    }
    Ok(tensors.iter().collect())
}

/// The sizes of a row, none for one that the file does not say; nothing for a scalar or too many axes.
fn row_sizes(sizes: Vector<'_, i32>) -> Option<Vec<Option<usize>>> {
    if sizes.is_empty() || sizes.len() > MOST_AXES {
        return None;
    }
    let row = sizes.iter().skip(1);
    Some(row.map(|size| usize::try_from(size).ok()).collect())
}

/// For messages.
fn listed(sizes: Vector<'_, i32>) -> String {
    let shown: Vec<i32> = sizes.iter().take(MOST_AXES).collect();
    format!("{shown:?}")
}

fn count(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |n, &size| n.checked_mul(size))
}

/// A constant beside a row, as arrays are broadcast: one value, one for each place of the last axis, or
/// one for each value of the row.
fn along_a_row(constant: &Constant, row: &Row) -> Step<Vec<f64>> {
    let wrong = || {
        Refusal::unsupported(format!(
            "takes a constant of shape {:?} beside rows of shape {:?}, expected one value, or one for each of the row; {ADVICE}",
            constant.shape, row.shape
        ))
    };
    let values = || {
        constant
            .values
            .iter()
            .map(|&value| f64::from(value))
            .collect()
    };
    // Leading axes of one stand for every row.
    let ones = constant.shape.iter().take_while(|size| **size == 1).count();
    let shape = &constant.shape[ones..];
    let places = row.shape.last().copied().unwrap_or(0);
    match shape {
        [] if constant.values.len() == 1 => Ok(values()),
        [size] if *size == places => Ok(values()),
        _ if row.folded || shape.len() > row.shape.len() => Err(wrong()),
        shape => {
            let array = ArrayD::from_shape_vec(IxDyn(shape), constant.values.clone());
            let array = array.map_err(|_| wrong())?;
            let whole = array.broadcast(IxDyn(&row.shape)).ok_or_else(wrong)?;
            Ok(whole.iter().map(|&value| f64::from(value)).collect())
        }
    }
}
