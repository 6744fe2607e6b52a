//! The kit tried with a driver small enough to be seen through.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{fs, path::Path};

use cardinal_domain::bytes_text;
use cardinal_sdk::prelude::*;
use cardinal_testkit::{
    Component, Native, check, cut, feed, replay,
    trace::{Outcome, Trace},
};
use proptest::prelude::*;

/// Every line is a card with a prefix; `save` works between lines only; a `!` is a fault; `=` and what follows is
/// remembered, and told on `resumed`.
struct Toy {
    prefix: String,
    line: Vec<u8>,
    mark: Option<Vec<u8>>,
}

impl Driver for Toy {
    fn manifest() -> Manifest {
        Manifest::new("test", "toy", "1.0.0", "A toy").mode(
            Mode::new("toy", "Toy", "For tests.")
                .transport(Transport::Dial(1))
                .setting(Setting::text("prefix").default("N")),
        )
    }

    fn open(context: Context) -> Result<Self, Fault> {
        let prefix = Settings::of(&context).text("prefix")?.to_owned();
        let mark = context.memory.into_iter().find(|(key, _)| key == "mark").map(|(_, bytes)| bytes);
        if prefix.is_empty() {
            Err(Fault::new("bad", "no prefix"))
        } else {
            Ok(Self { prefix, line: Vec::new(), mark })
        }
    }

    fn handle(&mut self, _: Millis, input: Input, out: &mut Outputs) -> Result<(), Fault> {
        if let (Input::Resumed, Some(mark)) = (&input, &self.mark) {
            out.log("info", String::from_utf8_lossy(mark));
        }
        let Input::Received(bytes) = input else { return Ok(()) };
        if let Some(mark) = bytes.strip_prefix(b"=") {
            out.remember("mark", mark);
            return Ok(());
        }
        for byte in bytes {
            match byte {
                b'!' => return Err(Fault::new("shouted", "no need to shout")),
                b'?' => out.log("loud", "not a level"),
                b'\n' => {
                    let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
                    out.card(Card::new(1).number(format!("{}{line}", self.prefix)));
                }
                byte => self.line.push(byte),
            }
        }
        Ok(())
    }

    fn save(&self) -> Option<Vec<u8>> {
        self.line.is_empty().then(Vec::new)
    }
}

const TOY: Native<Toy> = Native::new();
const RIGHT: &str = r#"# A toy.
driver test/toy
mode toy
transport dial

@0 connected
@1 received "1\n2"
  > card 1 number="N1"
@2 save
  ! not-now
# Behind a comment.
@3 received "\n"
  > card 1 number="N2"
@4 save
@5 received "!"
  ! fault shouted "no need to shout"
"#;

fn check_text(text: &str, bless: bool) -> (Result<(), String>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.trace");
    fs::write(&path, text).unwrap();
    let result = check(&TOY, folder.path(), bless);
    let shown =
        |error: cardinal_testkit::CheckFailed| error.to_string().replace(&format!("{}/", folder.path().display()), "");
    (result.map_err(shown), fs::read_to_string(&path).unwrap())
}

#[test]
fn a_right_trace_passes() {
    assert_eq!(check_text(RIGHT, false).0, Ok(()));
}

#[test]
fn the_first_difference_is_shown_at_its_line() {
    let shown = |from: &str, to: &str| check_text(&RIGHT.replace(from, to), false).0.unwrap_err();
    assert_eq!(
        shown("N2", "N3"),
        "a.trace:13: natively, after\n      @3 received \"\\n\"\n    expected: > card 1 number=\"N3\"\n    got:      > card 1 number=\"N2\""
    );
    assert_eq!(
        shown("  > card 1 number=\"N1\"\n", ""),
        "a.trace:7: natively, after\n      @1 received \"1\\n2\"\n    expected: nothing more\n    got:      > card 1 number=\"N1\""
    );
    assert!(shown("  ! not-now\n", "").contains("expected: nothing more\n    got:      ! not-now"));
    assert!(
        shown("transport dial", "transport dial\nsetting prefix = ''")
            .contains("a.trace:1: natively, after\n      open")
    );
}

