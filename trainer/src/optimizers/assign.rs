//! Which array of a file belongs to which of an optimizer's variables: by order in files of
//! Keras 3 and in the `.keras` files of Keras 2, by name in Keras 2's `.h5` files.

use super::algorithm::Slot;
use super::variables::Place;
use super::{Algorithm, Optimizer};
use crate::{Error, NamedArray, Result};

impl Optimizer {
    /// The array for each of `places`; none where the file has none and the value stays as it is.
    pub(super) fn assign<'a>(
        &self,
        places: &[(String, Place)],
        expected: &[NamedArray],
        arrays: &'a [NamedArray],
    ) -> Result<Vec<Option<&'a NamedArray>>> {
        if arrays.iter().any(|array| array.name.ends_with(":0")) {
            return self.by_name(places, arrays);
        }
        let all = || (0..places.len()).collect::<Vec<_>>();
        let every = |keep: &dyn Fn(&Place) -> bool| -> Vec<usize> {
            all().into_iter().filter(|&i| keep(&places[i].1)).collect()
        };
        // Keras 2 keeps the learning rate and Nadam's product elsewhere, or not at all.
        let keras_2 = every(&Place::in_keras_2);
        // An optimizer that has never run has no slots in a file.
        let counters = every(&|place| matches!(place, Place::Iteration | Place::LearningRate));
        let iteration = every(&|place| matches!(place, Place::Iteration));
        for order in [all(), keras_2.clone(), counters, iteration.clone()] {
            if fits(&order, expected, arrays) {
                return Ok(spread(&order, arrays, places.len()));
            }
        }
        // Keras 2's SGD has a momentum for every variable even when it is 0.
        let spare = arrays.len() == iteration.len() + self.state.variables.len();
        if matches!(self.algorithm, Algorithm::Sgd { momentum: 0.0, .. }) && spare {
            return Ok(spread(&iteration, arrays, places.len()));
        }
        if let Some((array, expected)) = (arrays.len() == places.len())
            .then(|| arrays.iter().zip(expected))
            .and_then(|mut pairs| pairs.find(|(array, expected)| !alike(array, expected)))
        {
            return Err(Error::shape(format!(
                "optimizer variable {} has shape {:?}, expected {:?} for {}",
                array.name, array.shape, expected.shape, expected.name
            )));
        }
        Err(Error::value(format!(
            "the file has {} optimizer variables ({}), expected {} for optimizer {}; compile anew to start with a fresh optimizer",
            arrays.len(),
            listed(arrays),
            places.len(),
            self.algorithm.class_name()
        )))
    }

    /// By Keras 2's names, `Adam/m/dense/kernel:0` or the older `Adam/dense/kernel/m:0`. Arrays of
    /// one slot have the order of the variables, whatever the layers are called; only where they
    /// are more or fewer do the paths decide.
    fn by_name<'a>(
        &self,
        places: &[(String, Place)],
        arrays: &'a [NamedArray],
    ) -> Result<Vec<Option<&'a NamedArray>>> {
        let slots: Vec<Slot> = self.algorithm.groups().into_iter().flatten().collect();
        let names: Vec<KerasTwoName> = arrays.iter().map(KerasTwoName::of).collect();
        let older = names.iter().all(|name| name.slot_is_last());
        let kind = |place: &Place| -> &[&str] {
            match *place {
                Place::Iteration => &["iteration", "iter"],
                Place::LearningRate => &["learning_rate", "current_learning_rate"],
                Place::MomentumProduct => &["momentum_cache"],
                Place::Average(_) => &["average"],
                Place::Accumulated(_) => &["gradient_accumulator"],
                Place::Rows(_) => &["r"],
                Place::Columns(_) => &["c"],
                Place::Slot(slot, _) => keras_2_slots(slots.get(slot).map_or("", |s| s.name)),
                Place::Nothing => &[],
            }
        };
        // An optimizer that has never run has its counter alone.
        let fresh = names.iter().all(|name| name.parts.len() < 3);
        let mut found = Vec::with_capacity(places.len());
        for (index, (own, place)) in places.iter().enumerate() {
            let kind_of_place = kind(place);
            let mut same = arrays
                .iter()
                .zip(&names)
                .filter(|(_, name)| kind_of_place.contains(&name.slot(older)));
            let peers = |places: &[(String, Place)]| {
                let of_kind = |(_, other): &&(String, Place)| kind(other) == kind_of_place;
                places.iter().filter(of_kind).count()
            };
            let array = match place.variable() {
                None => same.next(),
                Some(_) if same.clone().count() == peers(places) => {
                    same.nth(peers(&places[..index]))
                }
                Some(v) => same.find(|(_, name)| name.is_of(&self.state.variables[v].path, older)),
            };
            if array.is_none() && place.in_keras_2() && !(fresh && place.variable().is_some()) {
                return Err(Error::value(format!(
                    "the file has no optimizer variable for {own}, found {}; compile anew to start with a fresh optimizer",
                    listed(arrays)
                )));
            }
            found.push(array.map(|(array, _)| array));
        }
        Ok(found)
    }
}

