//! An optimizer's variables as named arrays: in Keras 3's order, and from files of Keras 2 or 3
//! (see `assign`).

use super::state::{State, Tracked};
use super::{Algorithm, LearningRate, Optimizer, adam};
use crate::{ArrayData, Error, NamedArray, Result, Variable};

/// Where the values of one of Keras' optimizer variables lie.
pub(super) enum Place {
    Iteration,
    LearningRate,
    Average(usize),
    Accumulated(usize),
    /// Slot and variable.
    Slot(usize, usize),
    Rows(usize),
    Columns(usize),
    /// The scalar that Adafactor has in place of factors.
    Nothing,
    MomentumProduct,
}

impl Place {
    /// The variable that it belongs to.
    pub(super) fn variable(&self) -> Option<usize> {
        match *self {
            Self::Average(v) | Self::Accumulated(v) | Self::Slot(_, v) => Some(v),
            Self::Rows(v) | Self::Columns(v) => Some(v),
            Self::Iteration | Self::LearningRate | Self::Nothing | Self::MomentumProduct => None,
        }
    }

    /// Whether the optimizers of Keras 2 have it among their variables.
    pub(super) fn in_keras_2(&self) -> bool {
        !matches!(
            self,
            Self::LearningRate | Self::Nothing | Self::MomentumProduct
        )
    }
}

impl Optimizer {
    /// All variables in Keras 3's order and by Keras 3's names: the iteration, the learning rate
    /// unless it is a schedule, averages, accumulated gradients, slots. Before
    /// [`Optimizer::build`], only the first two.
    pub fn variables(&self) -> Vec<NamedArray> {
        let state = &self.state;
        let array = |(name, place): (String, Place)| {
            let of = |values: &[f32], variable: &Tracked| {
                (variable.shape.clone(), values[variable.slots()].to_vec())
            };
            let (shape, data) = match place {
                Place::Iteration => {
                    let iterations = i64::try_from(state.iterations).unwrap_or(i64::MAX);
                    return NamedArray::i64_scalar(name, iterations);
                }
                Place::Nothing => return NamedArray::i64_scalar(name, 0),
                Place::LearningRate => (vec![], vec![self.learning_rate()]),
                Place::MomentumProduct => (vec![], vec![state.momentum_product]),
                Place::Average(v) => of(&state.averages, &state.variables[v]),
                Place::Accumulated(v) => of(&state.accumulated, &state.variables[v]),
                Place::Slot(slot, v) => of(&state.slots[slot], &state.variables[v]),
                Place::Rows(v) => {
                    let shape = &state.variables[v].shape;
                    let shape = shape[..shape.len() - 1].to_vec();
                    (shape, state.factors[v].rows.clone())
                }
                Place::Columns(v) => (
                    columns_shape(&state.variables[v].shape),
                    state.factors[v].columns.clone(),
                ),
            };
            NamedArray::f32(name, &shape, data)
        };
        self.places().into_iter().map(array).collect()
    }

    /// Takes over the state of a file: Keras 3's order (names then do not matter), or Keras 2's
    /// names (`Adam/m/dense/kernel:0` and the older `Adam/dense/kernel/m:0`).
    ///
    /// # Errors
    ///
    /// Arrays that are too many, too few or of other shapes than the variables'. Nothing is changed
    /// then.
    pub fn set_variables(&mut self, variables: &[Variable], arrays: &[NamedArray]) -> Result<()> {
        self.build(variables);
        let places = self.places();
        let expected = self.variables();
        let found = self.assign(&places, &expected, arrays)?;
        for (array, expected) in found.iter().zip(&expected) {
            if let Some(array) = array
                && array.data.len() != expected.data.len()
            {
                return Err(Error::shape(format!(
                    "optimizer variable {} has shape {:?}, expected {:?} for {}",
                    array.name, array.shape, expected.shape, expected.name
                )));
            }
        }
        let found_product = places
            .iter()
            .zip(&found)
            .any(|((_, place), array)| matches!(place, Place::MomentumProduct) && array.is_some());
        for ((_, place), array) in places.iter().zip(found) {
            if let Some(array) = array {
                self.set(place, &array.data);
            }
        }
        if let Algorithm::Nadam { beta_1, .. } = self.algorithm
            && !found_product
        {
            // Keras 2's newer files leave it out, which restarts it in Keras 2 itself.
            self.state.momentum_product = adam::momentum_product(beta_1, self.state.iterations);
        }
        for variable in &mut self.state.variables {
            variable.unfilled = false;
        }
        Ok(())
    }