#[test]
fn blessing_writes_what_differs_and_leaves_the_rest() {
    let wrong =
        RIGHT.replace("  > card 1 number=\"N2\"\n", "  > send \"x\"\n  > send \"y\"\n").replace("  ! not-now\n", "");
    assert_eq!(check_text(&wrong, true), (Ok(()), RIGHT.to_owned()));
}

#[test]
fn a_trace_for_another_driver_is_refused() {
    let unfit = |from: &str, to: &str| check_text(&RIGHT.replace(from, to), false).0.unwrap_err();
    assert!(unfit("test/toy", "test/other").contains("it is for \"test/other\", this is \"test/toy\""));
    assert!(unfit("mode toy", "mode boy").contains("there is no mode \"boy\"; there are: toy"));
    assert!(unfit("transport dial", "transport http").contains("mode \"toy\" has no transport \"http\""));
    assert!(unfit("mode toy", "mode toy\nsetting prefx = 'A'").contains("did you mean \"prefix\"?"));
    assert!(unfit("@0 connected", "@0 conected").starts_with("a.trace: line 6: `conected` is no input"));
}

#[test]
fn a_broken_driver_is_told_and_never_blessed() {
    let text = "mode toy\ntransport dial\n@0 received '?'\n";
    let answered = replay(&Trace::parse(text).unwrap(), &TOY).unwrap();
    let why = "\"loud\" is no log level; there are debug, info, warn, error";
    assert_eq!(answered.steps[0].outcome, Outcome::Broken(why.to_owned()));
    for bless in [false, true] {
        let (result, after) = check_text(text, bless);
        assert!(result.unwrap_err().contains("got:      ! broken '\"loud\""));
        assert_eq!(after, text);
    }
    assert_eq!(check_text(&format!("{text}  ! broken 'so it is'\n"), false).0, Ok(()));
}

#[test]
fn a_session_that_ends_too_early_is_not_blessed_whatever_differs_before() {
    let text = "mode toy\ntransport dial\n@0 received \"1\\n\"\n@1 received \"END\"\n@2 received \"2\"\n";
    for end in ["?", "!"] {
        let text = text.replace("END", end);
        let (result, after) = check_text(&text, true);
        assert!(result.unwrap_err().contains("got:      > card 1"), "the first difference is told");
        assert_eq!(after, text);
    }
}

#[test]
fn what_was_remembered_is_told_to_the_instance_that_goes_on() {
    let text = r#"mode toy
transport dial
memory "mark" "old"

@0 received "=new"
  > remember "mark" "new"
@1 save
  > log info "new"
@2 received "="
  > remember "mark" ""
@3 save
"#;
    assert_eq!(check_text(text, false).0, Ok(()));
}

#[test]
fn what_is_not_there_is_said() {
    let folder = tempfile::tempdir().unwrap();
    assert!(check(&TOY, folder.path(), false).unwrap_err().to_string().ends_with("has no file that ends in .trace"));
    let absent = Component::load(Path::new("/nowhere/toy.wasm")).unwrap_err().to_string();
    assert!(absent.contains("there is no component /nowhere/toy.wasm; run `cargo xtask drivers` first"), "{absent}");
}

#[test]
fn a_fault_ends_a_feed() {
    assert!(feed(&TOY, "mode toy\ntransport dial", &[b"1\n!"], false).is_err());
}

proptest! {
    #[test]
    fn pieces_make_the_whole(bytes: Vec<u8>, places: Vec<usize>) {
        let pieces = cut(&bytes, &places);
        prop_assert_eq!(pieces.len(), places.len() + 1);
        prop_assert_eq!(pieces.concat(), bytes);
    }

    /// The SDK carries its own reader of escapes, because a driver must not depend on the host.
    #[test]
    fn drivers_and_host_read_escapes_alike(text in "(\\\\[rnt0\\\\\"xq]|[0-9a-fé\\\\ ]){0,12}") {
        prop_assert_eq!(cardinal_sdk::bytes_of(&text).ok(), bytes_text::parse(&text).ok());
    }

    #[test]
    fn drivers_and_host_write_escapes_alike(bytes: Vec<u8>) {
        prop_assert_eq!(cardinal_sdk::text_of(&bytes), bytes_text::format(&bytes));
    }
}
