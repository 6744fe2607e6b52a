//! A stream of bytes run through a driver in pieces, for property tests: where a stream is cut must not matter.

use cardinal_domain::{
    driver::{Input, Output},
    trace::{Event, Outcome, Step, Trace, TraceError},
};

use crate::{ReplayError, Subject, replay};

/// All outputs of a session that is opened as `opening` says (the lines of a trace before the first `@`), connected, and
/// given these pieces; with `saves`, it is saved and opened anew before each piece.
///
/// # Errors
/// An opening that does not fit the driver, a session that breaks, or one that ends in a fault.
pub fn feed(subject: &dyn Subject, opening: &str, pieces: &[&[u8]], saves: bool) -> Result<Vec<Output>, ReplayError> {
    let mut trace = Trace::parse(opening).map_err(|error: TraceError| ReplayError::Unfit(error.to_string()))?;
    let mut happens = |event| trace.steps.push(Step { line: 0, at: 0, event, outcome: Outcome::Outputs(Vec::new()) });
    happens(Event::Input(Input::Connected(vec![0; 32])));
    for piece in pieces {
        if saves {
            happens(Event::Save);
        }
        happens(Event::Input(Input::Received(piece.to_vec())));
    }
    let answered = replay(&trace, subject)?;
    if let Some(fault) = answered.refused {
        return Err(ReplayError::Broken(fault.to_string()));
    }
    let mut all = Vec::new();
    for step in answered.steps {
        match step.outcome {
            Outcome::Outputs(outputs) => all.extend(outputs),
            Outcome::Fault(fault) => return Err(ReplayError::Broken(fault.to_string())),
            Outcome::Broken(why) => return Err(ReplayError::Broken(why)),
            Outcome::NotNow | Outcome::Anything => {}
        }
    }
    Ok(all)
}

/// These bytes in pieces, cut at these places; a place beyond the end counts on from the beginning.
pub fn cut<'a>(bytes: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place % (bytes.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut rest = bytes;
    let mut done = 0;
    for place in places {
        let (piece, after) = rest.split_at_checked(place - done).unwrap_or((rest, &[]));
        pieces.push(piece);
        rest = after;
        done = place;
    }
    pieces.push(rest);
    pieces
}

/// The numbers of the cards among these outputs.
pub fn cards(outputs: &[Output]) -> Vec<&str> {
    outputs
        .iter()
        .filter_map(|output| match output {
            Output::Card(card) => card.number.as_deref(),
            _ => None,
        })
        .collect()
}
