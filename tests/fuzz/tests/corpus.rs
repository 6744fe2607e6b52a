//! The corpus, without an engine: what once broke a parser, and what reaches deep into one, stays harmless.

use cardinal_fuzz::TARGETS;

#[test]
fn no_target_breaks_on_its_corpus() {
    for target in TARGETS {
        assert!(target.replay() > 0, "the corpus of {} is empty", target.name);
    }
}
