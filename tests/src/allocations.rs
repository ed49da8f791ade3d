//! An allocator that counts, for tests of what training allocates.
//!
//! The counts are those of the whole process, all threads included: a test binary that uses them
//! has one test.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Bytes that are allocated, and the most that were since [`peak_of`] began.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// To be the `#[global_allocator]`.
pub struct Counting;

/// Does the work and says how often it allocated, or made an allocation longer or shorter.
pub fn of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = COUNT.load(Relaxed);
    let result = work();
    (COUNT.load(Relaxed) - before, result)
}

/// Does the work and says how many bytes it had allocated at most at a time.
pub fn peak_of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = work();
    (PEAK.load(Relaxed) - before, result)
}

fn count(size: usize) {
    COUNT.fetch_add(1, Relaxed);
    let live = LIVE.fetch_add(size, Relaxed) + size;
    PEAK.fetch_max(live, Relaxed);
}

// SAFETY: everything is the system's allocator's; the counts do not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps to the contract of `GlobalAlloc`, which is that of the system's
        // allocator too.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // In place where there is room: not both at a time.
        LIVE.fetch_sub(layout.size(), Relaxed);
        count(size);
        // SAFETY: as in `alloc`; `memory` is the system's allocator's, as all of ours is.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as in `alloc`; `memory` is the system's allocator's, as all of ours is.
        unsafe { System.dealloc(memory, layout) }
    }
}
