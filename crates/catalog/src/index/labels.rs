//! The words that listings are sorted into drawers by, each with a number, so that a row names them in a few bytes.

use std::{collections::HashMap, sync::Arc};

use crate::body::ListingBody;

use super::query::EVERYWHERE;

/// Labels known at once of each kind that a listing may have several of: others are not counted while there are so many.
/// Categories and skills are as many as listings at most.
const MAX_LABELS: usize = 1 << 18;

/// What a label says of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drawer {
    Category,
    Tag,
    Skill,
    Region,
    Scheme,
}

impl Drawer {
    /// Number of drawers.
    pub(super) const COUNT: usize = 5;

    /// Its place among them.
    pub(super) const fn at(self) -> usize {
        match self {
            Self::Category => 0,
            Self::Tag => 1,
            Self::Skill => 2,
            Self::Region => 3,
            Self::Scheme => 4,
        }
    }
}

/// The labels of all rows. One that no row has any more is forgotten, and its number given to another.
#[derive(Debug, Default)]
pub(super) struct Labels {
    known: Vec<Label>,
    numbers: [HashMap<Arc<str>, u32>; Drawer::COUNT],
    free: Vec<u32>,
}

#[derive(Debug)]
struct Label {
    drawer: Drawer,
    text: Arc<str>,
    /// Rows that have it.
    rows: u32,
}

impl Labels {
    /// The labels of a new row.
    pub(super) fn take_all(&mut self, body: &ListingBody) -> Box<[u32]> {
        let room = 3 + body.tags.len() + body.regions.len() + body.schemes.len();
        let mut taken = Vec::with_capacity(room);
        let mut add = |drawer, text: &str| {
            let Some(number) = self.number(drawer, text) else { return };
            // A record may name a region twice.
            if !taken.contains(&number)
                && let Some(label) = self.known.get_mut(number as usize)
            {
                label.rows += 1;
                taken.push(number);
            }
        };
        add(Drawer::Category, &body.category);
        add(Drawer::Skill, &body.skill);
        body.tags.iter().for_each(|tag| add(Drawer::Tag, tag));
        body.schemes.iter().for_each(|scheme| add(Drawer::Scheme, scheme));
        if body.regions.is_empty() {
            add(Drawer::Region, EVERYWHERE);
        }
        body.regions.iter().for_each(|region| add(Drawer::Region, region));
        taken.into_boxed_slice()
    }

    /// A row gives its labels up.
    pub(super) fn give_back(&mut self, taken: &[u32]) {
        for number in taken {
            let Some(label) = self.known.get_mut(*number as usize) else { continue };
            label.rows = label.rows.saturating_sub(1);
            if label.rows == 0 {
                let text = std::mem::take(&mut label.text);
                self.numbers[label.drawer.at()].remove(&text);
                self.free.push(*number);
            }
        }
    }

    /// The number of a label that some row has.
    pub(super) fn number_of(&self, drawer: Drawer, text: &str) -> Option<u32> {
        self.numbers[drawer.at()].get(text).copied()
    }

    /// How many numbers have been given.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// What a number stands for.
    pub(super) fn get(&self, number: usize) -> Option<(Drawer, &str)> {
        self.known.get(number).filter(|label| label.rows > 0).map(|label| (label.drawer, &*label.text))
    }

    /// The number of a label, a new one if it has none; `None` if there are too many.
    fn number(&mut self, drawer: Drawer, text: &str) -> Option<u32> {
        if let Some(number) = self.number_of(drawer, text) {
            return Some(number);
        }
        let is_bounded = matches!(drawer, Drawer::Tag | Drawer::Region | Drawer::Scheme);
        if is_bounded && self.numbers[drawer.at()].len() >= MAX_LABELS {
            return None;
        }
        let label = Label { drawer, text: text.into(), rows: 0 };
        let name = Arc::clone(&label.text);
        let number = match self.free.pop() {
            Some(number) => {
                *self.known.get_mut(number as usize)? = label;
                number
            }
            None => {
                let number = u32::try_from(self.known.len()).ok()?;
                self.known.push(label);
                number
            }
        };
        self.numbers[drawer.at()].insert(name, number);
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{list, listing, text};

    #[test]
    fn tags_without_end_are_not_counted_and_skills_always_are() {
        let mut labels = Labels::default();
        let mut body = listing("Digest", "text", "0.1");
        for number in 0..=MAX_LABELS / 16 {
            body.tags = list((0..16).map(|tag| text(&format!("{number}-{tag}"))).collect());
            labels.take_all(&body);
        }
        assert_eq!(labels.len(), MAX_LABELS + 4, "category, skill, region and scheme are there too");
        body.skill = text("another");
        assert_eq!(labels.take_all(&body).len(), 4);
        assert!(labels.number_of(Drawer::Skill, "another").is_some(), "searches are narrowed by it");
        body.tags = list(vec![text("0-0")]);
        assert_eq!(labels.take_all(&body).len(), 5, "what is known is counted on");
    }

    #[test]
    fn a_label_is_forgotten_with_its_last_row_and_its_number_used_again() {
        let mut labels = Labels::default();
        let mut body = listing("Digest", "text", "0.1");
        body.regions = list(vec![text("eu"), text("eu")]);
        let first = labels.take_all(&body);
        assert_eq!(first.len(), 6, "category, skill, two tags, scheme, and the region once");
        let second = labels.take_all(&body);
        assert_eq!((first.clone(), labels.len()), (second.clone(), 6));
        labels.give_back(&first);
        assert!(labels.number_of(Drawer::Region, "eu").is_some(), "the second row has it");
        labels.give_back(&second);
        assert_eq!(labels.number_of(Drawer::Region, "eu"), None);
        assert!((0..6).all(|number| labels.get(number).is_none()));
        body.category = text("data");
        let third = labels.take_all(&body);
        assert_eq!((third.len(), labels.len()), (6, 6));
        assert!(labels.number_of(Drawer::Category, "data").is_some());
        assert_eq!(labels.number_of(Drawer::Tag, "data"), None, "each drawer has its own");
    }
}
