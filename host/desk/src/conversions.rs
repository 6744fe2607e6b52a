//! Conversions ready for use: a pattern is compiled once, not at every card.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use cardinal_domain::convert::{Conversion, ConvertError, Rules};

/// The most conversions kept: a site has one, and a few devices their own. Beyond it all are forgotten and compiled again as
/// they are needed, so that settings long gone do not stay.
const MOST: usize = 64;

/// The texts of a pattern and a chain.
type Texts = (String, String);

/// Conversions by the texts they were made from. A text never changes its meaning, so none goes stale.
#[derive(Default)]
pub(crate) struct Conversions(RwLock<HashMap<Texts, Result<Arc<Conversion>, ConvertError>>>);

impl Conversions {
    /// The conversion of these rules. They were checked when they were set; where they cannot be used all the same, no card is
    /// converted: another number than was meant could be somebody else's.
    pub(crate) fn of(&self, rules: Rules<'_>) -> Result<Arc<Conversion>, ConvertError> {
        let key = (rules.regex.to_owned(), rules.chain.to_owned());
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return known.clone();
        }
        let made = rules.compile().map(Arc::new);
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(key, made.clone());
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiled_once_and_bounded() {
        let conversions = Conversions::default();
        let of = |chain: &str| conversions.of(Rules { regex: "(.{4})", chain });
        assert!(Arc::ptr_eq(&of("hex2dec").unwrap(), &of("hex2dec").unwrap()));
        assert!(matches!(of("hexdec"), Err(ConvertError::Chain(_))));
        for length in 1..=100 {
            of(&format!("pad({length})")).unwrap();
        }
        assert!(conversions.0.read().unwrap().len() <= MOST);
        assert_eq!(of("pad(6)").unwrap().convert(Some("47110815"), None).unwrap().reveal(), "004711");
    }
}
