//! What tokens cost, and how fast they may be asked for.

use std::str::FromStr;

/// Prices of a million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Prices {
    /// Of the prompt.
    pub sent: f64,
    /// Of the answer.
    pub received: f64,
}

impl FromStr for Prices {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let price = |text: &str| text.trim().parse::<f64>().ok().filter(|price| price.is_finite() && *price >= 0.0);
        let both = text.split_once(',').and_then(|(sent, received)| Some((price(sent)?, price(received)?)));
        both.map(|(sent, received)| Self { sent, received }).ok_or_else(|| "expected two prices, as 0.15,0.6".into())
    }
}

/// Reads a rate, as of requests a minute.
pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "expected a number above 0".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_two_numbers() {
        assert_eq!("0.15,0.6".parse(), Ok(Prices { sent: 0.15, received: 0.6 }));
        for bad in ["", "1", "1,", "1,2,3", "-1,2", "1,nan", "1;2"] {
            assert!(bad.parse::<Prices>().is_err(), "{bad}");
        }
    }
    #[test]
    fn rates_are_above_zero() {
        assert_eq!(parse_rate("0.5"), Ok(0.5));
        assert!(["0", "-1", "nan", "inf", ""].into_iter().all(|bad| parse_rate(bad).is_err()));
    }
}
