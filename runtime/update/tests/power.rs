//! The power goes at every write and every erase of every scenario: each start runs a whole model, the old or the
//! new one.

mod common;

use std::sync::OnceLock;

use common::{Fault, Flash, Left};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thumbnet_runtime::{
    Activation, DenseSpec, LayerSpec, ModelSpec, OutputSpec, Packing, Precision, SelfTest,
    WeightsSpec, encode, encoded_len,
};
use thumbnet_update::{Error, HEADER_LEN, Policy, PublicKey, Refused, Slots, public_key, sign};

const SEED: [u8; 32] = [7; 32];
const STRANGER: [u8; 32] = [8; 32];
const PRODUCT: u32 = 5;
/// Starts that a model on trial has.
const STARTS: u8 = 3;

/// `y = weight * round(x)`, with a self-test that is right, or wrong.
fn blob(weight: i8, right: bool) -> Vec<u8> {
    let test = f32::from(weight) * 2.0;
    let checksums = [fnv(2), fnv(test.to_bits())];
    let spec = ModelSpec {
        layers: &[
            LayerSpec::Quantize {
                inputs: 1,
                scale: &[1.0],
                zero_point: &[0],
                output: Precision::Int8,
            },
            LayerSpec::Dense(DenseSpec {
                inputs: 1,
                units: 1,
                packing: Packing::Plain,
                weights: WeightsSpec::Int8 {
                    weights: &[weight],
                    bias: &[0],
                },
                output: OutputSpec::Float {
                    scales: &[1.0],
                    activation: Activation::Linear,
                    table: None,
                },
            }),
        ],
        self_tests: &[SelfTest {
            inputs: &[2.0],
            outputs: &[test],
            checksums: if right { &checksums } else { &[1, 2] },
        }],
        ..ModelSpec::default()
    };
    let mut blob = vec![0; encoded_len(&spec).unwrap()];
    let length = encode(&spec, &mut blob).unwrap();
    blob.truncate(length);
    blob
}

/// The checksum of one value.
fn fnv(word: u32) -> u32 {
    (0x811C_9DC5 ^ word).wrapping_mul(0x0100_0193)
}

/// A signed model of that version, which multiplies by it.
fn model(version: u32) -> &'static [u8] {
    static MODELS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let models = MODELS.get_or_init(|| {
        let signed = |version| sign(&blob(version as i8, true), version, PRODUCT, &SEED).unwrap();
        (0..4).map(signed).collect()
    });
    &models[version as usize]
}

/// A device, and what is known of it from outside.
struct World<const WRITE: usize, const ERASE: usize> {
    flash: Option<Flash<WRITE, ERASE>>,
    keys: [PublicKey; 1],
    forbid_older: bool,
    random: ChaCha8Rng,
    /// Versions that a start may run now; 0 for none.
    may_run: Vec<u32>,
    /// Starts so far.
    starts: u32,
    /// Starts of each version.
    runs: [u32; 8],
    /// The start in which `finish` said so.
    finished: Option<u32>,
}

type Device<'a, const WRITE: usize, const ERASE: usize> = Slots<'a, Flash<WRITE, ERASE>>;

/// What the firmware wants after its start.
#[derive(PartialEq)]
enum Next {
    /// Another start.
    Reset,
    /// Nothing more.
    Done,
}

type Step = Result<Next, Error<Fault>>;

const SECTORS: usize = 14;

impl<const WRITE: usize, const ERASE: usize> World<WRITE, ERASE> {
    fn new(seed: u64) -> Self {
        Self {
            flash: Some(Flash::new(
                SECTORS,
                [0xFF, 0, 0x5A][seed as usize % 3],
                seed,
            )),
            keys: [public_key(&SEED)],
            forbid_older: true,
            random: ChaCha8Rng::seed_from_u64(seed),
            may_run: vec![0],
            starts: 0,
            runs: [0; 8],
            finished: None,
        }
    }

    fn flash(&mut self) -> &mut Flash<WRITE, ERASE> {
        self.flash.as_mut().unwrap()
    }

