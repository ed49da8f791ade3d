//! The orders of weights in flash. `build.rs` has this file, too.

/// The order of a layer's weights in flash: for which cores it is made. Every build runs all, unless
/// the feature `portable` is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(test, derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum Packing {
    /// Row after row, for hosts and any other core. The only one of f32 weights.
    #[default]
    Plain,
    /// For cores with DSP instructions: Cortex-M4, M7, M33.
    Dsp,
    /// For cores that multiply words: Cortex-M0, M0+, M23, M3, RISC-V with M.
    Lane,
    /// For cores with vector instructions: Cortex-M55, M85.
    Mve,
}

impl Packing {
    /// As messages and the build script write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Dsp => "dsp",
            Self::Lane => "lane",
            Self::Mve => "mve",
        }
    }
}
