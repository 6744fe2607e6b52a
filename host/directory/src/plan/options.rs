//! What a sync may do, from the config keys.

use std::collections::BTreeMap;

use cardinal_domain::{
    config_keys::{is_on, value},
    convert::Pattern,
    sync::Threshold,
};

/// What a sync may do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Update full name, address, department, office and the rest where they differ.
    pub update_details: bool,
    /// Update cards where they differ.
    pub update_cards: bool,
    /// Add users that are new.
    pub add: bool,
    /// Remove users and groups that are in no source any more. Never at night.
    pub remove: bool,
    /// Users that were made here belong to the source that has their name.
    pub take_over: bool,
    /// An empty card field takes the card away.
    pub clear_blank_cards: bool,
    /// What picks the number out of the primary card field.
    pub card_pattern: Option<Pattern>,
    /// And out of the secondary one.
    pub second_card_pattern: Option<Pattern>,
    /// What is too much to pass without a word.
    pub limits: Limits,
}

/// How much of each passes without a word.
pub type Limits = BTreeMap<Threshold, Limit>;

/// More than this of something is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How many.
    pub most: u64,
    /// And what part of all, in percent.
    pub most_percent: u64,
}

impl Options {
    /// Those of a site's config keys. `remove`: the run is a manual one that may remove.
    pub fn of(config: &BTreeMap<String, String>, remove: bool) -> Self {
        let pattern =
            |key| Some(value(config, key)).filter(|text| !text.is_empty()).and_then(|text| Pattern::new(text).ok());
        let number = |key: &str| value(config, key).parse().unwrap_or_default();
        let limit = |what, key: &str| {
            let key = format!("user-source.limit.{key}");
            (what, Limit { most: number(&key), most_percent: number(&format!("{key}-percent")) })
        };
        Self {
            update_details: is_on(config, "user-source.update-user-details"),
            update_cards: is_on(config, "user-source.update-user-details-card-id"),
            add: true,
            remove,
            take_over: is_on(config, "user-source.take-over-local-users"),
            clear_blank_cards: is_on(config, "user-source.clear-blank-cards"),
            card_pattern: pattern("user-source.card-no-regex"),
            second_card_pattern: pattern("user-source.second-card-no-regex"),
            limits: Limits::from([
                limit(Threshold::Removals, "removals"),
                limit(Threshold::LostMemberships, "lost-memberships"),
                limit(Threshold::ChangedCards, "changed-cards"),
            ]),
        }
    }

    /// Those of the nightly run: it never removes anybody.
    pub fn nightly(config: &BTreeMap<String, String>) -> Self {
        Self { add: is_on(config, "user-source.import-new-users"), ..Self::of(config, false) }
    }
}
