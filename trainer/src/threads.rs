//! Work on several cores, cut into the same pieces however many there are.
//!
//! Each piece writes what no other piece reads or writes, and the cut depends on the work's size
//! alone: results have the same bits with any number of threads. Nothing is allocated once the
//! threads are there. They wait for the next piece for some microseconds, longer than most layers
//! take, then sleep.

use std::cell::Cell;
use std::hint::spin_loop;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

/// Multiply-adds from which a piece of work is worth another thread: about 25 microseconds.
pub(crate) const PIECE: usize = 1 << 20;
/// Environment variable with the number of threads, for all that does not say otherwise.
const VARIABLE: &str = "THUMBNET_THREADS";
/// More than this many do not pay for layers of this kind.
const MOST: usize = 64;
/// Looks at the next job before a worker sleeps: about 50 microseconds.
const SPINS: usize = 2000;

thread_local! {
    /// Threads that the work of this thread may take; 0 for the default.
    static LIMIT: Cell<usize> = const { Cell::new(0) };
}

/// Limits the work of this thread to a number of threads, until it is dropped.
pub(crate) struct Limit {
    before: usize,
}

impl Limit {
    /// `None` leaves the limit as it is.
    pub fn new(threads: Option<usize>) -> Self {
        let before = LIMIT.get();
        if let Some(threads) = threads {
            LIMIT.set(threads.clamp(1, MOST));
        }
        Self { before }
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        LIMIT.set(self.before);
    }
}

/// Threads that work of this thread takes: those of its [`Limit`], else `THUMBNET_THREADS`, else
/// as many as there are cores.
pub(crate) fn count() -> usize {
    static DEFAULT: OnceLock<usize> = OnceLock::new();
    match LIMIT.get() {
        0 => *DEFAULT.get_or_init(|| {
            let set = std::env::var(VARIABLE).ok();
            set.and_then(|threads| threads.parse().ok())
                .filter(|&threads| threads > 0)
                .unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get))
                .min(MOST)
        }),
        limit => limit,
    }
}

/// Calls `work` with 0, 1, .. up to `pieces`, once each, on several threads if there are; returns
/// when all have returned.
///
/// Work within a piece, and of a second caller meanwhile, stays on its thread.
pub(crate) fn run(pieces: usize, work: &(dyn Fn(usize) + Sync)) {
    static POOL: Pool = Pool::new();
    let helpers = count().min(pieces).saturating_sub(1);
    if helpers == 0 || !POOL.run(helpers, pieces, work) {
        (0..pieces).for_each(work);
    }
}

/// Cuts `slices`, of one length each or empty, at the same places, every `len` elements, and calls
/// `work` with the first index and the parts.
pub(crate) fn chunks<const N: usize>(
    slices: [&mut [f32]; N],
    len: usize,
    work: impl Fn(usize, [&mut [f32]; N]) + Sync,
) {
    struct Shared<const N: usize>([(*mut f32, usize); N]);
    // SAFETY: the pointers are those of unique slices, and no element is in two pieces.
    unsafe impl<const N: usize> Sync for Shared<N> {}
    impl<const N: usize> Shared<N> {
        /// # Safety
        ///
        /// No element may be in the parts of two calls at a time.
        #[expect(
            clippy::mut_from_ref,
            reason = "the pointers are those of unique slices"
        )]
        unsafe fn part(&self, start: usize, stop: usize) -> [&mut [f32]; N] {
            self.0.map(|(pointer, len)| {
                let (start, stop) = (start.min(len), stop.min(len));
                // SAFETY: start <= stop <= len of the slice, which is borrowed for the whole call.
                unsafe { std::slice::from_raw_parts_mut(pointer.add(start), stop - start) }
            })
        }
    }
    let longest = slices.iter().map(|slice| slice.len()).max().unwrap_or(0);
    debug_assert!(slices.iter().all(|s| s.is_empty() || s.len() == longest));
    let shared = Shared(slices.map(|slice| (slice.as_mut_ptr(), slice.len())));
    run(longest.div_ceil(len), &|piece| {
        let start = piece * len;
        // SAFETY: every piece has a number of its own, and with it elements of its own.
        work(start, unsafe { shared.part(start, start + len) });
    });
}

/// Work that is open to workers.
#[derive(Clone, Copy)]
struct Job {
    /// Borrowed for as long as the job is open or anybody is at it; see [`Pool::run`].
    work: &'static (dyn Fn(usize) + Sync),
    pieces: usize,
    /// Workers that may still join.
    seats: usize,
}

struct State {
    job: Option<Job>,
    workers: usize,
    sleeping: usize,
}

struct Pool {
    state: Mutex<State>,
    wake: Condvar,
    /// Whether a caller has the pool.
    taken: AtomicBool,
    /// Jobs so far; changes with `state` locked.
    number: AtomicUsize,
    /// The next piece of the job.
    next: AtomicUsize,
    /// Workers at the job; grows with `state` locked.
    active: AtomicUsize,
    panicked: AtomicBool,
}

