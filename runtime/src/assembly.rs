//! What kernels in assembly share: directives, and what Cortex-M0 takes many instructions to push and pop.

/// Tells the assembler of instructions that it may not take the target to have. Whether the core
/// has them, build.rs has decided.
#[cfg(all(kernel = "dsp", not(armv8m)))]
macro_rules! cpu {
    () => {
        ".cpu cortex-m4"
    };
}
#[cfg(all(kernel = "dsp", armv8m))]
macro_rules! cpu {
    () => {
        ".cpu cortex-m33"
    };
}
#[cfg(kernel = "mve")]
macro_rules! cpu {
    () => {
        ".cpu cortex-m55"
    };
}
#[cfg(any(kernel = "dsp", kernel = "mve"))]
pub(crate) use cpu;

/// Pushes all registers that a function must leave as they were: nine words.
#[cfg(armv6m)]
macro_rules! save {
    () => {
        "push {{r4-r7, lr}}
        mov r4, r8
        mov r5, r9
        mov r6, r10
        mov r7, r11
        push {{r4-r7}}"
    };
}
/// Pops what `save` pushed, and returns.
#[cfg(armv6m)]
macro_rules! restore {
    () => {
        "pop {{r4-r7}}
        mov r8, r4
        mov r9, r5
        mov r10, r6
        mov r11, r7
        pop {{r4-r7, pc}}"
    };
}
#[cfg(armv6m)]
pub(crate) use {restore, save};
