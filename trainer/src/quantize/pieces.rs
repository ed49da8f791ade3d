//! Activations of float outputs as the device computes them: by a function of its own, by exact lines,
//! or by polynomials fitted to within [`ERROR`].
//!
//! A curve is fitted between its tails, where it is a straight line to within the error, however far
//! out. Pieces are as wide as a polynomial of the fifth degree can follow, so that all have about the same
//! error.

use std::sync::{Arc, Mutex};

use thumbnet_runtime::{self as runtime, CURVES, FloatTable, Piece};

use crate::activations::Activation;

/// The most that a curve differs from the function, in units of `max(1, |f(x)|)`, and of |alpha| where
/// there is one above 1. Of softsign, whose tails are the longest, twice that.
pub const ERROR: f64 = 1e-6;

/// An activation on the device's floats.
#[derive(Clone, Debug)]
pub enum Form {
    /// The device has it.
    Direct(runtime::Activation),
    /// In pieces.
    Pieces(Arc<Pieces>),
}

/// A function in pieces, as [`FloatTable`] has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Pieces {
    least: f32,
    greatest: f32,
    pieces: Vec<Piece>,
}

impl Pieces {
    /// As the blob takes it.
    pub fn table(&self) -> FloatTable<'_> {
        FloatTable {
            least: self.least,
            greatest: self.greatest,
            pieces: &self.pieces,
        }
    }
}

impl Form {
    /// The form of an activation. Fitting takes some milliseconds, the first time.
    pub fn of(activation: &Activation) -> Self {
        type Known = Vec<(Activation, Arc<Pieces>)>;
        static KNOWN: Mutex<Known> = Mutex::new(Vec::new());
        if let Some(direct) = direct(activation) {
            return Self::Direct(direct);
        }
        // A list of functions is whole, even where a thread panicked.
        let mut known = KNOWN.lock().unwrap_or_else(|error| error.into_inner());
        let found = known.iter().find(|(other, _)| other == activation);
        if let Some((_, pieces)) = found {
            return Self::Pieces(pieces.clone());
        }
        let pieces = Arc::new(exact(activation).unwrap_or_else(|| fitted(activation)));
        known.push((activation.clone(), pieces.clone()));
        Self::Pieces(pieces)
    }
}

/// What the device has a function for.
fn direct(activation: &Activation) -> Option<runtime::Activation> {
    match activation {
        Activation::Linear => Some(runtime::Activation::Linear),
        activation if *activation == Activation::RELU => Some(runtime::Activation::Relu),
        Activation::Sigmoid => Some(runtime::Activation::Sigmoid),
        Activation::Tanh => Some(runtime::Activation::Tanh),
        Activation::Exponential => Some(runtime::Activation::Exponential),
        Activation::Softmax => Some(runtime::Activation::Softmax),
        Activation::LogSoftmax => Some(runtime::Activation::LogSoftmax),
        _ => None,
    }
}

/// `coefficients` of `x - origin` from `start` on.
fn piece<const N: usize>(start: f32, origin: f32, coefficients: [f32; N]) -> Piece {
    let mut piece = Piece {
        start,
        origin,
        ..Piece::default()
    };
    piece.coefficients[..N].copy_from_slice(&coefficients);
    piece
}

/// Where the first piece starts; nothing looks at it.
const START: f32 = f32::MIN;

