//! What can be wrong with a question.

use thumbnet_runtime as runtime;

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The blob is none, or lies about its numbers.
    #[error("the device model is damaged: {0}; export it again")]
    Blob(runtime::Error),
    /// The model has layers that proofs do not cover.
    #[error(
        "layer {layer} {what}, expected integer layers behind one quantization of the inputs; {fix}"
    )]
    Layer {
        /// From 0, the input's quantization.
        layer: usize,
        /// What it does.
        what: String,
        /// How to get a model that can be proven.
        fix: &'static str,
    },
    /// A property that cannot be understood, or does not fit the model.
    #[error("{0}")]
    Property(String),
    /// A certificate that does not prove what it says.
    #[error("the certificate is refused: {0}")]
    Certificate(String),
}

/// A result with an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn property<T>(message: impl Into<String>) -> Result<T> {
        Err(Self::Property(message.into()))
    }

    pub(crate) fn certificate<T>(message: impl Into<String>) -> Result<T> {
        Err(Self::Certificate(message.into()))
    }
}
