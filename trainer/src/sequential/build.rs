//! Adding layers, giving them names, shapes and weights.

use super::Sequential;
use crate::engine::Leaf;
use crate::layers::{
    Flow, Input, Layer, MOST_VALUES, Names, Nested, Weights, mask_after, value_count,
};
use crate::variable::Variable;
use crate::{Error, Result};

impl Sequential {
    /// Adds a layer at the end. With an [`Input`], or an input shape in the first layer, its
    /// weights are made at once; else by [`Sequential::build`] or the first `fit`.
    ///
    /// # Errors
    ///
    /// A name that the model has already, a second input, shapes that do not fit, a value out of
    /// its range. The model is then as before.
    pub fn add(&mut self, layer: impl Into<Layer>) -> Result<()> {
        let mut layer = layer.into();
        if let Layer::Input(input) = layer {
            return self.add_input(input);
        }
        if let Some(flaw) = &layer.op().base().flaw {
            return Err(Error::value(flaw));
        }
        self.name_layer(&mut layer)?;
        let first_shape = match &layer {
            Layer::Sequential(nested) => nested.input.as_ref().map(|input| input.shape.clone()),
            layer => layer.op().base().input_shape.clone(),
        };
        let new_input = match first_shape {
            Some(shape) if self.layers.is_empty() && self.input.is_none() => {
                let mut input = Input::new(shape);
                input.base.name = Some(self.names.next("InputLayer", |_| false));
                Some(input)
            }
            _ => None,
        };
        let had_input = self.input.is_some();
        self.input = self.input.take().or(new_input);
        self.layers.push(layer);
        let built = match self.input.is_some() {
            true => self.build_new_layers(),
            false => Ok(()),
        };
        if built.is_err() {
            self.layers.pop();
            if !had_input {
                self.input = None;
            }
        }
        built
    }

    /// Removes the last layer and its weights.
    pub fn pop(&mut self) -> Option<Layer> {
        let layer = self.layers.pop()?;
        if self.is_built() {
            let kept = self
                .plan
                .iter()
                .filter(|leaf| leaf.path[0] < self.layers.len());
            let leaves = kept.count();
            let variables = self.plan[..leaves]
                .last()
                .map_or(0, |leaf| leaf.variables.end);
            let values = self.variables[..variables]
                .last()
                .map_or(0, |v| v.range.end);
            self.plan.truncate(leaves);
            self.variables.truncate(variables);
            self.values.truncate(values);
            self.output_shapes.pop();
        }
        self.compiled = None;
        Some(layer)
    }

    fn add_input(&mut self, mut input: Input) -> Result<()> {
        if let Some(old) = &self.input {
            return Err(Error::value(format!(
                "model {:?} has an input of shape {:?} already, expected one input at most; leave the second one out",
                self.name, old.shape
            )));
        }
        if !self.layers.is_empty() {
            return Err(Error::value(format!(
                "an Input must come before all other layers, but model {:?} has {}; add it first",
                self.name,
                self.layers.len()
            )));
        }
        if input.base.name.is_none() {
            input.base.name = Some(self.names.next("InputLayer", |_| false));
        }
        check_shape(&input.shape)?;
        self.input = Some(input);
        Ok(())
    }

