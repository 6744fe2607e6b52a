//! What a person types, line by line.

use std::io::stdin;
use std::thread;

use tokio::sync::mpsc;

/// The lines of standard input, without their ends; the channel closes with the input.
///
/// A thread of its own reads them: one of the async runtime's would keep the program from ending until the next line.
pub fn lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    thread::spawn(move || {
        for line in stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}
