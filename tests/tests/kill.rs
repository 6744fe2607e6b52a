//! A host that is killed again and again loses nothing and prints nothing twice. Longer runs: `cargo xtask kill`.

use std::env;

use cardinal_tests::kill::{self, Options, history};

/// How often, where `CARDINAL_KILLS` does not say.
const KILLS: u32 = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_killed_at_any_moment_loses_nothing_and_prints_nothing_twice() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse().expect("a number"));
    let options = Options {
        times: number("CARDINAL_KILLS").map_or(KILLS, |kills| u32::try_from(kills).expect("a small number")),
        seed: number("CARDINAL_SEED").unwrap_or_else(rand::random),
        store_url: env::var("CARDINAL_STORE__URL").ok(),
        tells: false,
    };
    let (history, table) = kill::run(&options).await;
    let wrong = history::check(&history);
    assert!(wrong.is_empty(), "with CARDINAL_SEED={}:\n{}\n{table}", options.seed, wrong.join("\n"));
    // It was about something.
    assert!(table.kills_while("arriving") > 0 && table.kills_while("held") > 0, "{table}");
    assert!(!history.prints.is_empty(), "{table}");
    println!("{table}");
}
