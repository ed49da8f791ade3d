//! The report on a search: what its candidates cost and are worth.

use maud::{Markup, html};
use thumbnet_trainer::figures::thousands;

use super::{
    chart::{Axis, Chart, Points, Series, Shape},
    page::{card, cell, figure, number, page, table},
};

/// A network that was tried.
pub struct Tried {
    pub flash: usize,
    pub ram: usize,
    pub instructions: u64,
    pub score: f64,
    pub data_type: String,
    pub layers: String,
}

/// What came of a search.
pub struct Searched<'a> {
    pub title: String,
    /// Of the score, such as accuracy.
    pub measure: &'static str,
    pub all: Vec<Tried>,
    /// Those that no other one beats in score, flash and instructions at once, by growing flash.
    pub front: Vec<Tried>,
    pub best: Tried,
    /// What makes the best one again.
    pub commands: &'a [String],
    /// How the score was found.
    pub note: String,
}

impl Searched<'_> {
    pub fn to_html(&self) -> String {
        let row = |tried: &Tried| -> Vec<Markup> {
            vec![
                cell(&thousands(tried.flash)),
                cell(&thousands(tried.ram)),
                cell(&thousands(tried.instructions as usize)),
                cell(&number(tried.score)),
                cell(&tried.data_type),
                cell(&tried.layers),
            ]
        };
        let rows: Vec<_> = self.front.iter().map(row).collect();
        let head = [
            "flash",
            "ram",
            "instructions",
            self.measure,
            "type",
            "layers",
        ];
        let flash = self.chart("bytes of flash", |tried| tried.flash as f64);
        let instructions = self.chart("instructions", |tried| tried.instructions as f64);
        let body = html! {
            div.cards {
                (card(&number(self.best.score), &format!("{} of the best", self.measure)))
                (card(&format!("{} bytes", thousands(self.best.flash)), "of flash"))
                (card(&thousands(self.best.instructions as usize), "instructions a prediction, estimated"))
                (card(&thousands(self.all.len()), "networks within the limits"))
            }
            h2 { "Score against cost" }
            div.figures {
                (figure("by flash", "those on the line are beaten by none", &flash))
                (figure("by instructions", "", &instructions))
            }
            h2 { "Beaten by none" }
            (table(&head, &rows))
            p.note { (self.note) }
            h2 { "The best one again" }
            @for command in self.commands { p { code { (thumbnet_trainer::error::visible(command)) } } }
        };
        page(&self.title, &body)
    }

    fn chart(&self, name: &'static str, cost: impl Fn(&Tried) -> f64) -> Chart {
        let points = |tried: &[Tried]| -> Points {
            tried
                .iter()
                .map(|tried| (cost(tried), tried.score))
                .collect()
        };
        // Of those that none beats, by what this chart shows alone.
        let mut front = points(&self.front);
        front.sort_by(|a, b| a.0.total_cmp(&b.0));
        let series = |name: &str, color, shape, points| Series {
            name: name.to_string(),
            color,
            shape,
            points,
        };
        Chart {
            x: Axis {
                name,
                logarithmic: true,
                ..Axis::default()
            },
            y: Axis {
                name: self.measure,
                ..Axis::default()
            },
            series: vec![
                series("tried", 7, Shape::Dots, points(&self.all)),
                series("beaten by none", 0, Shape::Joined, front),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_all_that_were_tried_and_those_that_none_beats() {
        let tried = |flash, score| Tried {
            flash,
            ram: 10,
            instructions: 7 * flash as u64,
            score,
            data_type: "int8".to_string(),
            layers: "4:relu,<b>".to_string(),
        };
        let commands = ["thumbnet train --data 'a<b.csv'".to_string()];
        let text = Searched {
            title: "search".to_string(),
            measure: "accuracy",
            all: vec![tried(100, 0.5), tried(1000, 0.9), tried(2000, 0.8)],
            front: vec![tried(100, 0.5), tried(1000, 0.9)],
            best: tried(1000, 0.9),
            commands: &commands,
            note: "from 3 folds".to_string(),
        }
        .to_html();
        assert_eq!(text.matches("<svg").count(), 2);
        // Three dots behind and two on the line, in both charts.
        assert_eq!(text.matches("<circle").count(), 10);
        assert!(
            text.contains("4:relu,&lt;b&gt;") && text.contains("a&lt;b.csv"),
            "{text}"
        );
        assert!(
            text.contains("7,000") && !text.contains("<script"),
            "{text}"
        );
    }
}