    fn name_layer(&mut self, layer: &mut Layer) -> Result<()> {
        let layers = &self.layers;
        let taken = |name: &str| layers.iter().any(|other| other.name() == name);
        match &layer.op().base().name {
            None => {
                let class_name = layer.class_name();
                let name = self.names.next(class_name, taken);
                layer.op_mut().base_mut().name = Some(name);
            }
            Some(name) if taken(name) => {
                return Err(Error::value(format!(
                    "model {:?} has a layer named {name:?} already, expected unique names; give the new layer another one",
                    self.name
                )));
            }
            Some(name) if name.contains('/') || name.is_empty() => {
                return Err(Error::value(format!(
                    "layer name {name:?} is empty or holds a \"/\", expected neither; give the layer another one"
                )));
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Makes the weights for samples of this shape.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] when the model has another input shape or a layer does not take it,
    /// [`Error::Value`] without layers.
    pub fn build(&mut self, input_shape: &[usize]) -> Result<()> {
        if self.layers.is_empty() {
            return Err(Error::value(format!(
                "model {:?} has no layers, expected at least one; add them first",
                self.name
            )));
        }
        match &self.input {
            Some(input) if input.shape != input_shape => Err(Error::shape(format!(
                "model {:?} takes samples of shape {:?}, found {input_shape:?}; select or reshape the features",
                self.name, input.shape
            ))),
            Some(_) => self.build_new_layers(),
            None => {
                check_shape(input_shape)?;
                let mut input = Input::new(input_shape);
                input.base.name = Some(self.names.next("InputLayer", |_| false));
                self.input = Some(input);
                let built = self.build_new_layers();
                if built.is_err() {
                    self.input = None;
                }
                built
            }
        }
    }

    /// Builds the layers that are not built yet; on an error, none of them.
    fn build_new_layers(&mut self) -> Result<()> {
        let marks = (
            self.plan.len(),
            self.variables.len(),
            self.values.len(),
            self.output_shapes.len(),
        );
        for i in self.output_shapes.len()..self.layers.len() {
            if let Err(error) = self.build_layer(i).and_then(|()| self.check_masks()) {
                self.plan.truncate(marks.0);
                self.variables.truncate(marks.1);
                self.values.truncate(marks.2);
                self.output_shapes.truncate(marks.3);
                return Err(error);
            }
        }
        // They may have grown to twice their number.
        self.values.shrink_to_fit();
        Ok(())
    }

    /// Refuses layers that Keras computes by a mask.
    fn check_masks(&self) -> Result<()> {
        let leaves = self.plan.iter().map(|leaf| leaf.layer(&self.layers));
        let mut masked_by = None;
        for layer in leaves {
            masked_by = mask_after(layer, masked_by)?;
        }
        Ok(())
    }

    /// Refuses masks that count in training alone: at the end, where Keras' losses leave masked steps out,
    /// and before the statistics of a BatchNormalization.
    pub(crate) fn check_masks_in_training(&self) -> Result<()> {
        let refused = |by: &str, what: &str| {
            Error::unsupported(format!(
                "the mask of {by:?} reaches {what}, which Keras trains without the masked steps and thumbnet does not; flatten before, or remove the mask"
            ))
        };
        let mut masked_by: Option<String> = None;
        for leaf in &self.plan {
            let layer = leaf.layer(&self.layers);
            if let (Layer::BatchNormalization(_), Some(by)) = (layer, &masked_by) {
                return Err(refused(by, &format!("layer {:?}", layer.name())));
            }
            masked_by = mask_after(layer, masked_by)?;
        }
        match masked_by {
            Some(by) => Err(refused(&by, "the loss")),
            None => Ok(()),
        }
    }

    fn build_layer(&mut self, index: usize) -> Result<()> {
        let input = match index.checked_sub(1) {
            Some(before) => self.output_shapes[before].clone(),
            None => self.input_shape().unwrap_or_default().to_vec(),
        };
        let mut builder = Builder {
            seed: self.seed,
            plan: &mut self.plan,
            variables: &mut self.variables,
            values: &mut self.values,
        };
        let path = match self.functional {
            true => self.layers[index].name().to_string(),
            false => format!("{}/{}", self.name, self.layers[index].name()),
        };
        let layer = &mut self.layers[index];
        let output = builder.layer(layer, path, vec![index], &input, self.trainable)?;
        self.output_shapes.push(output);
        Ok(())
    }

    /// Initial weights drawn with another seed, in place of those that are as this one drew them.
    pub(crate) fn redraw(&mut self, seed: u64) -> Result<()> {
        let (before, after) = (self.drawn(self.seed)?, self.drawn(seed)?);
        for variable in &self.variables {
            let range = variable.range.clone();
            if self.values[range.clone()] == before[range.clone()] {
                self.values[range.clone()].copy_from_slice(&after[range]);
            }
        }
        Ok(())
    }

    /// The initial weights that a seed gives, of the layers that are built.
    fn drawn(&self, seed: u64) -> Result<Vec<f32>> {
        let mut fresh = Self {
            seed,
            functional: self.functional,
            trainable: self.trainable,
            ..Self::new().with_name(self.name.clone())
        };
        fresh.input.clone_from(&self.input);
        fresh.layers = self.layers[..self.output_shapes.len()].to_vec();
        fresh.build_new_layers()?;
        Ok(fresh.values)
    }

    /// Whether a leaf and the model learn. Of a model in between only what it has set its layers to
    /// counts, as in Keras: freezing it freezes them.
    pub(crate) fn leaf_learns(&self, leaf: &Leaf) -> bool {
        self.trainable && leaf.layer(&self.layers).trainable()
    }

    /// Takes `trainable` of the layers over to their variables.
    pub(crate) fn refresh_trainable(&mut self) {
        for i in 0..self.plan.len() {
            let trainable = self.leaf_learns(&self.plan[i]);
            let leaf = &self.plan[i];
            for (variable, &learns) in self.variables[leaf.variables.clone()]
                .iter_mut()
                .zip(&leaf.learns)
            {
                variable.trainable = learns && trainable;
            }
        }
    }

    /// The variables as they would learn if no layer was frozen.
    pub(crate) fn unfrozen_variables(&self) -> Vec<Variable> {
        let mut variables = self.variables.clone();
        for leaf in &self.plan {
            let own = variables[leaf.variables.clone()].iter_mut();
            own.zip(&leaf.learns)
                .for_each(|(variable, &learns)| variable.trainable = learns);
        }
        variables
    }

    /// Number of weights, as Keras counts them.
    pub fn count_params(&self) -> usize {
        self.values.len()
    }
}

fn check_shape(shape: &[usize]) -> Result<()> {
    if shape.contains(&0) {
        return Err(Error::shape(format!(
            "input shape {shape:?} has an axis of size 0, expected positive sizes"
        )));
    }
    check_size(shape)
}

fn check_size(shape: &[usize]) -> Result<()> {
    if value_count(shape).is_none_or(|count| count > MOST_VALUES) {
        return Err(Error::shape(format!(
            "a sample of shape {shape:?} has more than {MOST_VALUES} values, expected at most that many; give the layer fewer units"
        )));
    }
    Ok(())
}

/// Builds one layer, or the layers of a nested model in line.
struct Builder<'a> {
    seed: u64,
    plan: &'a mut Vec<Leaf>,
    variables: &'a mut Vec<Variable>,
    values: &'a mut Vec<f32>,
}

impl Builder<'_> {
    fn layer(
        &mut self,
        layer: &mut Layer,
        path: String,
        position: Vec<usize>,
        input: &[usize],
        trainable: bool,
    ) -> Result<Vec<usize>> {
        let name_it = |error: Error| match error {
            Error::Shape(m) => Error::Shape(format!("{path}: {m}")),
            other => other,
        };
        let output = layer.op().output_shape(input).map_err(&name_it)?;
        check_size(&output).map_err(name_it)?;
        if let Layer::Sequential(nested) = layer {
            return self.nested(nested, position, input, trainable);
        }
        let trainable = trainable && layer.trainable();
        let first = self.variables.len();
        let mut weights = Weights {
            path,
            trainable,
            seed: self.seed,
            learns: Vec::new(),
            variables: self.variables,
            values: self.values,
        };
        layer.op_mut().build(input, &mut weights)?;
        let learns = weights.learns;
        self.plan.push(Leaf {
            learns,
            variables: first..self.variables.len(),
            inputs: input.iter().product(),
            outputs: output.iter().product(),
            width: output.last().copied().unwrap_or(1),
            input_shape: input.to_vec(),
            path: position,
            penalty: layer.op().base().activity_regularizer.clone(),
            same: layer.op().flow(true) == Flow::Same && layer.op().flow(false) == Flow::Same,
        });
        Ok(output)
    }