    fn set(&mut self, place: &Place, data: &ArrayData) {
        let floats = data.to_f32();
        let state = &mut self.state;
        let State {
            variables,
            slots,
            averages,
            accumulated,
            factors,
            ..
        } = state;
        let first = floats.first().copied().unwrap_or_default();
        match *place {
            Place::Iteration => {
                let iterations = match data {
                    ArrayData::I64(values) => values.first().copied().unwrap_or(0),
                    ArrayData::F32(_) => first as i64, // a counter in a float is whole
                };
                state.iterations = u64::try_from(iterations).unwrap_or(0);
            }
            Place::LearningRate => {
                if let LearningRate::Constant(rate) = &mut self.options.learning_rate {
                    *rate = first;
                }
            }
            Place::MomentumProduct => state.momentum_product = first,
            Place::Average(v) => averages[variables[v].slots()].copy_from_slice(&floats),
            Place::Accumulated(v) => accumulated[variables[v].slots()].copy_from_slice(&floats),
            Place::Slot(slot, v) => slots[slot][variables[v].slots()].copy_from_slice(&floats),
            Place::Rows(v) => factors[v].rows.copy_from_slice(&floats),
            Place::Columns(v) => factors[v].columns.copy_from_slice(&floats),
            Place::Nothing => {}
        }
    }

    /// Every variable's name and place, in Keras 3's order.
    fn places(&self) -> Vec<(String, Place)> {
        let own = &self.options.name;
        let mut places = vec![(format!("{own}/iteration"), Place::Iteration)];
        if matches!(self.options.learning_rate, LearningRate::Constant(_)) {
            places.push((format!("{own}/learning_rate"), Place::LearningRate));
        }
        let variables = &self.state.variables;
        let slot_name = |variable: &Tracked, slot: &str| {
            format!("{own}/{}_{slot}", variable.path.replace('/', "_"))
        };
        if !self.state.averages.is_empty() {
            places.extend(
                variables
                    .iter()
                    .enumerate()
                    .map(|(v, variable)| (slot_name(variable, "average"), Place::Average(v))),
            );
        }
        if !self.state.accumulated.is_empty() {
            places.extend(variables.iter().enumerate().map(|(v, variable)| {
                let name = slot_name(variable, "gradient_accumulator");
                (name, Place::Accumulated(v))
            }));
        }
        let mut first = 0;
        for group in self.algorithm.groups() {
            for (v, variable) in variables.iter().enumerate() {
                if let Algorithm::Adafactor { .. } = self.algorithm {
                    let name = format!("{own}/{}", variable.name);
                    if variable.shape.len() < 2 {
                        places.push((name.clone(), Place::Nothing));
                        places.push((name, Place::Nothing));
                    } else {
                        places.push((name.clone(), Place::Rows(v)));
                        places.push((name, Place::Columns(v)));
                    }
                }
                let is_muon = matches!(self.algorithm, Algorithm::Muon(_)) && !variable.by_adam;
                // Muon has a velocity only where it leaves the variable to Adam.
                let listed = if is_muon { 1 } else { group.len() };
                for (index, slot) in group.iter().take(listed).enumerate() {
                    let name = slot_name(variable, slot.name);
                    places.push((name, Place::Slot(first + index, v)));
                }
            }
            first += group.len();
        }
        if matches!(self.algorithm, Algorithm::Nadam { .. }) && !variables.is_empty() {
            places.push((format!("{own}/variable"), Place::MomentumProduct));
        }
        places
    }
}

