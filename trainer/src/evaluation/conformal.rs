//! Thresholds with a guarantee: split conformal prediction (Vovk, Gammerman and Shafer 2005; Lei and others
//! 2018; for outliers Bates and others 2023).

use crate::{Error, Result};

/// The least threshold that at most this share of rows exceed which are like those of the scores: of n scores
/// the one of rank `ceil((n + 1) * (1 - share))`.
///
/// The guarantee: where rows to come are drawn as these were, in any order as likely as in any other, and the
/// model has seen neither, the probability that the score of a next row is above the threshold is at most
/// `share`, over all such draws. It holds for any model and any distribution; of ties fewer are above.
///
/// * `scores` - of rows that the model was not trained on, in any order; the greater, the stranger
/// * `share` - above 0 and below 1
///
/// # Errors
///
/// [`Error::Value`] for fewer than `1 / share - 1` scores, of which even the greatest is no such threshold, and
/// for scores that are no numbers.
pub fn conformal_threshold(scores: &[f32], share: f64) -> Result<f32> {
    if let Some(row) = scores.iter().position(|score| score.is_nan()) {
        return Err(Error::value(format!(
            "the score of data row {} is NaN, expected a number",
            row + 1
        )));
    }
    let count = scores.len();
    // So many may be above it; a product such as 100 * 0.29 lies a little below the whole number.
    let above = ((count + 1) as f64 * share + 1e-9).floor() as usize;
    let Some(place) = (count + 1).checked_sub(above + 1) else {
        return Err(Error::value(format!(
            "a share of {share} is no share, expected a number between 0 and 1"
        )));
    };
    if above == 0 {
        return Err(Error::value(format!(
            "{count} rows to choose the threshold by are too few for {}, expected at least {}; give more rows, or a greater share",
            percent(share),
            rows_needed(share)
        )));
    }
    let mut sorted = scores.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    Ok(sorted[place])
}

/// Rows that [`conformal_threshold`] takes at least.
pub fn rows_needed(share: f64) -> usize {
    (1.0 / share - 1.0 - 1e-9).ceil() as usize
}

/// `1 %`.
pub fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    // Three digits behind the first one that counts.
    let digits = 3 - percent.abs().log10().floor().clamp(-6.0, 3.0) as i32;
    let text = format!("{percent:.*}", digits.max(0) as usize);
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => text.as_str(),
    };
    format!("{text} %")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn the_threshold_has_its_rank() {
        // Of 99 scores 1 to 99 and 1 %: rank ceil(100 * 0.99) = 99. Of 199 and 1 %: 198.
        let scores = |count: u16| (1..=count).rev().map(f32::from).collect::<Vec<f32>>();
        assert_eq!(conformal_threshold(&scores(99), 0.01).unwrap(), 99.0);
        assert_eq!(conformal_threshold(&scores(199), 0.01).unwrap(), 198.0);
        assert_eq!(conformal_threshold(&scores(150), 0.01).unwrap(), 150.0);
        // ceil(100 * 0.71) = 71, though 100 * 0.29 is 28.999999999999996.
        assert_eq!(conformal_threshold(&scores(99), 0.29).unwrap(), 71.0);
        assert_eq!(
            conformal_threshold(&[3.0, f32::INFINITY], 0.5).unwrap(),
            f32::INFINITY
        );
    }

    #[test]
    fn too_few_rows_are_refused_with_what_it_takes() {
        let error = |count, share| {
            let scores = vec![1.0; count];
            conformal_threshold(&scores, share).unwrap_err().to_string()
        };
        assert_eq!(
            error(98, 0.01),
            "98 rows to choose the threshold by are too few for 1 %, expected at least 99; give more rows, or a greater share"
        );
        assert_eq!(
            error(0, 0.005),
            "0 rows to choose the threshold by are too few for 0.5 %, expected at least 199; give more rows, or a greater share"
        );
        assert!(conformal_threshold(&[1.0; 199], 0.005).is_ok());
        let nan = conformal_threshold(&[1.0, f32::NAN], 0.5).unwrap_err();
        assert_eq!(
            nan.to_string(),
            "the score of data row 2 is NaN, expected a number"
        );
    }

    /// Over many draws of 99 scores, the share of further ones above the threshold is beta distributed with the
    /// mean 1 / 100: 0.0100 is expected and a little more or less found.
    #[test]
    fn the_guarantee_holds_on_average_over_draws() {
        let rng = &mut ChaCha8Rng::seed_from_u64(3);
        let mut above = 0;
        let (draws, rows) = (2000, 200);
        for _ in 0..draws {
            let mut draw = |count| -> Vec<f32> {
                (0..count)
                    .map(|_| rng.random_range(0.0..1.0f32).powi(3))
                    .collect()
            };
            let threshold = conformal_threshold(&draw(99), 0.01).unwrap();
            above += draw(rows)
                .iter()
                .filter(|score| **score > threshold)
                .count();
        }
        let found = above as f64 / f64::from(draws * rows);
        // The standard error over 2000 draws is 0.0002.
        assert!((found - 0.01).abs() < 0.0008, "{found}");
    }
}
