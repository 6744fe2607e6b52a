//! The process with the terminals: what it is told, and what it answers.

use std::{
    io::{BufRead as _, Write as _},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::sync::mpsc;

use super::{Answer, Order, card, load};
use crate::{field::Field, limits};

/// Serves so many terminals until standard input ends.
pub(crate) async fn serve(count: usize) -> Result<()> {
    limits::open_many();
    let mut field = Field::new(count)?;
    say(&Answer::Listening { port: field.port() })?;
    let mut orders = orders();
    while let Some(order) = orders.recv().await {
        let done = match order {
            Order::Connected { count, limit_s } => {
                let connected = field.so_many_connected(count, Duration::from_secs(limit_s)).await;
                connected.map(|()| Answer::Connected)
            }
            Order::Load { rate, terminals } => {
                load::run(&mut field, rate, terminals, &mut orders).await.map(Answer::Loaded)
            }
            Order::Pairs { count, of } => pairs(&mut field, count, of).await.map(Answer::Paired),
            // Of a load that has failed, which was answered.
            Order::End => continue,
        };
        say(&done.unwrap_or_else(|error| Answer::Failed(format!("{error:#}"))))?;
    }
    Ok(())
}

/// What is told on standard input, which is read by a thread: reading it waits.
fn orders() -> mpsc::UnboundedReceiver<Order> {
    let (tell, told) = mpsc::unbounded_channel();
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            match serde_json::from_str(&line) {
                Ok(order) => {
                    if tell.send(order).is_err() {
                        return;
                    }
                }
                Err(error) => eprintln!("the terminals were told something that they do not know: {error}"),
            }
        }
    });
    told
}

fn say(answer: &Answer) -> Result<()> {
    let line = serde_json::to_string(answer)? + "\n";
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).context("nobody listens to the terminals")
}

async fn pairs(field: &mut Field, count: usize, of: usize) -> Result<Vec<(f64, f64)>> {
    let mut pairs = Vec::with_capacity(count);
    for pair in 0..count {
        let terminal = pair * of / count;
        let mut took = [0.0; 2];
        for took in &mut took {
            field.shows(terminal, &card(terminal).to_string()).await?;
            let verdict = field.verdict().await.with_context(|| format!("at terminal {terminal}"))?;
            *took = verdict.as_secs_f64() * 1e6;
        }
        let [first, second] = took;
        pairs.push((first, second));
    }
    Ok(pairs)
}