    /// Starts the device again and again until `firmware` is done, however often the power goes.
    fn run(&mut self, mut firmware: impl FnMut(&mut Self, &mut Device<WRITE, ERASE>, u32) -> Step) {
        for _ in 0..100 {
            let flash = self.flash.take().unwrap();
            let keys = self.keys;
            let policy = Policy {
                product: PRODUCT,
                forbid_older: self.forbid_older,
                starts: STARTS,
                ..Policy::new(&keys)
            };
            // One sector before the region is not its own.
            let region = ERASE as u32..(SECTORS * ERASE) as u32;
            let mut slots = Slots::open(flash, region, policy).unwrap();
            let next = self.start(&mut slots, &mut firmware);
            let mut flash = slots.into_flash();
            flash.on();
            self.flash = Some(flash);
            match next {
                Ok(Next::Done) => return,
                Ok(Next::Reset) | Err(Error::Flash(Fault::Cut)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the device never comes to an end");
    }

    fn start(
        &mut self,
        slots: &mut Device<WRITE, ERASE>,
        firmware: &mut impl FnMut(&mut Self, &mut Device<WRITE, ERASE>, u32) -> Step,
    ) -> Step {
        self.starts += 1;
        let version = match slots.start() {
            Ok(started) => {
                let mut outputs = [0.0];
                let running = slots.model()?;
                running.self_test(&mut [0; 8], &mut outputs).unwrap();
                running.predict(&[3.0], &mut [0; 8], &mut outputs).unwrap();
                assert_eq!(outputs, [started.version as f32 * 3.0]);
                started.version
            }
            Err(Error::NoModel) => 0,
            Err(error) => return Err(error),
        };
        assert!(
            self.may_run.contains(&version),
            "{version} runs, expected one of {:?}",
            self.may_run
        );
        self.runs[version as usize] += 1;
        firmware(self, slots, version)
    }

    /// Sends a signed model in pieces of any sizes, from where the device has it.
    fn send(
        &mut self,
        slots: &mut Device<WRITE, ERASE>,
        signed: &[u8],
    ) -> Result<u32, Error<Fault>> {
        let mut position = slots.begin(signed.first_chunk().unwrap())?;
        while position < signed.len() {
            let piece = self
                .random
                .random_range(1..=97)
                .min(signed.len() - position);
            slots.write(&signed[position..][..piece])?;
            position += piece;
        }
        slots.finish(&mut [0; 8], &mut [0.0])
    }

    /// Receives a model and lets it confirm itself.
    fn update(&mut self, signed: &[u8], version: u32) {
        let old = self.may_run[0];
        self.may_run = vec![old, version];
        self.finished = None;
        self.run(|world, slots, running| {
            if running == version {
                slots.confirm()?;
                world.may_run = vec![version];
                return Ok(Next::Done);
            }
            // A start counts though the power goes before anything else.
            let given_up = |at| world.starts > at + u32::from(STARTS);
            assert!(
                world.finished.is_none_or(given_up),
                "the old model runs after the switch"
            );
            assert_eq!(world.send(slots, signed)?, version);
            world.finished = Some(world.starts);
            Ok(Next::Reset)
        });
        // It stays.
        for _ in 0..STARTS + 1 {
            self.run(|_, _, _| Ok(Next::Done));
        }
    }

    /// A model that was sent once had no more than its starts.
    fn ran_at_most(&mut self, version: usize) {
        if self.flash().cuts < 2 {
            assert!(self.runs[version] <= STARTS.into(), "{:?}", self.runs);
        }
    }

    /// Receives a model that must not become active.
    fn refused(&mut self, signed: &[u8], expected: Refused) {
        self.run(|world, slots, _| match world.send(slots, signed) {
            Err(Error::Refused(found)) => {
                assert_eq!(found, expected);
                Ok(Next::Done)
            }
            Ok(_) => panic!("taken, expected {expected:?}"),
            Err(error) => Err(error),
        });
        self.run(|_, _, _| Ok(Next::Done));
    }
}

type Scenario<const WRITE: usize, const ERASE: usize> = fn(&mut World<WRITE, ERASE>);

fn first_install<const WRITE: usize, const ERASE: usize>(world: &mut World<WRITE, ERASE>) {
    world.update(model(1), 1);
}

fn three_updates<const WRITE: usize, const ERASE: usize>(world: &mut World<WRITE, ERASE>) {
    for version in 1..=3 {
        world.update(model(version), version);
    }
}

/// The new model never confirms itself.
fn rollback<const WRITE: usize, const ERASE: usize>(world: &mut World<WRITE, ERASE>) {
    world.update(model(1), 1);
    world.may_run = vec![1, 2];
    let mut tried = false;
    world.run(|world, slots, running| match running {
        2 => {
            tried = true;
            Ok(Next::Reset)
        }
        _ if tried => Ok(Next::Done),
        _ => {
            // A cut at its last step may have hidden that it was done.
            match world.send(slots, model(2)) {
                Ok(_) => tried = true,
                Err(error) => return Err(error),
            }
            Ok(Next::Reset)
        }
    });
    world.ran_at_most(2);
    world.may_run = vec![1];
    world.run(|_, _, _| Ok(Next::Done));
    // The next one is taken all the same.
    world.update(model(3), 3);
}

/// The first model of all never confirms itself, the next one does.
fn rollback_to_nothing<const WRITE: usize, const ERASE: usize>(world: &mut World<WRITE, ERASE>) {
    world.may_run = vec![0, 1];
    let mut tried = false;
    world.run(|world, slots, running| {
        tried |= running == 1;
        if running == 1 {
            return Ok(Next::Reset);
        }
        if tried {
            return Ok(Next::Done);
        }
        world.send(slots, model(1))?;
        tried = true;
        Ok(Next::Reset)
    });
    world.ran_at_most(1);
    world.may_run = vec![0];
    world.update(model(2), 2);
}

/// The new model says itself that it is no good.
fn reject<const WRITE: usize, const ERASE: usize>(world: &mut World<WRITE, ERASE>) {
    world.update(model(1), 1);
    world.may_run = vec![1, 2];
    let mut rejected = false;
    world.run(|world, slots, running| match running {
        2 => {
            rejected = true;
            slots.reject()?;
            world.may_run = vec![1];
            Ok(Next::Reset)
        }
        // It may have been rejected, though the power went, or been given up.
        _ if rejected => Ok(Next::Done),
        _ => {
            world.send(slots, model(2))?;
            Ok(Next::Reset)
        }
    });
    world.may_run = vec![1];
    world.run(|_, _, _| Ok(Next::Done));
}

/// All that must not become active, each sent again after each cut.
fn hostile<const WRITE: usize, const ERASE: usize>(world: &mut World<WRITE, ERASE>) {
    world.update(model(2), 2);
    let good = model(3);
    let mut altered = good.to_vec();
    altered[HEADER_LEN + 40] ^= 1;
    world.refused(&altered, Refused::Signature);
    let mut altered = good.to_vec();
    *altered.last_mut().unwrap() ^= 0x80;
    world.refused(&altered, Refused::Signature);
    // The header of another blob, of another version.
    let mut altered = good.to_vec();
    altered[20] = 4;
    world.refused(&altered, Refused::Signature);
    let unsigned = blob(3, true);
    world.refused(&unsigned, Refused::NotSigned);
    let stranger = sign(&blob(3, true), 3, PRODUCT, &STRANGER).unwrap();
    let found = *public_key(&STRANGER).first_chunk().unwrap();
    world.refused(&stranger, Refused::Key { found });
    // Under the name of the key that is known.
    let mut forged = stranger.clone();
    forged[40..48].copy_from_slice(&public_key(&SEED)[..8]);
    world.refused(&forged, Refused::Signature);
    world.refused(
        model(1),
        Refused::Older {
            expected: 2,
            found: 1,
        },
    );
    world.refused(
        &sign(&blob(3, true), 3, 6, &SEED).unwrap(),
        Refused::Product {
            expected: PRODUCT,
            found: 6,
        },
    );
    // Rightly signed, and no good.
    let failing = sign(&blob(3, false), 3, PRODUCT, &SEED).unwrap();
    let error = thumbnet_runtime::Model::<16>::from_bytes(&blob(3, false))
        .unwrap()
        .self_test(&mut [0; 8], &mut [0.0])
        .unwrap_err();
    world.refused(&failing, Refused::Model(error));
    let mut damaged = blob(3, true);
    damaged[9] ^= 1;
    let error = thumbnet_runtime::Model::<16>::from_bytes(&damaged).unwrap_err();
    let damaged = sign(&damaged, 3, PRODUCT, &SEED).unwrap();
    world.refused(&damaged, Refused::Model(error));
    world.may_run = vec![2];
    world.update(good, 3);
}

/// A model begun, then another one.
fn change_of_mind<const WRITE: usize, const ERASE: usize>(world: &mut World<WRITE, ERASE>) {
    world.update(model(1), 1);
    world.run(|_, slots, _| {
        let signed = &model(2)[..model(2).len() - 70];
        let position = slots.begin(signed.first_chunk().unwrap())?;
        slots.write(signed.get(position..).unwrap_or_default())?;
        Ok(Next::Done)
    });
    world.update(model(3), 3);
}

/// The confirmed model is damaged in its flash; the one before it is there.
fn damaged<const WRITE: usize, const ERASE: usize>(world: &mut World<WRITE, ERASE>) {
    world.forbid_older = false;
    world.update(model(1), 1);
    world.update(model(2), 2);
    // In the second slot, of five sectors behind the own one, the journal's two and the first slot's five.
    world.flash().damage(8 * ERASE + HEADER_LEN + 60);
    world.may_run = vec![1];
    world.run(|_, _, _| Ok(Next::Done));
    world.update(model(3), 3);
    // Nothing that is forbidden takes its place.
    world.flash().damage(8 * ERASE + HEADER_LEN + 60);
    world.forbid_older = true;
    world.may_run = vec![0];
    world.run(|_, _, _| Ok(Next::Done));
}

/// More records than the journal has room for.
fn many_starts<const WRITE: usize, const ERASE: usize>(world: &mut World<WRITE, ERASE>) {
    world.update(model(1), 1);
    for _ in 0..3 {
        world.may_run = vec![1, 2];
        let mut tried = false;
        world.run(|world, slots, running| {
            tried |= running == 2;
            if running == 2 {
                return Ok(Next::Reset);
            }
            if tried {
                return Ok(Next::Done);
            }
            world.send(slots, model(2))?;
            tried = true;
            Ok(Next::Reset)
        });
        world.may_run = vec![1];
    }
    world.update(model(3), 3);
}

/// Runs a scenario without a cut, then with one at each step, in each way, and with more of them behind it.
/// Returns the number of cuts.
fn cut_everywhere<const WRITE: usize, const ERASE: usize>(
    name: &str,
    scenario: Scenario<WRITE, ERASE>,
) -> u64 {
    let mut world = World::<WRITE, ERASE>::new(0);
    scenario(&mut world);
    let steps = world.flash().steps;
    let mut cuts = 0;
    for step in 0..steps {
        for (way, left) in Left::ALL.into_iter().enumerate() {
            let mut world = World::<WRITE, ERASE>::new(step * 4 + way as u64);
            let corrects = world.random.random();
            let flash = world.flash();
            flash.cut = Some(step);
            flash.left = left;
            flash.corrects = corrects;
            scenario(&mut world);
            assert_eq!(world.flash().cuts, 1, "{name}: no cut at {step}");
            // No other sector was touched.
            assert_eq!(world.flash().erases[0], 0);
            cuts += 1;
        }
    }
    println!("{name}, words of {WRITE}, sectors of {ERASE}: {steps} steps, {cuts} cuts");
    cuts
}

macro_rules! scenarios {
    ($($name:ident),*) => {
        fn all<const WRITE: usize, const ERASE: usize>() -> u64 {
            let mut cuts = 0;
            $(cuts += cut_everywhere::<WRITE, ERASE>(stringify!($name), $name);)*
            cuts
        }
    };
}

scenarios!(
    first_install,
    three_updates,
    rollback,
    rollback_to_nothing,
    reject,
    change_of_mind,
    damaged,
    many_starts
);

#[test]
fn the_power_may_go_at_any_step() {
    // Flash of nRF51 and nRF52, STM32L4, STM32H7, and such as writes bytes.
    let cuts = all::<4, 128>() + all::<8, 64>() + all::<16, 128>() + all::<32, 256>();
    let bytes = cut_everywhere::<1, 64>("first_install", first_install);
    let halfwords = cut_everywhere::<2, 64>("first_install", first_install);
    println!("{} cuts", cuts + bytes + halfwords);
    assert!(cuts > 2000);
}

#[test]
fn what_must_not_run_never_does() {
    let cuts = cut_everywhere::<8, 128>("hostile", hostile);
    assert!(cuts > 1000);
}

/// Again and again, at random, while the device recovers from the cut before.
#[test]
fn the_power_may_go_many_times() {
    let scenarios: [Scenario<4, 128>; 7] = [
        first_install,
        three_updates,
        rollback_to_nothing,
        rollback,
        reject,
        change_of_mind,
        many_starts,
    ];
    let mut cuts = 0;
    for seed in 0..700 {
        let mut world = World::<4, 128>::new(seed);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // From within the run of the firmware, at each of its ends.
        let first = random.random_range(0..60);
        let flash = world.flash();
        flash.more = (30, random.random_range(2..80));
        flash.cut = Some(first);
        flash.corrects = seed % 2 == 0;
        flash.left = Left::ALL[seed as usize / 2 % 4];
        scenarios[seed as usize % 7](&mut world);
        cuts += world.flash().cuts;
    }
    println!("{cuts} cuts");
    assert!(cuts > 10_000, "{cuts}");
}
