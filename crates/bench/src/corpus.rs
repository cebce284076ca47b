//! A market made up from a seed: listings whose words are as common as words are, and queries about them.

use haggle_base::{AgentKey, Did, List, NetworkId, Record, RecordError, Signed, Text, Timestamp, Usdc};
use haggle_catalog::{EscrowTerms, Figures, ListingBody, PricingModel, Sla, Standing};
use std::collections::HashMap;
use std::time::Duration;

/// Different words.
const WORDS: usize = 20_000;
/// Words of a description.
const LENGTH: usize = 60;
/// Life of the listings.
const TTL: Duration = Duration::from_secs(7 * 24 * 3600);
/// Categories.
const CATEGORIES: u64 = 40;
/// Prices reach from this to thirty times as much.
const LEAST_PRICE: u64 = 10_000;
/// Ranks of the more common word of a query, and of the rarer one.
const RANKS: [std::ops::Range<u64>; 2] = [20..500, 200..8000];

/// Numbers that look random and follow from a seed (splitmix64, Steele et al. 2014).
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number of a range.
    pub const fn of(&mut self, range: &std::ops::Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }
}

/// A listing in plain words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain {
    /// Title.
    pub title: String,
    /// Description.
    pub description: String,
    /// Price in base units.
    pub price: u64,
    category: String,
}

/// A query about the market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Two words, the more common one first.
    pub words: [String; 2],
    /// Prices, both ends included.
    pub prices: (u64, u64),
}

/// The market of a seed.
#[derive(Debug)]
pub struct Corpus {
    seed: u64,
    /// Where each word's share of a million million ends.
    shares: Vec<u64>,
}

impl Corpus {
    /// Every market of a seed is the same.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut sum = 0;
        let weights = (1..=WORDS as u64).map(|rank| 1_000_000_000_000 / rank);
        let shares = weights.map(|weight| {
            sum += weight;
            sum
        });
        Self { seed, shares: shares.collect() }
    }

    /// Listing `number`.
    #[must_use]
    pub fn plain(&self, number: u64) -> Plain {
        let mut dice = Dice::new(self.seed ^ number.wrapping_mul(0x0100_0000_01B3));
        let mut words = |count: usize| {
            let words: Vec<String> = (0..count).map(|_| self.word(&mut dice)).collect();
            words.join(" ")
        };
        let (title, description) = (words(4), words(LENGTH));
        let price = dice.of(&(LEAST_PRICE..LEAST_PRICE * 30));
        Plain { title, description, price, category: format!("category-{}", dice.next() % CATEGORIES) }
    }

    /// The category of listing `number`.
    #[must_use]
    pub fn category(&self, number: u64) -> String {
        self.plain(number).category
    }

    fn word(&self, dice: &mut Dice) -> String {
        let total = self.shares.last().copied().unwrap_or(1);
        let at = dice.of(&(0..total));
        word(self.shares.partition_point(|end| *end <= at) as u64)
    }

    /// Who wrote listing `number`: each has another author.
    #[must_use]
    pub fn author(&self, number: u64) -> AgentKey {
        let mut dice = Dice::new(self.seed.rotate_left(32) ^ number);
        let mut secret = [0; 32];
        secret.chunks_mut(8).for_each(|part| part.copy_from_slice(&dice.next().to_be_bytes()));
        AgentKey::from_bytes(&secret)
    }

    /// Listing `number`, signed.
    ///
    /// # Errors
    /// Never: what is made up here is within the bounds of a listing.
    pub fn signed(&self, number: u64, network: &NetworkId, now: Timestamp) -> Result<Vec<u8>, RecordError> {
        self.signed_dearer(number, 0, network, now)
    }

    /// Listing `number` at a price so many units above its first one, signed.
    ///
    /// # Errors
    /// Never: what is made up here is within the bounds of a listing.
    pub fn signed_dearer(
        &self,
        number: u64,
        by: u64,
        network: &NetworkId,
        now: Timestamp,
    ) -> Result<Vec<u8>, RecordError> {
        let plain = self.plain(number);
        let body = ListingBody {
            title: bounded(&plain.title),
            description: bounded(&plain.description),
            skill: bounded("made-up"),
            category: bounded(&plain.category),
            tags: List::default(),
            input_schema: None,
            output_schema: None,
            pricing: PricingModel::PerCall,
            price: Usdc::from_units(plain.price.saturating_add(by)),
            sla: Sla { deliver_within_secs: 60 },
            schemes: schemes(),
            escrow: Some(EscrowTerms { review_secs: 3600 }),
            regions: List::default(),
        };
        let record = Record::new(network.clone(), bounded("listing/made-up"), now, TTL, body);
        Ok(Signed::sign(&record, &self.author(number))?.bytes().to_vec())
    }

    /// So many queries.
    #[must_use]
    pub fn queries(&self, count: usize) -> Vec<Asked> {
        let mut dice = Dice::new(self.seed.rotate_left(7));
        let mut ask = || {
            let words = RANKS.each_ref().map(|ranks| word(dice.of(ranks)));
            let least = dice.of(&(LEAST_PRICE..LEAST_PRICE * 15));
            Asked { words, prices: (least, least + LEAST_PRICE * 15) }
        };
        (0..count).map(|_| ask()).collect()
    }
}

