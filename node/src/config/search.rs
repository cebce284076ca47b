//! How searches order what they find.

use haggle_catalog::{Weight, Weights};
use serde::{Deserialize, Serialize};

/// What the parts of the combined order weigh. Only how they stand to each other matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Search {
    /// The trust score of the seller.
    pub reputation_weight: Weight,
    /// What one success costs.
    pub cost_weight: Weight,
    /// How fast the seller answers, and whether it could be reached lately.
    pub speed_weight: Weight,
}

impl Default for Search {
    fn default() -> Self {
        let weight = |millionths| Weight::from_millionths(millionths).unwrap_or(Weight::ONE);
        Self { reputation_weight: weight(300_000), cost_weight: weight(400_000), speed_weight: weight(300_000) }
    }
}

impl Search {
    /// The weights for the catalog.
    pub(crate) fn weights(&self) -> Weights {
        self.given().unwrap_or_default()
    }

    /// None if nothing weighs anything.
    const fn given(&self) -> Option<Weights> {
        Weights::new(self.reputation_weight, self.cost_weight, self.speed_weight)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let unweighed = "search.reputation_weight, search.cost_weight and search.speed_weight: one at least is above 0";
        self.given().map(|_| ()).ok_or_else(|| unweighed.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_defaults_are_the_owners_weights() {
        assert_eq!(Search::default().weights(), Weights::default());
    }

    #[test]
    fn weights_are_numbers_from_nought_to_one_and_not_all_nought() {
        let read = |text: &str| {
            let config: Config = toml::from_str(&format!("[search]\n{text}\n")).map_err(|error| error.to_string())?;
            config.search.check().map(|()| config.search)
        };
        assert_eq!(read("reputation_weight = 0.3").unwrap(), Search::default());
        assert_eq!(read("speed_weight = 0").unwrap().speed_weight, Weight::ZERO);
        let doubled = read("reputation_weight = \"0.6\"\ncost_weight = \"0.8\"\nspeed_weight = \"0.6\"").unwrap();
        assert_eq!(doubled.weights(), Weights::default(), "only how they stand to each other matters");
        for wrong in ["1.1", "-0.1", "nan", "\"much\"", "true"] {
            let told = read(&format!("cost_weight = {wrong}")).unwrap_err();
            assert!(told.contains("from 0 to 1"), "{wrong}: {told}");
        }
        let told = read("reputation_weight = 0\ncost_weight = 0\nspeed_weight = 0").unwrap_err();
        assert!(told.contains("search.cost_weight"), "{told}");
        assert!(read("weight = 1").is_err(), "no such key");
    }
}
