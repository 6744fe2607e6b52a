//! Which version of a driver a reader gets: the one it names, else the chosen one, else the newest. Pure.
//!
//! A version that is installed and may not run keeps its place: nobody is moved to another one because of that.

use std::collections::BTreeMap;

use cardinal_domain::{nearest::nearest, site::DriverRef};
use cardinal_store::DriverVersions;

/// `major.minor.patch`, ordered as such.
pub type Number = (u64, u64, u64);

/// The versions of all drivers; `D` is what runs one.
pub struct Versions<D> {
    /// By `vendor/name`, then by version. Err: why it is not run.
    of: BTreeMap<String, BTreeMap<Number, Result<D, String>>>,
    /// What was chosen, by `vendor/name`.
    choices: DriverVersions,
}

impl<D> Default for Versions<D> {
    fn default() -> Self {
        Self { of: BTreeMap::new(), choices: DriverVersions::new() }
    }
}

impl<D: Clone> Versions<D> {
    /// Takes the choices that the store has.
    pub fn set_choices(&mut self, choices: DriverVersions) {
        self.choices = choices;
    }

    /// Adds a version, or puts it in another state.
    pub fn put(&mut self, id: &str, version: &str, state: Result<D, String>) {
        self.of.entry(id.to_owned()).or_default().insert(number(version), state);
    }

    /// Takes a version out, and the choice of it.
    pub fn remove(&mut self, id: &str, version: &str) {
        if let Some(versions) = self.of.get_mut(id) {
            versions.remove(&number(version));
            if versions.is_empty() {
                self.of.remove(id);
            }
        }
        if self.choices.get(id).is_some_and(|chosen| chosen == version) {
            self.choices.remove(id);
        }
    }

    /// Makes this version the one of readers that name none.
    pub fn choose(&mut self, id: &str, version: &str) {
        self.choices.insert(id.to_owned(), version.to_owned());
    }

    /// The version of readers that name none: what was chosen, or the newest installed.
    pub fn chosen(&self, id: &str) -> Option<String> {
        let newest = || self.of.get(id)?.keys().next_back().map(|number| text(*number));
        self.choices.get(id).cloned().or_else(newest)
    }

    /// What runs the versions that may run.
    pub fn all(&self) -> impl Iterator<Item = &D> {
        self.of.values().flat_map(BTreeMap::values).filter_map(|state| state.as_ref().ok())
    }

    /// How a version is: none where it is not installed, else what runs it, or why it is not run.
    pub fn state(&self, id: &str, version: &str) -> Option<&Result<D, String>> {
        self.of.get(id)?.get(&number(version))
    }

    /// What runs a reader that names this driver.
    ///
    /// # Errors
    /// What is installed instead, or why it is not run, in words for the administrator.
    pub fn find(&self, wanted: &DriverRef) -> Result<D, String> {
        let id = wanted.id.as_str();
        let versions = self.of.get(id).ok_or_else(|| {
            let known: Vec<_> = self.of.keys().map(String::as_str).collect();
            let near = nearest(id, &known);
            format!("driver {id} is not installed{near}; install it with `cardinal driver install FILE`")
        })?;
        let version = wanted.version.clone().or_else(|| self.chosen(id)).unwrap_or_default();
        match versions.get(&number(&version)) {
            Some(Ok(driver)) => Ok(driver.clone()),
            Some(Err(why)) => Err(format!("driver {id}@{version} is installed and not run: {why}")),
            None => {
                let known: Vec<_> = versions.keys().map(|number| text(*number)).collect();
                Err(format!("driver {id}@{version} is not installed; installed versions: {}", known.join(", ")))
            }
        }
    }
}

/// A version as numbers. Those of installed drivers are three numbers, the runtime has checked it; whatever else somebody
/// may have written is none of theirs.
pub fn number(text: &str) -> Number {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(u64::MAX));
    let mut part = || parts.next().unwrap_or(u64::MAX);
    let number = (part(), part(), part());
    // There is one way to write a version: what is compared as text elsewhere must not be two.
    if self::text(number) == text { number } else { (u64::MAX, u64::MAX, u64::MAX) }
}

fn text((major, minor, patch): Number) -> String {
    format!("{major}.{minor}.{patch}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(versions: &Versions<&'static str>, wanted: &str) -> Result<&'static str, String> {
        versions.find(&DriverRef::try_from(wanted.to_owned()).unwrap())
    }

    fn of(all: &[(&str, &'static str)]) -> Versions<&'static str> {
        let mut versions = Versions::default();
        for (version, driver) in all {
            versions.put("acme/x", version, Ok(*driver));
        }
        versions
    }

    #[test]
    fn a_reader_gets_what_it_names_then_what_was_chosen_then_the_newest() {
        let mut versions = of(&[("1.9.0", "old"), ("1.10.0", "new")]);
        assert_eq!(versions.chosen("acme/x").as_deref(), Some("1.10.0"));
        assert_eq!(find(&versions, "acme/x"), Ok("new"));
        assert_eq!(find(&versions, "acme/x@1.9.0"), Ok("old"));
        versions.choose("acme/x", "1.9.0");
        assert_eq!((find(&versions, "acme/x"), find(&versions, "acme/x@1.10.0")), (Ok("old"), Ok("new")));
        versions.remove("acme/x", "1.9.0");
        assert_eq!(find(&versions, "acme/x"), Ok("new"));
    }

    #[test]
    fn nobody_is_moved_by_a_version_that_is_not_run() {
        let mut versions = of(&[("1.0.0", "old"), ("1.1.0", "new")]);
        versions.put("acme/x", "1.1.0", Err("its publisher was withdrawn".to_owned()));
        let why = find(&versions, "acme/x").unwrap_err();
        assert_eq!(why, "driver acme/x@1.1.0 is installed and not run: its publisher was withdrawn");
        versions.choose("acme/x", "1.2.0");
        let why = find(&versions, "acme/x").unwrap_err();
        assert!(why.contains("acme/x@1.2.0 is not installed; installed versions: 1.0.0, 1.1.0"), "{why}");
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let versions = of(&[("1.0.0", "it")]);
        assert!(find(&versions, "acme/y").unwrap_err().contains("did you mean \"acme/x\"?"));
        for wrong in ["acme/x@1.0", "acme/x@1.0.0.0", "acme/x@latest", "acme/x@1.0.x", "acme/x@01.0.0", "acme/x@+1.0.0"]
        {
            assert!(find(&versions, wrong).unwrap_err().contains("installed versions: 1.0.0"), "{wrong}");
        }
    }
}