fn columns_shape(shape: &[usize]) -> Vec<usize> {
    match shape {
        [matrices @ .., _, columns] => {
            let mut shape = matrices.to_vec();
            shape.push(*columns);
            shape
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> [Variable; 2] {
        let variable = |path: &str, name: &str, shape: &[usize], range| Variable {
            path: path.into(),
            name: name.into(),
            shape: shape.to_vec(),
            range,
            trainable: true,
            regularizer: None,
            constraint: None,
        };
        [
            variable("sequential/dense/kernel", "kernel", &[1, 2], 0..2),
            variable("sequential/dense/bias", "bias", &[2], 2..4),
        ]
    }

    /// An Adam with distinct values in all of its variables.
    fn trained() -> Optimizer {
        let mut optimizer = Optimizer::adam(0.5);
        let (mut values, mut grads) = ([0.0; 4], [1.0, 2.0, 3.0, 4.0]);
        optimizer.apply(&variables(), &mut values, &mut grads);
        optimizer
    }

    #[test]
    fn variables_have_keras_names_and_order_and_come_back() {
        let arrays = trained().variables();
        let names: Vec<&str> = arrays.iter().map(|a| a.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "adam/iteration",
                "adam/learning_rate",
                "adam/sequential_dense_kernel_momentum",
                "adam/sequential_dense_kernel_velocity",
                "adam/sequential_dense_bias_momentum",
                "adam/sequential_dense_bias_velocity",
            ]
        );
        let mut fresh = Optimizer::adam(0.1);
        fresh.set_variables(&variables(), &arrays).expect("its own");
        assert_eq!(fresh.variables(), arrays);
        assert_eq!((fresh.iterations(), fresh.learning_rate()), (1, 0.5));
    }

    #[test]
    fn both_naming_schemes_of_keras_2_are_understood() {
        let arrays = trained().variables();
        let [iteration, _, km, kv, bm, bv] = arrays.as_slice() else {
            panic!("{arrays:?}");
        };
        let named = |name: &str, array: &NamedArray| NamedArray {
            name: name.into(),
            ..array.clone()
        };
        let newer = [
            named("iteration:0", iteration),
            named("Adam/m/dense/kernel:0", km),
            named("Adam/v/dense/kernel:0", kv),
            named("Adam/m/dense/bias:0", bm),
            named("Adam/v/dense/bias:0", bv),
        ];
        let older = [
            named("Adam/iter:0", iteration),
            named("Adam/dense/kernel/m:0", km),
            named("Adam/dense/bias/m:0", bm),
            named("Adam/dense/kernel/v:0", kv),
            named("Adam/dense/bias/v:0", bv),
        ];
        for file in [newer, older] {
            let mut fresh = Optimizer::adam(0.5);
            fresh.set_variables(&variables(), &file).expect("Keras 2");
            assert_eq!(fresh.variables(), arrays);
        }
    }

    #[test]
    fn the_order_of_keras_2_lacks_the_learning_rate() {
        // As in its `.keras` files, where variables have numbers for names.
        let numbered = |arrays: &[NamedArray]| -> Vec<NamedArray> {
            let arrays = arrays.iter().enumerate();
            let named = |(i, array): (usize, &NamedArray)| NamedArray {
                name: i.to_string(),
                ..array.clone()
            };
            arrays.map(named).collect()
        };
        let mut arrays = trained().variables();
        let rate = arrays.remove(1);
        let mut fresh = Optimizer::adam(0.5);
        fresh
            .set_variables(&variables(), &numbered(&arrays))
            .expect("Keras 2");
        arrays.insert(1, rate);
        assert_eq!(fresh.variables(), arrays);
        // Its SGD has a momentum for each variable, used or not.
        let counter = NamedArray::i64_scalar("0", 7);
        let momenta = [arrays[2].clone(), arrays[4].clone()];
        let mut sgd = Optimizer::sgd(0.1);
        let file = [std::slice::from_ref(&counter), &momenta[..]].concat();
        sgd.set_variables(&variables(), &file).expect("Keras 2");
        assert_eq!(sgd.iterations(), 7);
        // An optimizer that has never run has its counter alone.
        let mut fresh = Optimizer::adam(0.1);
        fresh
            .set_variables(&variables(), &[counter])
            .expect("Keras 2");
        assert_eq!(fresh.iterations(), 7);
    }

    #[test]
    fn slots_of_keras_2_have_the_order_of_the_variables_whatever_they_are_called() {
        let arrays = trained().variables();
        let [iteration, _, km, kv, bm, bv] = arrays.as_slice() else {
            panic!("{arrays:?}");
        };
        let named = |name: &str, array: &NamedArray| NamedArray {
            name: name.into(),
            ..array.clone()
        };
        let file = [
            named("iteration:0", iteration),
            named("Adam/m/block/dense/kernel:0", km),
            named("Adam/v/block/dense/kernel:0", kv),
            named("Adam/m/block/dense/bias:0", bm),
            named("Adam/v/block/dense/bias:0", bv),
        ];
        let mut fresh = Optimizer::adam(0.5);
        fresh.set_variables(&variables(), &file).expect("Keras 2");
        assert_eq!(fresh.variables(), arrays);
    }

    #[test]
    fn variables_of_another_optimizer_are_refused() {
        let momentum = Algorithm::Sgd {
            momentum: 0.9,
            nesterov: false,
        };
        let mut sgd = Optimizer::new(momentum);
        sgd.build(&variables());
        let error = Optimizer::adam(0.1).set_variables(&variables(), &sgd.variables());
        assert_eq!(
            error.expect_err("four of six").to_string(),
            "the file has 4 optimizer variables (sgd/iteration, sgd/learning_rate, sgd/sequential_dense_kernel_momentum, sgd/sequential_dense_bias_momentum), expected 6 for optimizer Adam; compile anew to start with a fresh optimizer"
        );
    }
}
