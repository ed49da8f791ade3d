//! The parts of boxes, which all threads take and decide or halve until none is left.

use std::{
    collections::BinaryHeap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use pulp::{Arch, Simd, WithSimd};

use crate::{
    domain::Region,
    search::{Counterexample, Options, Outcome, Verdict},
};

/// What is asked of every part.
pub(crate) trait Question: Sync {
    /// What is known of a part, and narrows what is found out of its halves.
    type Known: Clone + Send;

    /// In the widest vectors of the machine; to be inlined there.
    fn decide<S: Simd>(&self, simd: S, part: &Part<Self::Known>) -> Done<Self::Known>;
}

struct Deciding<'a, Q: Question>(&'a Q, &'a Part<Q::Known>);

impl<Q: Question> WithSimd for Deciding<'_, Q> {
    type Output = Done<Q::Known>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        self.0.decide(simd, self.1)
    }
}

/// A part of a box that is to be decided.
pub(crate) struct Part<K> {
    /// The number of the box.
    pub which: usize,
    pub region: Region,
    pub known: K,
    /// Those with the greatest are taken first, of equal ones the last.
    pub bound: f64,
    node: usize,
    serial: u64,
}

/// What became of a part.
pub(crate) enum Done<K> {
    Broken(Counterexample),
    Bounded,
    Enumerated,
    /// Neither: nothing more can be found out, and the verdict is unknown if no other part breaks it. With its bound.
    Left(f64),
    /// `upwards`: the upper half first.
    Split {
        input: usize,
        at: usize,
        upwards: bool,
        known: K,
        bound: f64,
    },
}

/// A part of a box in a tree, whose children lie behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Node {
    Open,
    /// By bounds.
    Bounded,
    /// Input by input.
    Enumerated,
    /// Cut behind an index of an input's values; where its first part is, the other follows it.
    Split {
        input: usize,
        at: usize,
        children: usize,
    },
}

impl<K> PartialEq for Part<K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<K> Eq for Part<K> {}

impl<K> PartialOrd for Part<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Part<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let bounds = self.bound.total_cmp(&other.bound);
        bounds.then(self.serial.cmp(&other.serial))
    }
}

struct Shared<K> {
    parts: BinaryHeap<Part<K>>,
    serial: u64,
    working: usize,
    /// The greatest bound of a part that is left.
    left: f64,
    is_late: bool,
    found: Option<Counterexample>,
    outcome: Outcome,
}

struct Work<'a, Q: Question> {
    question: &'a Q,
    options: &'a Options,
    deadline: Instant,
    shared: Mutex<Shared<Q::Known>>,
    changed: Condvar,
}

/// Decides all boxes, or as many parts as time allows from `start` on. With the outcome comes the greatest bound of
/// a part that was not decided, `-inf` where all were.
pub(crate) fn decide<Q: Question>(
    question: &Q,
    boxes: &[Region],
    known: &Q::Known,
    options: &Options,
    start: Instant,
    found: Option<Counterexample>,
) -> (Outcome, f64) {
    let parts = boxes.iter().enumerate().map(|(which, region)| Part {
        which,
        region: region.clone(),
        known: known.clone(),
        bound: f64::INFINITY,
        node: 0,
        serial: (boxes.len() - which) as u64,
    });
    let work = Work {
        question,
        options,
        deadline: start + options.timeout,
        shared: Mutex::new(Shared {
            parts: parts.collect(),
            serial: boxes.len() as u64,
            working: 0,
            left: f64::NEG_INFINITY,
            is_late: false,
            found,
            outcome: Outcome {
                verdict: Verdict::Unknown,
                inputs: boxes.iter().map(Region::count).sum(),
                decided: 0.0,
                bounded: 0,
                enumerated: 0,
                computed: 0.0,
                elapsed: Duration::ZERO,
                parts: boxes.iter().map(|_| vec![Node::Open]).collect(),
            },
        }),
        changed: Condvar::new(),
    };
    std::thread::scope(|scope| {
        for _ in 1..options.threads.max(1) {
            scope.spawn(|| work.work());
        }
        work.work();
    });
    let shared = work
        .shared
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let mut outcome = shared.outcome;
    let open = shared.parts.iter().map(|part| part.bound);
    let left = open.fold(shared.left, f64::max);
    outcome.verdict = match shared.found {
        Some(found) => Verdict::Fails(found),
        None if left > f64::NEG_INFINITY => Verdict::Unknown,
        None => Verdict::Holds,
    };
    outcome.decided = match outcome.verdict {
        Verdict::Holds => 1.0,
        Verdict::Fails(_) | Verdict::Unknown => outcome.decided / outcome.inputs,
    };
    outcome.elapsed = start.elapsed();
    (outcome, left)
}

impl<Q: Question> Work<'_, Q> {
    fn shared(&self) -> MutexGuard<'_, Shared<Q::Known>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes parts until there are none, or the verdict is known, or it is late.
    fn work(&self) {
        let mut shared = self.shared();
        while shared.found.is_none() && !shared.is_late {
            let Some(part) = shared.parts.pop() else {
                if shared.working == 0 {
                    break;
                }
                shared = self
                    .changed
                    .wait(shared)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if Instant::now() >= self.deadline {
                shared.is_late = true;
                shared.parts.push(part);
                break;
            }
            shared.working += 1;
            drop(shared);
            let done = Arch::new().dispatch(Deciding(self.question, &part));
            shared = self.shared();
            shared.working -= 1;
            self.note(&mut shared, &part, done);
            self.changed.notify_all();
        }
        self.changed.notify_all();
    }

    fn note(&self, shared: &mut Shared<Q::Known>, part: &Part<Q::Known>, done: Done<Q::Known>) {
        let count = part.region.count();
        let outcome = &mut shared.outcome;
        outcome.bounded += 1;
        let node = match done {
            Done::Broken(found) => {
                shared.found = Some(found);
                return;
            }
            Done::Left(bound) => {
                shared.left = shared.left.max(bound);
                return;
            }
            Done::Bounded => Node::Bounded,
            Done::Enumerated => {
                outcome.enumerated += 1;
                outcome.computed += count;
                Node::Enumerated
            }
            Done::Split {
                input,
                at,
                upwards,
                known,
                bound,
            } => {
                let tree = &mut outcome.parts[part.which];
                let children = tree.len();
                if self.options.parts {
                    tree.extend([Node::Open; 2]);
                    tree[part.node] = Node::Split {
                        input,
                        at,
                        children,
                    };
                }
                let [low, high] = part.region.split(input, at);
                let mut halves = [(high, children + 1), (low, children)];
                if upwards {
                    halves.reverse();
                }
                for (region, node) in halves {
                    shared.serial += 1;
                    shared.parts.push(Part {
                        which: part.which,
                        region,
                        known: known.clone(),
                        bound,
                        node,
                        serial: shared.serial,
                    });
                }
                return;
            }
        };
        outcome.decided += count;
        if self.options.parts {
            outcome.parts[part.which][part.node] = node;
        }
        if let Some(show) = self.options.progress {
            show(outcome.decided / outcome.inputs);
        }
    }
}
