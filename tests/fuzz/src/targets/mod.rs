//! The targets that stand on public parsers, a file each where there is more to it than a few lines.

mod driver;
mod generic;

use cardinal_domain::{
    bytes_text, card,
    convert::{Conversion, Pattern},
    driver::Bits,
    plan::plan,
    site::Site,
    strict_toml,
    trace::Trace,
};
use cardinal_runtime::{Bounds, inspect::inspect};

pub use self::{
    driver::{rfideas_241, saved_state, springcore},
    generic::generic,
};

/// The text in arbitrary bytes; targets that read text get all of it that is UTF-8.
fn text_of(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => bytes.get(..error.valid_up_to()).and_then(|valid| std::str::from_utf8(valid).ok()).unwrap_or(""),
    }
}

/// A site file: what can be read can be exported and read again as the same, and a site that stands changes nothing when it
/// is applied to itself.
pub fn site(bytes: &[u8]) {
    let site = match strict_toml::parse::<Site>(text_of(bytes)) {
        Ok(site) => site,
        Err(error) => {
            assert!(error.line >= 1, "{error}");
            return;
        }
    };
    let exported = toml::to_string(&site).expect("what was read can be written");
    assert_eq!(strict_toml::parse::<Site>(&exported).as_ref(), Ok(&site), "written as\n{exported}");
    let first = plan(&Site::default(), &site, true);
    if let Ok(plan) = &first {
        plan.lines.iter().for_each(|line| drop((line.to_string(), line.sentence())));
        let again = self::plan(&site, &site, true).expect("a site that can be applied can be applied again");
        assert!(again.changes.is_empty(), "{:?}", again.lines);
    }
}

/// A trace file: what can be read can be printed and read again as the same.
pub fn trace(bytes: &[u8]) {
    let Ok(trace) = Trace::parse(text_of(bytes)) else { return };
    let printed = trace.to_string();
    let mut again = Trace::parse(&printed).unwrap_or_else(|error| panic!("{error} in\n{printed}"));
    // Comments and blank lines are not kept.
    again.steps.iter_mut().zip(&trace.steps).for_each(|(step, first)| step.line = first.line);
    assert_eq!(again, trace, "printed as\n{printed}");
}

/// Bytes written as text.
pub fn bytes_text(bytes: &[u8]) {
    assert_eq!(bytes_text::parse(&bytes_text::format(bytes)).as_deref(), Ok(bytes));
    if let Ok(meant) = bytes_text::parse(text_of(bytes)) {
        assert_eq!(bytes_text::parse(&bytes_text::format(&meant)), Ok(meant));
    }
}

/// What a reader said (the first line; also as the bits that it is), the site's pattern and its chain of converters (the
/// second and the third line, if there are any).
pub fn card(bytes: &[u8]) {
    let text = text_of(bytes);
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (said, pattern, chain) = (line(), line(), line());
    let pattern = if pattern.is_empty() { None } else { Pattern::new(pattern).ok() };
    let Ok(conversion) = chain.parse().map(|chain| Conversion { pattern, chain }) else { return };
    let raw = Bits { data: said.as_bytes().to_vec(), length: u32::try_from(said.len() * 8).unwrap_or(u32::MAX) };
    let Ok(number) = conversion.convert(Some(said), Some(&raw)) else { return };
    let clear = number.reveal();
    assert!(!clear.is_empty() && clear.chars().count() <= card::LONGEST, "{clear:?}");
    assert!(clear.chars().all(char::is_alphanumeric), "{clear:?}");
    let shown = number.masked();
    assert!(shown.chars().filter(|c| *c != '*').count() <= 2, "{clear:?} is shown as {shown:?}");
}

/// A file that is to be installed as a driver, looked at before anything is compiled.
pub fn component(bytes: &[u8]) {
    if let Err(error) = inspect(bytes, &Bounds::default()) {
        assert!(!error.to_string().is_empty());
    }
}
