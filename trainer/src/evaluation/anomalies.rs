//! How well scores tell anomalies from what is normal.

use std::fmt;

use ndarray::ArrayView1;
use serde::Serialize;

use super::conformal::percent;
use super::curve::Curve;

/// Scores of labelled rows against a threshold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Anomalies {
    /// Rows that are normal.
    pub normal: usize,
    /// Of them, those whose score is above the threshold.
    pub false_alarms: usize,
    /// Rows that are anomalies.
    pub anomalies: usize,
    /// Of them, those whose score is above the threshold.
    pub found: usize,
    /// Area under the ROC curve: the probability that an anomaly has a greater score than a normal row. None
    /// where either does not occur.
    pub auc: Option<f64>,
}

impl Anomalies {
    /// * `scores` - of the rows
    /// * `is_anomaly` - by the scores' threshold
    /// * `is_normal` - what the rows are, one for each score
    pub fn new(scores: &[f32], is_anomaly: impl Fn(f32) -> bool, is_normal: &[bool]) -> Self {
        let mut counts = Self {
            normal: 0,
            false_alarms: 0,
            anomalies: 0,
            found: 0,
            auc: None,
        };
        for (&score, &normal) in scores.iter().zip(is_normal) {
            let above = usize::from(is_anomaly(score));
            match normal {
                true => (counts.normal += 1, counts.false_alarms += above),
                false => (counts.anomalies += 1, counts.found += above),
            };
        }
        let scores = ArrayView1::from(scores);
        let curve = Curve::new("anomaly".to_string(), scores, |row| !is_normal[row]);
        counts.auc = curve.area();
        counts
    }
}

impl fmt::Display for Anomalies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |part: usize, all: usize| percent(part as f64 / all as f64);
        let mut parts = Vec::new();
        if self.anomalies > 0 {
            parts.push(format!(
                "{} of {} anomalies found ({})",
                self.found,
                self.anomalies,
                share(self.found, self.anomalies)
            ));
        }
        if self.normal > 0 {
            parts.push(format!(
                "{} of {} normal rows taken for anomalies ({})",
                self.false_alarms,
                self.normal,
                share(self.false_alarms, self.normal)
            ));
        }
        if let Some(auc) = self.auc {
            parts.push(format!("AUC {auc:.4}"));
        }
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_area_are_counted() {
        // Of 2 * 3 pairs the anomaly has the greater score in 5.
        let scores = [0.1, 0.5, 0.2, 0.4, 0.9];
        let is_normal = [true, true, true, false, false];
        let found = Anomalies::new(&scores, |score| score > 0.3, &is_normal);
        assert_eq!(
            found.to_string(),
            "2 of 2 anomalies found (100 %), 1 of 3 normal rows taken for anomalies (33.33 %), AUC 0.8333"
        );
        let normal = Anomalies::new(&scores[..1], |score| score > 0.3, &is_normal[..1]);
        assert_eq!(
            normal.to_string(),
            "0 of 1 normal rows taken for anomalies (0 %)"
        );
        assert_eq!(normal.auc, None);
    }
}
