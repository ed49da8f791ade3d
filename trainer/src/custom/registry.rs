//! The parts that files are read with, by their registered names.

use std::sync::{PoisonError, RwLock};

use super::{AnyActivation, AnyLayer, AnyLoss, AnyMetric, Arguments, Own};
use crate::keras::Object;
use crate::{Error, Result};

type Reader<P> = fn(&Arguments) -> Result<P>;

/// The registered parts of one kind, the last of a name in force.
pub(crate) struct Registry<P> {
    readers: RwLock<Vec<(&'static str, Reader<P>)>>,
    /// What registers one.
    by: &'static str,
}

pub(crate) static LOSSES: Registry<Own<dyn AnyLoss>> = Registry::new("register_loss");
pub(crate) static METRICS: Registry<Box<dyn AnyMetric>> = Registry::new("register_metric");
pub(crate) static LAYERS: Registry<Own<dyn AnyLayer>> = Registry::new("register_layer");
pub(crate) static ACTIVATIONS: Registry<Own<dyn AnyActivation>> =
    Registry::new("register_activation");

impl<P> Registry<P> {
    const fn new(by: &'static str) -> Self {
        Self {
            readers: RwLock::new(Vec::new()),
            by,
        }
    }

    pub(super) fn register(&self, name: &'static str, reader: Reader<P>) {
        // A list is whole, even where a thread panicked.
        let mut readers = self.readers.write().unwrap_or_else(PoisonError::into_inner);
        readers.retain(|(other, _)| *other != name);
        readers.push((name, reader));
    }

    /// The part of this registered name, with the arguments of `object`.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a name that is not registered, and what the part says of its arguments.
    pub(crate) fn read(&self, name: &str, object: &Object) -> Result<P> {
        let readers = self.readers.read().unwrap_or_else(PoisonError::into_inner);
        let found = readers.iter().find(|(other, _)| *other == name);
        let Some(&(_, reader)) = found else {
            return Err(Error::unsupported(format!(
                "{} {name:?} is not one of Keras' own, expected one that is registered; register it by custom::{} of the library, or build the model with what Keras has",
                object.what, self.by
            )));
        };
        drop(readers);
        reader(&Arguments(object))
    }
}

/// Whether a name is one that Keras registers: `package>Class`.
pub(super) const fn is_registered_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let (mut i, mut found) = (0, 0);
    while i < bytes.len() {
        if bytes[i] == b'>' {
            found += 1;
            if i == 0 || i + 1 == bytes.len() {
                return false;
            }
        }
        i += 1;
    }
    found == 1
}