    fn nested(
        &mut self,
        nested: &mut Nested,
        position: Vec<usize>,
        input: &[usize],
        trainable: bool,
    ) -> Result<Vec<usize>> {
        let first = self.values.len();
        let (mut shape, mut shapes) = (input.to_vec(), Vec::new());
        for (i, layer) in nested.layers.iter_mut().enumerate() {
            // Keras' paths begin with the innermost model.
            let path = match nested.functional {
                true => layer.name().to_string(),
                false => format!("{}/{}", nested.base.name(), layer.name()),
            };
            let position = [position.as_slice(), &[i]].concat();
            let output = self.layer(layer, path, position, &shape, trainable)?;
            shapes.push(std::mem::replace(&mut shape, output));
        }
        nested.input_shapes = shapes;
        let values = &mut self.values[first..];
        if values.len() == nested.values.len() {
            values.copy_from_slice(&nested.values);
        }
        nested.values = Vec::new();
        Ok(shape)
    }
}

impl From<Sequential> for Layer {
    fn from(model: Sequential) -> Self {
        Self::Sequential(Nested::from(model))
    }
}

impl From<Sequential> for Nested {
    fn from(model: Sequential) -> Self {
        Self {
            input_shapes: Vec::new(),
            base: crate::layers::Base {
                // A name that was never chosen is chosen again among the outer model's layers.
                name: Some(model.name).filter(|name| name != "sequential"),
                trainable: model.trainable,
                ..Default::default()
            },
            functional: model.functional,
            input: model.input,
            layers: model.layers,
            values: model.values,
        }
    }
}

impl Names {
    /// Counts the names of these layers as given.
    pub(crate) fn note(&mut self, layers: &[Layer]) {
        for layer in layers {
            let class_name = layer.class_name();
            self.next(class_name, |_| false);
        }
    }
}
