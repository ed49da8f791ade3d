//! TensorFlow's counter-based random numbers: Philox 4x32-10 and the float distributions of its
//! stateless ops, so that a seeded initializer gives Keras' own values.
//!
//! Philox: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).

/// The generator: a key and a 128-bit counter, four words per step.
#[derive(Clone)]
pub struct Philox {
    key: [u32; 2],
    counter: [u32; 4],
}

/// Counter steps that TensorFlow reserves for four truncated normal values.
const TRUNCATED_STEPS: u64 = 256;
/// Truncated normal values lie within this many standard deviations.
const TRUNCATED_AT: f32 = 2.0;

impl Philox {
    /// The generator of TensorFlow's stateless ops for the seed `[seed, 0]`, which is what Keras
    /// passes for an integer seed.
    pub fn new(seed: u64) -> Self {
        // Keras folds 64-bit seeds into the positive int32 range.
        let seed = seed % (i32::MAX as u64 - 1);
        // TensorFlow scrambles the seed by one step under a fixed key, and uses half of the result
        // as the key, half as the upper counter.
        let mut scramble = Self {
            key: [0x3ec8_f720, 0x0246_1e29],
            counter: [seed as u32, (seed >> 32) as u32, 0, 0], // the two halves
        };
        let [a, b, c, d] = scramble.step();
        Self {
            key: [a, b],
            counter: [0, 0, c, d],
        }
    }

    /// The next four words.
    pub fn step(&mut self) -> [u32; 4] {
        let (mut c, mut key) = (self.counter, self.key);
        for round in 0..10 {
            if round > 0 {
                key[0] = key[0].wrapping_add(0x9E37_79B9);
                key[1] = key[1].wrapping_add(0xBB67_AE85);
            }
            let a = u64::from(0xD251_1F53u32) * u64::from(c[0]);
            let b = u64::from(0xCD9E_8D57u32) * u64::from(c[2]);
            c = [
                (b >> 32) as u32 ^ c[1] ^ key[0], // halves of the products
                b as u32,
                (a >> 32) as u32 ^ c[3] ^ key[1],
                a as u32,
            ];
        }
        self.skip(1);
        c
    }

    fn skip(&mut self, steps: u64) {
        let [a, b, c, d] = self.counter.map(u128::from);
        let counter = (a | b << 32 | c << 64 | d << 96).wrapping_add(u128::from(steps));
        self.counter = [0, 32, 64, 96].map(|shift| (counter >> shift) as u32); // four parts
    }

    /// `len` values uniform in [0, 1), multiples of 2⁻²³.
    pub fn uniform(mut self, len: usize) -> Vec<f32> {
        fill(len, || self.step().map(unit))
    }

    /// `len` standard normal values.
    pub fn normal(mut self, len: usize) -> Vec<f32> {
        fill(len, || {
            let [a, b, c, d] = self.step();
            let ([w, x], [y, z]) = (box_muller(a, b), box_muller(c, d));
            [w, x, y, z]
        })
    }

    /// `len` normal values, redrawn until they lie within two standard deviations.
    pub fn truncated_normal(self, len: usize) -> Vec<f32> {
        let mut group = self;
        fill(len, || {
            let mut words = group.clone();
            group.skip(TRUNCATED_STEPS);
            let (mut values, mut count) = ([0.0; 4], 0);
            loop {
                let [a, b, c, d] = words.step();
                for value in box_muller(a, b).into_iter().chain(box_muller(c, d)) {
                    if value.abs() < TRUNCATED_AT {
                        values[count] = value;
                        count += 1;
                        if count == values.len() {
                            return values;
                        }
                    }
                }
            }
        })
    }
}

fn fill(len: usize, mut four: impl FnMut() -> [f32; 4]) -> Vec<f32> {
    let mut values = Vec::with_capacity(len.next_multiple_of(4));
    while values.len() < len {
        values.extend(four());
    }
    values.truncate(len);
    values
}

/// The lower 23 bits as the mantissa of a float in [1, 2), minus 1.
fn unit(word: u32) -> f32 {
    f32::from_bits(127 << 23 | word & 0x007f_ffff) - 1.0
}

fn box_muller(a: u32, b: u32) -> [f32; 2] {
    let radius = (-2.0 * unit(a).max(1e-7).ln()).sqrt();
    // The angle is rounded once, from float64, as in TensorFlow.
    let angle = (std::f64::consts::TAU * f64::from(unit(b))) as f32;
    let (sin, cos) = angle.sin_cos();
    [sin * radius, cos * radius]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_key_and_counter_give_the_words_of_the_paper() {
        // First known-answer vector of Random123's kat_vectors for philox4x32-10.
        let mut philox = Philox {
            key: [0; 2],
            counter: [0; 4],
        };
        assert_eq!(
            philox.step(),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(philox.counter, [1, 0, 0, 0]);
    }

    #[test]
    fn the_counter_carries_over_all_words() {
        let mut philox = Philox {
            key: [0; 2],
            counter: [u32::MAX, u32::MAX, 7, 0],
        };
        philox.skip(2);
        assert_eq!(philox.counter, [1, 0, 8, 0]);
    }

    #[test]
    fn normal_values_near_0_have_the_angle_of_tensorflow() {
        // keras.initializers.TruncatedNormal(stddev=1.0, seed=1)((7,)) of Keras 3.15 on TensorFlow
        // 2.21; the sine of nearly π shows how the angle was rounded.
        let values = Philox::new(1).truncated_normal(7);
        assert!((values[6] + 0.03811916).abs() < 1e-8, "{values:?}");
    }
}