/// The word of this rank, the most common one first.
fn word(mut rank: u64) -> String {
    let mut text = String::from("w");
    loop {
        text.push(char::from(b'a' + (rank % 26) as u8));
        rank /= 26;
        if rank == 0 {
            return text;
        }
    }
}

fn schemes() -> List<Text<32>, 8> {
    let mut schemes = List::default();
    let _always_fits = schemes.push(bounded("haggle-escrow"));
    schemes
}

fn bounded<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::try_from(text).unwrap_or_default()
}

/// Authors who paid for nothing, some of whom have a past.
#[derive(Debug, Default)]
pub struct Past(HashMap<Did, Figures>);

impl Past {
    /// Every second author of the first `count` listings has been dealt with.
    #[must_use]
    pub fn of(corpus: &Corpus, count: u64) -> Self {
        let figures = |number: u64| Figures {
            attestations: number % 50 + 1,
            total_calls: number % 50 + 1,
            successes: number % 40,
            net: 0,
            avg_response_ms: Some(number % 900),
            uptime: (number % 2) as f64,
            trust_score: (number % 100) as f64 / 100.0,
        };
        let dealt_with = (0..count).step_by(2);
        Self(dealt_with.map(|number| (corpus.author(number).did(), figures(number))).collect())
    }
}

impl Standing for Past {
    fn figures(&self, agent: &Did) -> Figures {
        self.0.get(agent).copied().unwrap_or_default()
    }

    fn version(&self) -> Option<u64> {
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_seed_makes_one_market_of_different_listings_by_different_authors() {
        let (corpus, same, other) = (Corpus::new(7), Corpus::new(7), Corpus::new(8));
        assert_eq!(corpus.plain(3), same.plain(3));
        assert_ne!(corpus.plain(3), other.plain(3));
        let titles: BTreeSet<String> = (0..100).map(|number| corpus.plain(number).title).collect();
        let authors: BTreeSet<Did> = (0..100).map(|number| corpus.author(number).did()).collect();
        assert_eq!((titles.len(), authors.len()), (100, 100));
        let network: NetworkId = "devnet-7/1".parse().unwrap();
        let bytes = corpus.signed(3, &network, Timestamp::from_secs(1_795_000_000)).unwrap();
        assert!((500..1500).contains(&bytes.len()), "{} bytes", bytes.len());
    }

    #[test]
    fn common_words_are_common() {
        let corpus = Corpus::new(7);
        let having = |rank| {
            let wanted = word(rank);
            (0..500).filter(|number| corpus.plain(*number).description.split(' ').any(|word| word == wanted)).count()
        };
        let (common, middling, rare) = (having(0), having(40), having(5000));
        assert!(common > 400 && common > middling && middling > rare, "{common} {middling} {rare}");
        assert_eq!(corpus.queries(5), corpus.queries(5));
    }
}
