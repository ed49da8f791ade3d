//! `--cv`: the score of a training on rows that it has not seen, several times over.

use serde_json::Value;
use thumbnet_trainer::dataset::SplitOptions;

use super::{
    super::{
        Outcome, console,
        data::Labelled,
        scores::{Scores, always},
        split::SplitArguments,
    },
    Start, Train,
};

impl Train {
    /// Trains a model for each part of the rows on all others, and scores it on that part.
    pub(super) fn cross_validate(
        &self,
        folds: usize,
        start: &Start,
        split: &SplitArguments,
        rows: &Labelled,
    ) -> Outcome<Vec<Value>> {
        let options = SplitOptions {
            seed: self.seed,
            stratify: true,
        };
        let mut scores = Vec::new();
        for (number, (train, test)) in rows.data.folds(folds, options)?.into_iter().enumerate() {
            let (train, test) = (rows.with_data(train), rows.with_data(test));
            let Some(found) = self.score_fold(start, split, train, &test)? else {
                console::note(
                    "note: --cv shows no scores: the targets are not what the outputs say",
                );
                return Ok(Vec::new());
            };
            self.say(&format!(
                "fold {} of {folds}: {}\n",
                number + 1,
                found.line()
            ))?;
            scores.push(found);
        }
        self.say(&format!("{folds} folds: {}\n\n", summary(&scores)))?;
        Ok(scores.iter().map(Scores::json).collect())
    }

    fn score_fold(
        &self,
        start: &Start,
        split: &SplitArguments,
        train: Labelled,
        test: &Labelled,
    ) -> Outcome<Option<Scores>> {
        let split = SplitArguments {
            test_split: 0.0,
            ..split.clone()
        };
        let parts = split.deal(train, self.seed)?;
        let start = Start {
            model: None,
            settings: start.settings.clone(),
            keep: false,
            meaning: start.meaning.clone(),
        };
        let trained = self.train(start, &parts, &split, false)?;
        let x = parts.training.data.x.view();
        let data_type = self.quantize_aware.unwrap_or_default();
        Scores::of(&trained.model, &test.all(), &x, data_type)
    }

    fn say(&self, text: &str) -> Outcome {
        match self.level() {
            0 => Ok(()),
            _ => console::print(text),
        }
    }
}

/// Means and, of the folds, standard deviations.
fn summary(scores: &[Scores]) -> String {
    let headlines: Vec<_> = scores.iter().map(Scores::headline).collect();
    let name = headlines.first().map_or("", |(headline, _)| headline.name);
    let float: Vec<f64> = headlines
        .iter()
        .map(|(headline, _)| headline.value)
        .collect();
    let baseline: Vec<f64> = headlines
        .iter()
        .map(|(headline, _)| headline.baseline)
        .collect();
    let device: Option<Vec<f64>> = headlines.iter().map(|(_, device)| *device).collect();
    let device_of_first = scores.first().and_then(|scores| scores.device.as_ref());
    let on_device = match (device, device_of_first) {
        (Some(values), Some(device)) => {
            format!(", {} in {}", spread(&values), device.data_type)
        }
        _ => String::new(),
    };
    format!(
        "{name} {} in float32{on_device}, {:.4} by always saying {}",
        spread(&float),
        mean(&baseline),
        always(name)
    )
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// `0.9533 ± 0.0298`: mean and sample standard deviation.
fn spread(values: &[f64]) -> String {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let deviation = (squares / (values.len() as f64 - 1.0)).sqrt();
    format!("{mean:.4} ± {deviation:.4}")
}
