//! Loops in every vector width: compiled for each, the widest that the machine has picked at run
//! time.
//!
//! Rust never fuses or reorders float operations, so results do not depend on the width.

/// Runs `f`, a loop, with the widest vectors. The closure needs `#[inline(always)]`, and what it
/// calls must be inlined, too: a function of its own would keep to the narrow vectors.
#[inline(always)]
pub(crate) fn widest<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}
