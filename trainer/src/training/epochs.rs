//! One call of `fit` as it runs: epochs, steps, validation, callbacks.

use std::{sync::atomic::Ordering, time::Instant};

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use super::callback_list::Callbacks;
use super::data::{Order, Rows};
use super::evaluate::{Seen, TestPass};
use super::fit::{FitOptions, batch_size};
use super::progress::{Progress, Verbosity};
use crate::Result;
use crate::Sequential;
use crate::history::{History, Logs};
use crate::sequential::compile::Sums;
use crate::sequential::run::Run;
use crate::sequential::targets::Targets;

/// What `fit` goes through, and where it is.
pub(super) struct Training<'a, 'o> {
    data: Rows<'a>,
    validation: Option<Rows<'a>>,
    options: &'a FitOptions<'o>,
    targets: Targets,
    /// Outputs of a row's last axis.
    width: usize,
    verbosity: Verbosity,
    feed: Feed,
    /// Batches of an epoch.
    steps: usize,
    clock: Instant,
    /// Metrics of the batches so far, as callbacks and the progress bar see them.
    batch_logs: Logs,
}

impl<'a, 'o> Training<'a, 'o> {
    /// Makes the optimizer's state and a run of the model; trains nothing yet.
    pub fn begin(
        model: &mut Sequential,
        data: Rows<'a>,
        validation: Option<Rows<'a>>,
        options: &'a FitOptions<'o>,
    ) -> Result<Self> {
        let verbosity = Verbosity::new(options.verbose)?;
        let rows = data.x.rows();
        let mut feed = Feed::new(rows, batch_size(options, rows)?, options.shuffle);
        if let Some(block) = options.shuffle_block {
            feed.block = block.next_multiple_of(feed.batch_size);
        }
        let output = model.output_shape().unwrap_or_default().to_vec();
        let targets = Targets::of(data.y, &output);
        model.build_optimizer();
        let width = output.last().copied().unwrap_or(1);
        model
            .compiled_mut()?
            .build_metrics(targets, width, Sums::Keras)?;
        let own = model.seed.wrapping_add(model.fits);
        model.fits += 1;
        model.run = Run::training(options.seed.unwrap_or(own));
        Ok(Self {
            data,
            validation,
            options,
            targets,
            width,
            verbosity,
            steps: options.steps_per_epoch.unwrap_or(feed.batches()),
            feed,
            clock: Instant::now(),
            batch_logs: Logs::new(),
        })
    }

    /// All epochs, from where a callback restored a training.
    pub fn run(mut self, model: &mut Sequential, callbacks: &Callbacks) -> Result<History> {
        let mut history = History::default();
        let mut logs = Logs::new();
        callbacks.begin(model)?;
        let seed = model.run.seed;
        let resume = model.run.resume.take();
        let (start, skipped) = resume.unwrap_or((self.options.initial_epoch, 0));
        // A shuffled epoch has an order of its own, wherever the training began; others begin with
        // the first row, as in Keras.
        let first = match self.options.shuffle {
            true => 0,
            false => self.options.initial_epoch,
        };
        (first..start).for_each(|_| self.feed.skip(self.steps));
        // The restored training may have come to its end.
        let epochs = match model.run.stop_training {
            true => start,
            false => self.options.epochs,
        };
        for epoch in start..epochs {
            let skipped = if epoch == start {
                skipped.min(self.steps)
            } else {
                0
            };
            self.feed.skip(skipped);
            // What an epoch draws depends on seed and position alone: a training that was stopped
            // and restored goes on as it would have.
            model.rng = ChaCha8Rng::seed_from_u64(seed);
            model.rng.set_stream(2 * epoch as u64);
            match self.epoch(model, epoch, skipped, callbacks)? {
                Some(of_epoch) => logs = of_epoch,
                None => break,
            }
            history.push(epoch, &logs);
            if model.run.stop_training {
                break;
            }
        }
        if self.options.epochs > 0
            && let Some(compiled) = &mut model.compiled
        {
            compiled
                .optimizer
                .finalize(&model.variables, &mut model.values);
        }
        callbacks.end(model, &logs)?;
        Ok(history)
    }

    /// One epoch without its first `skipped` steps, and its validation; none where it was interrupted.
    fn epoch(
        &mut self,
        model: &mut Sequential,
        epoch: usize,
        skipped: usize,
        callbacks: &Callbacks,
    ) -> Result<Option<Logs>> {
        // A callback may have evaluated, with other sums.
        model
            .compiled_mut()?
            .build_metrics(self.targets, self.width, Sums::Keras)?;
        model.compiled_mut()?.reset();
        callbacks.each(|callback| callback.on_epoch_begin(model, epoch))?;
        let mut progress = Progress::new(self.verbosity, self.steps, self.now());
        if self.verbosity != Verbosity::Silent && self.options.epochs > 1 {
            model.print(&format!("Epoch {}/{}\n", epoch + 1, self.options.epochs));
        }
        self.batches(model, skipped, callbacks, &mut progress)?;
        if model.run.interrupted {
            return Ok(None);
        }
        let mut logs = Logs::new();
        model.compiled()?.write(&mut logs);
        if self.options.validation_freq.includes(epoch) {
            self.validate(model, callbacks, &mut logs)?;
        }
        callbacks.epoch_end(model, epoch, &mut logs)?;
        progress.finish(&logs, self.now(), &model.output);
        Ok(Some(logs))
    }