/// Those that are made of lines and parabolas.
fn exact(activation: &Activation) -> Option<Pieces> {
    let between = |least, greatest, pieces: Vec<Piece>| {
        Some(Pieces {
            least,
            greatest,
            pieces,
        })
    };
    let anywhere = |pieces| between(f32::NEG_INFINITY, f32::INFINITY, pieces);
    let line = |start, origin, slope| piece(start, origin, [0.0, slope]);
    let constant = |start, value| piece(start, 0.0, [value]);
    match *activation {
        Activation::Relu {
            negative_slope,
            max_value,
            threshold,
        } => anywhere(relu(negative_slope, max_value, threshold)),
        Activation::Relu6 => anywhere(relu(0.0, Some(6.0), 0.0)),
        Activation::LeakyRelu { negative_slope } => anywhere(relu(negative_slope, None, 0.0)),
        Activation::HardSigmoid => between(
            0.0,
            1.0,
            vec![
                constant(START, 0.0),
                line(-3.0, -3.0, 1.0 / 6.0),
                constant(3.0, 1.0),
            ],
        ),
        Activation::Keras2HardSigmoid => between(
            0.0,
            1.0,
            vec![
                constant(START, 0.0),
                piece(-2.5, 0.0, [0.5, 0.2]),
                constant(2.5, 1.0),
            ],
        ),
        Activation::SparseSigmoid => between(
            0.0,
            1.0,
            vec![
                constant(START, 0.0),
                line(-1.0, -1.0, 0.5),
                constant(1.0, 1.0),
            ],
        ),
        Activation::HardTanh => between(
            -1.0,
            1.0,
            vec![
                constant(START, -1.0),
                line(-1.0, 0.0, 1.0),
                constant(1.0, 1.0),
            ],
        ),
        Activation::SoftShrink { threshold } => anywhere(vec![
            line(START, -threshold, 1.0),
            constant(-threshold, 0.0),
            line(threshold.next_up(), threshold, 1.0),
        ]),
        Activation::HardShrink { threshold } => anywhere(vec![
            line(START, 0.0, 1.0),
            constant(-threshold, 0.0),
            line(threshold.next_up(), 0.0, 1.0),
        ]),
        Activation::Threshold {
            threshold,
            default_value,
        } => anywhere(vec![
            constant(START, default_value),
            line(threshold.next_up(), 0.0, 1.0),
        ]),
        // x (x + 3) / 6
        Activation::HardSilu => between(
            -0.375,
            f32::INFINITY,
            vec![
                constant(START, 0.0),
                piece(-3.0, -3.0, [0.0, -0.5, 1.0 / 6.0]),
                piece(-1.5, 0.0, [0.0, 0.5, 1.0 / 6.0]),
                line(3.0, 0.0, 1.0),
            ],
        ),
        Activation::SparsePlus => between(
            0.0,
            f32::INFINITY,
            vec![
                constant(START, 0.0),
                piece(-1.0, -1.0, [0.0, 0.0, 0.25]),
                line(1.0, 0.0, 1.0),
            ],
        ),
        _ => None,
    }
}

/// Keras' relu: x above the threshold, clipped to `[0, max_value]` where there is one.
fn relu(negative_slope: f32, max_value: Option<f32>, threshold: f32) -> Vec<Piece> {
    let above = threshold.next_up();
    let mut pieces = vec![piece(START, threshold, [0.0, negative_slope])];
    let identity = |start| piece(start, 0.0, [0.0, 1.0]);
    let Some(max_value) = max_value else {
        pieces.push(identity(above));
        return pieces;
    };
    let mut from = above;
    if from < 0.0 {
        pieces.push(piece(from, 0.0, [0.0]));
        from = 0.0;
    }
    if from < max_value {
        pieces.push(identity(from));
        from = max_value;
    }
    pieces.push(piece(from, 0.0, [max_value]));
    pieces
}

/// A straight line that a function approaches.
#[derive(Clone, Copy)]
struct Tail {
    slope: f64,
    offset: f64,
}

impl Tail {
    fn at(self, x: f64) -> f64 {
        self.slope * x + self.offset
    }

    fn piece(self, start: f32) -> Piece {
        // Half as many bits would do.
        piece(start, 0.0, [self.offset as f32, self.slope as f32])
    }
}

/// A function that is smooth but for `corner`, between two tails.
struct Smooth {
    left: Tail,
    right: Tail,
    corner: Option<f64>,
    least: f64,
    greatest: f64,
}

/// selu's ends.
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const SELU_SCALE_ALPHA: f64 = 1.758_099_340_847_376_9;

/// What there is to know of a function that is not made of lines.
fn smooth(activation: &Activation) -> Smooth {
    let line = |slope, offset| Tail { slope, offset };
    let (zero, identity) = (line(0.0, 0.0), line(1.0, 0.0));
    let rectifier = |left: Tail, least| Smooth {
        left,
        right: identity,
        corner: None,
        least,
        greatest: f64::INFINITY,
    };
    match *activation {
        Activation::Elu { alpha } | Activation::Celu { alpha } => {
            let alpha = f64::from(alpha);
            Smooth {
                corner: Some(0.0),
                ..rectifier(line(0.0, -alpha), (-alpha).min(0.0))
            }
        }
        Activation::Selu => Smooth {
            right: line(SELU_SCALE, 0.0),
            corner: Some(0.0),
            ..rectifier(line(0.0, -SELU_SCALE_ALPHA), -SELU_SCALE_ALPHA)
        },
        Activation::Gelu { .. } | Activation::Silu | Activation::Mish => {
            rectifier(zero, valley(activation))
        }
        Activation::Squareplus { .. } => Smooth {
            corner: Some(0.0),
            ..rectifier(zero, 0.0)
        },
        Activation::LogSigmoid => Smooth {
            left: identity,
            right: zero,
            corner: None,
            least: f64::NEG_INFINITY,
            greatest: 0.0,
        },
        Activation::Softsign => Smooth {
            left: line(0.0, -1.0),
            right: line(0.0, 1.0),
            corner: Some(0.0),
            least: -1.0,
            greatest: 1.0,
        },
        Activation::TanhShrink => Smooth {
            left: line(1.0, 1.0),
            right: line(1.0, -1.0),
            corner: None,
            least: f64::NEG_INFINITY,
            greatest: f64::INFINITY,
        },
        Activation::Softplus
        // Those that `direct` and `exact` have, and what no chain has: the tails of a relu.
        | Activation::Linear
        | Activation::Relu { .. }
        | Activation::Relu6
        | Activation::LeakyRelu { .. }
        | Activation::Sigmoid
        | Activation::HardSigmoid
        | Activation::Keras2HardSigmoid
        | Activation::Tanh
        | Activation::HardTanh
        | Activation::SoftShrink { .. }
        | Activation::HardShrink { .. }
        | Activation::HardSilu
        | Activation::Exponential
        | Activation::SparsePlus
        | Activation::SparseSigmoid
        | Activation::Threshold { .. }
        | Activation::Softmax
        | Activation::LogSoftmax
        | Activation::Sparsemax
        | Activation::Custom(_) => rectifier(zero, 0.0),
    }
}