/// Parts of a name of Keras 2, without `:0`.
struct KerasTwoName<'a> {
    parts: Vec<&'a str>,
}

impl<'a> KerasTwoName<'a> {
    fn of(array: &'a NamedArray) -> Self {
        let name = array.name.strip_suffix(":0").unwrap_or(&array.name);
        Self {
            parts: name.split('/').collect(),
        }
    }

    fn last(&self) -> &'a str {
        self.parts.last().copied().unwrap_or_default()
    }

    /// Whether it may be `Adam/dense/kernel/m`.
    fn slot_is_last(&self) -> bool {
        const SLOTS: [&str; 10] = [
            "m",
            "v",
            "vhat",
            "momentum",
            "rms",
            "mg",
            "accum_grad",
            "accum_var",
            "accumulator",
            "linear",
        ];
        self.parts.len() < 3 || SLOTS.contains(&self.last())
    }

    fn slot(&self, older: bool) -> &'a str {
        match self.parts.as_slice() {
            [_, slot, _, ..] if !older => slot,
            _ => self.last(),
        }
    }

    /// Whether the path in it is the end of `path`, which begins with the model's name.
    fn is_of(&self, path: &str, older: bool) -> bool {
        let own: Vec<&str> = path.split('/').collect();
        match self.parts.as_slice() {
            [_, path @ .., _] if older => !path.is_empty() && own.ends_with(path),
            [_, _, path @ ..] if !older => !path.is_empty() && own.ends_with(path),
            _ => false,
        }
    }
}

/// Keras 2's names of a slot of Keras 3.
fn keras_2_slots(slot: &str) -> &'static [&'static str] {
    match slot {
        "momentum" => &["m", "momentum"],
        "velocity" => &["v", "velocity", "rms"],
        "velocity_hat" => &["vhat", "velocity_hat"],
        "norm" => &["u", "v"],
        "average_gradient" => &["mg", "average_gradient"],
        "accumulated_grad" => &["accumulated_grad", "accum_grad"],
        "accumulated_delta_var" => &["accumulated_delta_var", "accum_var"],
        "accumulator" => &["accumulator"],
        "linear" => &["linear"],
        _ => &[],
    }
}

fn alike(array: &NamedArray, expected: &NamedArray) -> bool {
    array.shape == expected.shape || array.data.len() == expected.data.len()
}

fn fits(order: &[usize], expected: &[NamedArray], arrays: &[NamedArray]) -> bool {
    let mut pairs = order.iter().zip(arrays);
    order.len() == arrays.len() && pairs.all(|(&i, array)| alike(array, &expected[i]))
}

/// The arrays at the places that `order` names; there may be more arrays than that.
fn spread<'a>(
    order: &[usize],
    arrays: &'a [NamedArray],
    places: usize,
) -> Vec<Option<&'a NamedArray>> {
    let mut found = vec![None; places];
    for (&i, array) in order.iter().zip(arrays) {
        found[i] = Some(array);
    }
    found
}

/// The first names, for a message.
fn listed(arrays: &[NamedArray]) -> String {
    let mut names: Vec<&str> = arrays.iter().take(4).map(|a| a.name.as_str()).collect();
    if arrays.len() > names.len() {
        names.push("..");
    }
    names.join(", ")
}