    /// The batches of an epoch, until the data runs out or somebody asks to stop.
    fn batches(
        &mut self,
        model: &mut Sequential,
        skipped: usize,
        callbacks: &Callbacks,
        progress: &mut Progress,
    ) -> Result<()> {
        for step in skipped..self.steps {
            if !self.step(model, callbacks, step)? {
                break;
            }
            let now = self.now();
            let due = progress.is_due(step + 1, now);
            if due || callbacks.use_batches()? {
                model.compiled()?.write(&mut self.batch_logs);
            }
            if callbacks.use_batches()? {
                callbacks.batch_end(model, step, &self.batch_logs)?;
            }
            if due {
                progress.update(step + 1, &self.batch_logs, now, &model.output);
            }
            let interrupt = self.options.interrupt;
            model.run.interrupted = interrupt.is_some_and(|flag| flag.load(Ordering::Relaxed));
            if model.run.stop_training || model.run.interrupted {
                break;
            }
        }
        Ok(())
    }

    /// Trains on the next batch; false when the data ran out before the epoch did.
    fn step(&mut self, model: &mut Sequential, callbacks: &Callbacks, step: usize) -> Result<bool> {
        let Some((start, stop)) = self.feed.take(step == 0, model.run.seed)? else {
            model.print("Your input ran out of data; interrupting training.\n");
            return Ok(false);
        };
        // Far enough apart for the noise of any batch.
        model.rng.set_word_pos((step as u128) << 40);
        if callbacks.use_batches()? {
            callbacks.each_batch(|callback| callback.on_train_batch_begin(model, step))?;
        }
        match self.feed.indices(start, stop) {
            None => model.train_step(self.data.slice(start, stop), self.targets)?,
            Some(indices) => {
                let mut gathered = std::mem::take(&mut model.workspace.batch);
                let trained =
                    model.train_step(self.data.gather(indices, &mut gathered), self.targets);
                model.workspace.batch = gathered;
                trained?;
            }
        }
        Ok(true)
    }

    /// Adds what the validation rows give.
    fn validate(
        &self,
        model: &mut Sequential,
        callbacks: &Callbacks,
        logs: &mut Logs,
    ) -> Result<()> {
        let Some(validation) = &self.validation else {
            return Ok(());
        };
        let batch_size = self.options.validation_batch_size;
        let pass = TestPass {
            batch_size: batch_size.unwrap_or(self.feed.batch_size),
            steps: self.options.validation_steps,
            sums: Sums::Keras,
        };
        let validated = model.evaluate_rows(*validation, pass, callbacks, Seen::default())?;
        logs.extend_validation(&validated);
        Ok(())
    }

    /// Seconds since the training began.
    fn now(&self) -> f64 {
        self.clock.elapsed().as_secs_f64()
    }
}

/// Batches of one pass over the rows, kept over epochs when an epoch is shorter.
struct Feed {
    batch_size: usize,
    rows: usize,
    shuffle: bool,
    /// Rows that are shuffled among each other, a multiple of the batch size or all.
    block: usize,
    order: Order,
    /// Passes begun.
    passes: u64,
    /// The pass and the block of it that `order` is of.
    ordered: (u64, usize),
    /// Batches taken from the current pass.
    taken: usize,
}

impl Feed {
    fn new(rows: usize, batch_size: usize, shuffle: bool) -> Self {
        Self {
            batch_size,
            rows,
            shuffle,
            block: rows.next_multiple_of(batch_size.max(1)).max(1),
            order: Order::default(),
            passes: 0,
            ordered: (0, 0),
            taken: 0,
        }
    }

    fn batches(&self) -> usize {
        self.rows.div_ceil(self.batch_size)
    }

    /// Goes on to the next batch of an epoch, its first or a later one; false when the data ran out.
    fn advance(&mut self, first: bool) -> bool {
        if self.taken == self.batches() || self.passes == 0 {
            if !first && self.passes > 0 {
                return false;
            }
            self.passes += 1;
            self.taken = 0;
        }
        self.taken += 1;
        true
    }

    /// Takes the next batch: its rows, or none when the data ran out. The rows of a pass come in an
    /// order of its own.
    fn take(&mut self, first: bool, seed: u64) -> Result<Option<(usize, usize)>> {
        if !self.advance(first) {
            return Ok(None);
        }
        let start = (self.taken - 1) * self.batch_size;
        let block = start / self.block;
        if self.shuffle && self.ordered != (self.passes, block) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(2 * self.passes - 1);
            let mut blocks: Vec<usize> = (0..self.rows / self.block).collect();
            // Far behind what blocks draw.
            rng.set_word_pos(1 << 66);
            blocks.shuffle(&mut rng);
            // What is left stays last.
            let first = blocks.get(block).copied().unwrap_or(block) * self.block;
            rng.set_word_pos((block as u128) << 40);
            let rows = first..(first + self.block).min(self.rows);
            self.order.shuffle(rows, &mut rng)?;
            self.ordered = (self.passes, block);
        }
        Ok(Some((start, (start + self.batch_size).min(self.rows))))
    }

    /// Which rows those of a batch are, none where they come as they lie.
    fn indices(&self, start: usize, stop: usize) -> Option<&[u32]> {
        let block = start / self.block * self.block;
        self.order.indices(start - block, stop - block)
    }

    /// Leaves the batches of an epoch out, up to `steps`.
    fn skip(&mut self, steps: usize) {
        let _ = (0..steps).all(|step| self.advance(step == 0));
    }
}
