//! `--stream`: a table that is larger than memory.

use ndarray::{Axis, Slice};
use thumbnet_trainer::{
    dataset::{SpooledTable, Target, is_array},
    training::FitOptions,
};

use super::{
    super::{
        Failure, Outcome,
        data::{Labelled, LabelledView},
        interrupt,
        meaning::Meaning,
        scores::Scores,
    },
    Train, Trained,
};

/// Rows that the score at the end is of, at most.
const MOST_SCORED: usize = 100_000;

impl Train {
    /// * `block` - rows that are shuffled among each other
    pub(super) fn run_stream(&self, block: usize) -> Outcome {
        let part = self.split.validation_split;
        if self.epochs.is_none() && part == 0.0 && !self.has_validation_rows() {
            return Err(Failure::usage(
                "--stream draws no rows to validate on by itself; give --epochs 10, or --validation-split 0.2 for the last fifth",
            ));
        }
        let path = self.data.data.as_deref().filter(|path| !is_array(path));
        let Some(path) = path else {
            return Err(Failure::usage(
                "--stream reads a table, but --data is none; leave it out for arrays",
            ));
        };
        let meaning = Meaning::none();
        let options =
            self.data
                .columns
                .options(Target::Read, &meaning, self.data.classes.clone())?;
        let table = SpooledTable::read(path, &options)?;
        let (x, y) = (table.x(), table.y());
        let head = Labelled {
            data: table.head.clone(),
            x_path: path.to_path_buf(),
            y_path: path.to_path_buf(),
        };
        meaning.say(&head.data, path);
        let named = head.data.class_names.is_some();
        let (start, head) = self.started(None, head, meaning)?;
        if !named && head.data.class_names.is_some() {
            return Err(Failure::usage(format!(
                "{}: the labels are numbers, but not from 0, which --stream cannot number anew; number the classes from 0, or write names",
                path.display()
            )));
        }
        self.note_epochs(&self.split);
        let end = (table.rows() as f64 * (1.0 - part)) as usize;
        let view = |rows: std::ops::Range<usize>| LabelledView {
            x: x.slice_axis(Axis(0), Slice::from(rows.clone())),
            y: y.slice_axis(Axis(0), Slice::from(rows)),
            class_names: head.data.class_names.as_deref(),
            target_names: &head.data.target_names,
        };
        let mut model = self.model(start, &head, &view(0..end), true)?;
        let given = self.validation(&model)?;
        let validates = given.is_some() || end < table.rows();
        // Callbacks look at how many rows validate alone: one stands for them.
        let head_end = head.data.rows() - usize::from(end < table.rows());
        let callbacks = self.callbacks(&model, &head, head_end, given.as_ref(), true)?;
        let printed = super::console::follow(&mut model);
        let (callbacks, verbose) = self.with_live_line(callbacks, &model, validates);
        let options = FitOptions {
            validation_split: part,
            shuffle_block: Some(block),
            verbose,
            callbacks,
            ..self.fit_options(&head, given.as_ref())?
        };
        let history = model.fit(&x, &y, options)?;
        let interrupted = interrupt::exit_code().filter(|_| model.was_interrupted());
        self.save(&model, &history, validates)?;
        printed()?;
        if let Some(code) = interrupted {
            return Err(Failure::Interrupted(
                code,
                self.what_is_left(true, &history),
            ));
        }
        let (rows, which) = match &given {
            Some(given) => (given.all(), "rows validated on"),
            None if end < table.rows() => (
                view(end..table.rows().min(end + MOST_SCORED)),
                "rows validated on",
            ),
            None => (
                view(0..table.rows().min(MOST_SCORED)),
                "rows trained on (--validation-split 0.2 keeps others for the score)",
            ),
        };
        let mut found = serde_json::Value::Null;
        if self.level() > 0 || self.json {
            let scores = Scores::of(&model, &rows, &view(0..end).x, Default::default())?;
            found = self.print_scores(scores.as_ref(), rows.x.len_of(Axis(0)), which)?;
        }
        let trained = Trained {
            model,
            history,
            end,
            validation: given,
        };
        self.end(&trained, serde_json::json!({"score": found}))
    }
}