impl Pool {
    const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                job: None,
                workers: 0,
                sleeping: 0,
            }),
            wake: Condvar::new(),
            taken: AtomicBool::new(false),
            number: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            active: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics with the lock held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False when another caller has the pool; then nothing was done.
    fn run(&'static self, helpers: usize, pieces: usize, work: &(dyn Fn(usize) + Sync)) -> bool {
        if self.taken.swap(true, Ordering::Acquire) {
            return false;
        }
        // SAFETY: only the lifetime changes. Workers use the reference while `active` counts them,
        // which they join with the lock held and the job open; `Open` closes the job and waits for
        // `active` to be 0 before this function returns or unwinds, within the true lifetime.
        let work: &'static (dyn Fn(usize) + Sync) = unsafe { std::mem::transmute(work) };
        let open = Open(self);
        self.open(
            helpers,
            Job {
                work,
                pieces,
                seats: helpers,
            },
        );
        self.take_pieces(work, pieces);
        drop(open);
        true
    }

    fn open(&'static self, helpers: usize, job: Job) {
        let mut state = self.lock();
        while state.workers < helpers {
            let named = thread::Builder::new().name("thumbnet".to_owned());
            // Without the thread the pieces are done by those that there are.
            if named.spawn(|| self.work()).is_err() {
                break;
            }
            state.workers += 1;
        }
        self.next.store(0, Ordering::Relaxed);
        state.job = Some(job);
        self.number.fetch_add(1, Ordering::Relaxed);
        let sleeping = state.sleeping;
        drop(state);
        if sleeping > 0 {
            self.wake.notify_all();
        }
    }

    fn take_pieces(&self, work: &(dyn Fn(usize) + Sync), pieces: usize) {
        loop {
            let piece = self.next.fetch_add(1, Ordering::Relaxed);
            if piece >= pieces {
                return;
            }
            work(piece);
        }
    }

    /// A worker's life.
    fn work(&self) {
        LIMIT.set(1);
        let mut seen = 0;
        loop {
            let number = || self.number.load(Ordering::Relaxed);
            for _ in 0..SPINS {
                if number() != seen {
                    break;
                }
                spin_loop();
            }
            let mut state = self.lock();
            while number() == seen {
                state.sleeping += 1;
                state = self
                    .wake
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                state.sleeping -= 1;
            }
            seen = number();
            let Some(job) = state.job.as_mut().filter(|job| job.seats > 0) else {
                continue;
            };
            job.seats -= 1;
            let job = *job;
            self.active.fetch_add(1, Ordering::Relaxed);
            drop(state);
            let pieces = AssertUnwindSafe(|| self.take_pieces(job.work, job.pieces));
            if catch_unwind(pieces).is_err() {
                self.panicked.store(true, Ordering::Relaxed);
            }
            self.active.fetch_sub(1, Ordering::Release);
        }
    }
}

/// A job of the caller that has the pool; closed when dropped.
struct Open(&'static Pool);

impl Drop for Open {
    fn drop(&mut self) {
        let pool = self.0;
        pool.lock().job = None;
        let mut spins = 0;
        while pool.active.load(Ordering::Acquire) > 0 {
            spins += 1;
            // The worker's core may be somebody else's for now.
            if spins > SPINS {
                thread::yield_now();
            } else {
                spin_loop();
            }
        }
        let panicked = pool.panicked.swap(false, Ordering::Relaxed);
        pool.taken.store(false, Ordering::Release);
        assert!(
            !panicked || thread::panicking(),
            "a piece of work panicked on another thread"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_done_once_with_any_number_of_threads() {
        for threads in [1, 2, 5] {
            let _limit = Limit::new(Some(threads));
            for pieces in [0, 1, 2, 100] {
                let done: Vec<AtomicUsize> = (0..pieces).map(|_| AtomicUsize::new(0)).collect();
                run(pieces, &|piece| {
                    done[piece].fetch_add(1, Ordering::Relaxed);
                });
                let once = |done: &AtomicUsize| done.load(Ordering::Relaxed) == 1;
                assert!(done.iter().all(once), "{threads} threads, {pieces} pieces");
            }
        }
    }

    #[test]
    fn chunks_are_cut_at_the_same_places_and_empty_slices_stay_empty() {
        let _limit = Limit::new(Some(3));
        let (mut a, mut b) = (vec![0.0; 10], vec![1.0; 10]);
        chunks([&mut a, &mut b, &mut []], 4, |start, [a, b, none]| {
            assert!(none.is_empty() && a.len() == b.len());
            for (i, (a, b)) in a.iter_mut().zip(b).enumerate() {
                *a = (start + i) as f32;
                *b += *a;
            }
        });
        assert_eq!(a, [0., 1., 2., 3., 4., 5., 6., 7., 8., 9.]);
        assert_eq!(b, [1., 2., 3., 4., 5., 6., 7., 8., 9., 10.]);
    }

    #[test]
    fn a_panic_in_a_piece_reaches_the_caller_and_leaves_the_pool_usable() {
        let _limit = Limit::new(Some(2));
        for _ in 0..20 {
            let caught = catch_unwind(|| run(8, &|piece| assert_ne!(piece, 5, "on purpose")));
            assert!(caught.is_err());
        }
        run(8, &|_| {});
    }

    #[test]
    fn work_within_work_stays_on_its_thread() {
        let _limit = Limit::new(Some(2));
        let sum = AtomicUsize::new(0);
        run(4, &|outer| {
            run(4, &|inner| {
                sum.fetch_add(outer * inner, Ordering::Relaxed);
            });
        });
        assert_eq!(sum.into_inner(), 36);
    }
}
