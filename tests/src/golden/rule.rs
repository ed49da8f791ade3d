//! The rules of recorded learning-rate schedulers: Python expressions of `epoch` and `lr`.

/// `a if condition else b`, arithmetic with `+ - * / **` and comparisons.
#[derive(Clone, Debug)]
pub struct Rule {
    tokens: Vec<String>,
}

impl Rule {
    /// Checks that the text can be evaluated.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Vec::new();
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let len = if first.is_ascii_digit() || first == '.' {
                let plain = |c: char| c.is_ascii_digit() || c == '.';
                let mantissa = rest.find(|c| !plain(c)).unwrap_or(rest.len());
                match rest[mantissa..].strip_prefix('e') {
                    Some(exponent) => {
                        let sign = usize::from(exponent.starts_with(['-', '+']));
                        let digits = exponent[sign..].find(|c: char| !c.is_ascii_digit());
                        mantissa + 1 + sign + digits.unwrap_or(exponent.len() - sign)
                    }
                    None => mantissa,
                }
            } else if first.is_alphabetic() {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(rest.len())
            } else if ["**", "//", ">=", "<=", "==", "!="]
                .iter()
                .any(|op| rest.starts_with(op))
            {
                2
            } else {
                1
            };
            tokens.push(rest[..len].to_string());
            rest = rest[len..].trim_start();
        }
        let rule = Self { tokens };
        let mut reader = rule.reader(0, 1.0);
        reader.choice()?;
        match reader.tokens.get(reader.at) {
            None => Ok(rule),
            Some(token) => Err(format!("rule {text:?} cannot be read at {token:?}")),
        }
    }

    /// The learning rate for an epoch, counted from 0.
    pub fn at(&self, epoch: usize, lr: f64) -> f64 {
        self.reader(epoch, lr)
            .choice()
            .expect("parse has read it once")
    }

    fn reader(&self, epoch: usize, lr: f64) -> Reader<'_> {
        Reader {
            tokens: &self.tokens,
            at: 0,
            epoch: epoch as f64, // a small number
            lr,
        }
    }
}

struct Reader<'a> {
    tokens: &'a [String],
    at: usize,
    epoch: f64,
    lr: f64,
}

impl Reader<'_> {
    fn take(&mut self, wanted: &[&str]) -> Option<String> {
        let token = self.tokens.get(self.at)?;
        wanted.contains(&token.as_str()).then(|| {
            self.at += 1;
            token.clone()
        })
    }

    fn choice(&mut self) -> Result<f64, String> {
        let value = self.comparison()?;
        if self.take(&["if"]).is_none() {
            return Ok(value);
        }
        let condition = self.comparison()?;
        self.take(&["else"]).ok_or("an if without else")?;
        let other = self.choice()?;
        Ok(if condition == 0.0 { other } else { value })
    }

    fn comparison(&mut self) -> Result<f64, String> {
        let left = self.sum()?;
        let Some(operator) = self.take(&[">=", "<=", "==", "!=", ">", "<"]) else {
            return Ok(left);
        };
        let right = self.sum()?;
        let holds = match operator.as_str() {
            ">=" => left >= right,
            "<=" => left <= right,
            "==" => left == right,
            "!=" => left != right,
            ">" => left > right,
            _ => left < right,
        };
        Ok(f64::from(u8::from(holds)))
    }

    fn sum(&mut self) -> Result<f64, String> {
        let mut value = self.product()?;
        while let Some(operator) = self.take(&["+", "-"]) {
            let right = self.product()?;
            value = if operator == "+" {
                value + right
            } else {
                value - right
            };
        }
        Ok(value)
    }

    fn product(&mut self) -> Result<f64, String> {
        let mut value = self.power()?;
        while let Some(operator) = self.take(&["*", "/", "//", "%"]) {
            let right = self.power()?;
            value = match operator.as_str() {
                "*" => value * right,
                "/" => value / right,
                "//" => (value / right).floor(),
                _ => value.rem_euclid(right),
            };
        }
        Ok(value)
    }

    fn power(&mut self) -> Result<f64, String> {
        if self.take(&["-"]).is_some() {
            return Ok(-self.power()?);
        }
        let base = self.atom()?;
        if self.take(&["**"]).is_some() {
            return Ok(base.powf(self.power()?));
        }
        Ok(base)
    }

    fn atom(&mut self) -> Result<f64, String> {
        if self.take(&["("]).is_some() {
            let value = self.choice()?;
            self.take(&[")"]).ok_or("a parenthesis without its end")?;
            return Ok(value);
        }
        let token = self
            .tokens
            .get(self.at)
            .ok_or("a rule that ends too early")?;
        self.at += 1;
        match token.as_str() {
            "lr" => Ok(self.lr),
            "epoch" => Ok(self.epoch),
            token => token
                .parse()
                .map_err(|_| format!("{token:?} is not a number, lr or epoch")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_as_python_reads_it() {
        let rule = Rule::parse("lr * 0.7 if epoch >= 1 else lr").unwrap();
        assert_eq!(rule.at(0, 0.5), 0.5);
        assert_eq!(rule.at(1, 0.5), 0.35);
        assert_eq!(
            Rule::parse("1e-2 * 0.5 ** (epoch // 2)")
                .unwrap()
                .at(5, 0.0),
            0.0025
        );
        assert!(Rule::parse("max(lr, 1)").is_err());
    }
}