/// The least value of a function that falls and rises again between -4 and 0.
fn valley(activation: &Activation) -> f64 {
    let (mut low, mut high) = (-4.0, 0.0);
    for _ in 0..200 {
        let third = (high - low) / 3.0;
        let (a, b) = (low + third, high - third);
        if activation.eval(a) < activation.eval(b) {
            high = b;
        } else {
            low = a;
        }
    }
    activation.eval(low)
}

/// Where a function becomes its tail: a share of [`ERROR`], of which rounding takes little there.
const TAIL: f64 = 0.9 * ERROR;
/// The finest that polynomials are fitted.
const FINEST: f64 = ERROR / 128.0;

/// Fits a smooth function.
fn fitted(activation: &Activation) -> Pieces {
    let smooth = smooth(activation);
    let low = -reach(activation, smooth.left, -1.0);
    let high = reach(activation, smooth.right, 1.0);
    let mut ends = vec![low, high];
    if let Some(corner) = smooth.corner
        && low < corner
        && corner < high
    {
        ends.insert(1, corner);
    }
    // The finest that there is room for beside the tails.
    let mut tolerance = FINEST;
    let middle = loop {
        let room = CURVES - 2;
        match divided(activation, &ends, tolerance, room) {
            Some(middle) => break middle,
            None => tolerance *= 1.1,
        }
    };
    let mut pieces = vec![smooth.left.piece(START)];
    pieces.extend(middle);
    pieces.push(smooth.right.piece(high as f32));
    Pieces {
        least: inner(smooth.least, 1.0),
        greatest: inner(smooth.greatest, -1.0),
        pieces,
    }
}

/// The nearest float that is not beyond the end of a range.
fn inner(end: f64, inwards: f64) -> f32 {
    let float = end as f32;
    if (f64::from(float) - end) * inwards < 0.0 {
        return if inwards > 0.0 {
            float.next_up()
        } else {
            float.next_down()
        };
    }
    float
}

/// What an error is measured in.
fn unit(activation: &Activation, y: f64) -> f64 {
    let alpha = match activation {
        Activation::Elu { alpha } | Activation::Celu { alpha } => f64::from(*alpha).abs(),
        _ => 1.0,
    };
    y.abs().max(alpha).max(1.0)
}

/// How far out the tail on one side is not the function yet.
fn reach(activation: &Activation, tail: Tail, side: f64) -> f64 {
    let mut x = 1e12;
    loop {
        let y = activation.eval(side * x);
        if (y - tail.at(side * x)).abs() > TAIL * unit(activation, y) {
            return x * 1.01;
        }
        if x < 1e-6 {
            return 0.0;
        }
        x /= 1.01;
    }
}

/// Polynomials between the ends within the tolerance, from the left, each as wide as can be; none where
/// there are more than `room`.
fn divided(
    activation: &Activation,
    ends: &[f64],
    tolerance: f64,
    room: usize,
) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    for pair in ends.windows(2) {
        let (mut from, end) = (pair[0], pair[1]);
        while from < end {
            if pieces.len() == room {
                return None;
            }
            let fits = |until: f64| Polynomial::of(activation, from, until).error <= tolerance;
            let mut until = end;
            if !fits(end) {
                let (mut good, mut bad) = (from, end);
                for _ in 0..40 {
                    let middle = (good + bad) / 2.0;
                    if fits(middle) {
                        good = middle;
                    } else {
                        bad = middle;
                    }
                }
                until = good;
            }
            // Nothing fits where the tolerance is below what f64 can tell.
            if until <= from {
                return None;
            }
            pieces.push(Polynomial::of(activation, from, until).piece());
            from = until;
        }
    }
    Some(pieces)
}

const NODES: usize = 6;

