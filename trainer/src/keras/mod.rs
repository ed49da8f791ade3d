//! Keras' files as JSON: [`object`] knows what a serialized object looks like, [`dialect`] how Keras 1, 2
//! and 3 differ in them, [`chain`] which layers a model has. Everything else asks these.

mod chain;
pub(crate) mod dialect;
mod json;
mod names;
mod object;

pub(crate) use chain::{chain as functional_layers, listed};
pub(crate) use dialect::Dialect;
pub(crate) use json::to_json;
pub(crate) use names::{camel_case, class_name, folded, snake_case, unique};
pub(crate) use object::{
    LayerObject, Object, check_keys, dtype_name, entries, is_model, number, registered_name,
    serialized, serialized_own, unknown,
};
