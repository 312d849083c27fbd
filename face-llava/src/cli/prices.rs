//! What tokens cost.

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
}