/// A function between two places by its values at the nodes of Chebyshev.
struct Polynomial {
    start: f64,
    origin: f32,
    /// Of `x - origin`.
    coefficients: [f64; NODES],
    /// The largest, in units of the function.
    error: f64,
}

impl Polynomial {
    fn of(activation: &Activation, start: f64, end: f64) -> Self {
        let origin = ((start + end) / 2.0) as f32;
        let half = (end - start) / 2.0;
        let center = (start + end) / 2.0;
        // In u from -1 to 1.
        let nodes: [f64; NODES] = std::array::from_fn(|k| {
            (std::f64::consts::PI * (2 * k + 1) as f64 / (2 * NODES) as f64).cos()
        });
        // Newton's divided differences, then powers of u.
        let mut differences = nodes.map(|u| activation.eval(center + half * u));
        for order in 1..NODES {
            for k in (order..NODES).rev() {
                differences[k] =
                    (differences[k] - differences[k - 1]) / (nodes[k] - nodes[k - order]);
            }
        }
        let mut powers = [0.0; NODES];
        for k in (0..NODES).rev() {
            // powers = powers * (u - node) + difference
            for power in (0..NODES).rev() {
                let lower = if power > 0 { powers[power - 1] } else { 0.0 };
                powers[power] = lower - nodes[k] * powers[power];
            }
            powers[0] += differences[k];
        }
        let mut coefficients = powers;
        let mut scale = 1.0;
        for coefficient in &mut coefficients {
            *coefficient *= scale;
            scale /= half;
        }
        let mut polynomial = Self {
            start,
            origin,
            coefficients,
            error: 0.0,
        };
        polynomial.error = (0..=32)
            .map(|i| start + (end - start) * f64::from(i) / 32.0)
            .map(|x| {
                let y = activation.eval(x);
                (polynomial.at(x) - y).abs() / unit(activation, y)
            })
            .fold(0.0, f64::max);
        polynomial
    }

    fn at(&self, x: f64) -> f64 {
        let distance = x - f64::from(self.origin);
        self.coefficients
            .iter()
            .rev()
            .fold(0.0, |y, c| y * distance + c)
    }

    fn piece(&self) -> Piece {
        // The device's numbers.
        piece(
            self.start as f32,
            self.origin,
            self.coefficients.map(|c| c as f32),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the device computes, in the same order.
    fn at(pieces: &Pieces, x: f32) -> f32 {
        let behind = pieces.pieces[1..].iter();
        let index = behind.take_while(|piece| x >= piece.start).count();
        let piece = &pieces.pieces[index];
        let powers = piece.coefficients.iter().rev();
        let y = powers.fold(0.0, |y, c| y * (x - piece.origin) + c);
        y.clamp(pieces.least, pieces.greatest)
    }

    #[test]
    fn every_curve_is_within_its_error_from_the_least_to_the_greatest_float() {
        let mut curves: Vec<Activation> = [
            "selu",
            "gelu",
            "silu",
            "mish",
            "softplus",
            "softsign",
            "tanh_shrink",
            "log_sigmoid",
            "hard_silu",
            "sparse_plus",
        ]
        .iter()
        .map(|name| name.parse().expect("a Keras name"))
        .collect();
        curves.push(Activation::Gelu { approximate: true });
        for alpha in [1e-3, 0.1, 0.3, 1.0, 2.0, 20.0, 1e4] {
            curves.push(Activation::Elu { alpha });
            curves.push(Activation::Elu { alpha: -alpha });
            curves.push(Activation::Celu { alpha });
        }
        for b in [0.0, 1e-6, 0.25, 1.0, 4.0, 100.0] {
            curves.push(Activation::Squareplus { b });
        }
        for curve in &curves {
            let Form::Pieces(pieces) = Form::of(curve) else {
                panic!("{curve:?} is in pieces");
            };
            assert!(pieces.pieces.len() <= CURVES);
            assert!(pieces.pieces[1..].is_sorted_by(|a, b| a.start <= b.start));
            let mut worst = (0.0, 0.0);
            // Beyond, selu overflows.
            for bits in (0..1e37f32.to_bits()).step_by(4999) {
                for x in [f32::from_bits(bits), -f32::from_bits(bits)] {
                    let exact = curve.eval(f64::from(x));
                    let error = (f64::from(at(&pieces, x)) - exact).abs() / unit(curve, exact);
                    if error > worst.0 {
                        worst = (error, x);
                    }
                }
            }
            println!("{curve:?}: {} pieces, {worst:?}", pieces.pieces.len());
            let most = match curve {
                Activation::Softsign => 2.0 * ERROR,
                _ => ERROR,
            };
            assert!(worst.0 <= most, "{curve:?} at {}: {:e}", worst.1, worst.0);
        }
    }
}
