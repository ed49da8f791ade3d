//! An allocator that counts, for tests of what training allocates.
//!
//! The counts are those of the whole process, all threads included: a test binary that uses them
//! has one test.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// To be the `#[global_allocator]`.
pub struct Counting;

/// Does the work and says how often it allocated, or made an allocation longer or shorter.
pub fn of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = COUNT.load(Relaxed);
    let result = work();
    (COUNT.load(Relaxed) - before, result)
}

// SAFETY: everything is the system's allocator's; the counts do not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Relaxed);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Relaxed);
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
}
