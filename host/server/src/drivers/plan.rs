//! What installing a driver comes to, given what is installed. Pure.

use cardinal_domain::driver::Manifest;
use cardinal_store::{InstalledDriver, Origin};
use serde::{Deserialize, Serialize};

use super::versions::number;

/// What the operator asks for besides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Other bytes may take the place of the same version.
    pub replace: bool,
    /// A version below the highest there ever was is meant.
    pub older: bool,
}

/// What is there.
pub struct Present<'a> {
    /// The installed versions of this driver.
    pub installed: Vec<&'a InstalledDriver>,
    /// The highest version that ever was.
    pub highest: Option<String>,
    /// The version of readers that name none.
    pub chosen: Option<String>,
    /// Whether the same version is installed and may run.
    pub runs: bool,
}

/// What installing a driver does, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "does", rename_all = "kebab-case")]
pub enum Outcome {
    /// It is the first version.
    New,
    /// It is one more version. `stay`: readers that name none stay with that one; none: they take this one.
    Beside { others: Vec<String>, stay: Option<String> },
    /// These very bytes are installed.
    Again,
    /// It takes the place of another file of the same version.
    Replace { digest: String },
    /// It is not installed.
    Refused { why: String },
}

impl Outcome {
    /// In words for an operator, of this driver.
    pub fn words(&self, id: &str, version: &str) -> String {
        match self {
            Self::New => "new on this host".to_owned(),
            Self::Beside { others, stay: None } => {
                format!("one more version beside {}; readers that name none take it", others.join(", "))
            }
            Self::Beside { others, stay: Some(stay) } => format!(
                "one more version beside {}; readers keep {stay}: `cardinal driver swap {id} --to {version}` moves them",
                others.join(", ")
            ),
            Self::Again => "this very file is installed already".to_owned(),
            Self::Replace { digest } => {
                format!("replaces the {id}@{version} with sha256 {}…", digest.get(..12).unwrap_or_default())
            }
            Self::Refused { why } => format!("refused: {why}"),
        }
    }
}

/// What becomes of this driver.
pub fn plan(manifest: &Manifest, digest: &str, origin: Origin, present: &Present<'_>, wishes: Wishes) -> Outcome {
    let (id, version) = (manifest.id(), manifest.version.as_str());
    let refused = |why: String| Outcome::Refused { why };
    if let Some(same) = present.installed.iter().find(|installed| installed.manifest.version == version) {
        let replace = || Outcome::Replace { digest: same.digest.clone() };
        return match (origin, same.origin) {
            _ if same.digest == digest => Outcome::Again,
            // The program's own drivers go with the program.
            (Origin::Bundled, Origin::Bundled) => replace(),
            (Origin::Bundled, Origin::Installed) if !present.runs => replace(),
            (Origin::Bundled, Origin::Installed) => refused(format!(
                "{id}@{version} was installed by an operator from another file, and stays; \
                 `cardinal driver remove {id}@{version}` makes room for the one that comes with the program"
            )),
            (Origin::Installed, Origin::Bundled) => refused(format!(
                "{id}@{version} comes with this program and cannot be replaced; build yours under another version"
            )),
            (Origin::Installed, Origin::Installed) if wishes.replace => replace(),
            (Origin::Installed, Origin::Installed) => refused(format!(
                "{id}@{version} is installed with other bytes (sha256 {}…, this file {}…), and a version is final; \
                 build yours under another version, or say --replace while you develop",
                same.digest.get(..12).unwrap_or_default(),
                digest.get(..12).unwrap_or_default()
            )),
        };
    }
    if let Some(highest) = present.highest.as_ref().filter(|highest| number(highest) > number(version))
        && origin == Origin::Installed
        && !wishes.older
    {
        return refused(format!(
            "{id}@{version} is older than {highest}, the newest that was ever installed here: a downgrade brings old faults \
             back; say --older if that is meant"
        ));
    }
    if present.installed.is_empty() {
        return Outcome::New;
    }
    let mut others: Vec<_> = present.installed.iter().map(|installed| installed.manifest.version.clone()).collect();
    others.sort_by_key(|version| number(version));
    // An operator moves readers on purpose; what comes with the program is meant to be taken up.
    let stay = present.chosen.clone().filter(|_| origin == Origin::Installed);
    Outcome::Beside { others, stay }
}

#[cfg(test)]
mod tests {
    use cardinal_domain::time::Timestamp;

    use super::*;

    fn manifest(version: &str) -> Manifest {
        Manifest {
            vendor: "acme".into(),
            name: "line".into(),
            version: version.into(),
            summary: String::new(),
            modes: Vec::new(),
        }
    }

    fn installed(version: &str, digest: &str, origin: Origin) -> InstalledDriver {
        InstalledDriver { digest: digest.into(), manifest: manifest(version), installed: Timestamp(1), origin }
    }

    fn present<'a>(installed: &'a [InstalledDriver], highest: &str, chosen: &str) -> Present<'a> {
        Present {
            installed: installed.iter().collect(),
            highest: Some(highest.to_owned()),
            chosen: Some(chosen.to_owned()),
            runs: true,
        }
    }

    fn why(outcome: Outcome) -> String {
        match outcome {
            Outcome::Refused { why } => why,
            other => panic!("{other:?}"),
        }
    }

    const NO: Wishes = Wishes { replace: false, older: false };

    #[test]
    fn a_further_version_moves_nobody_unless_it_comes_with_the_program() {
        let there = [installed("1.10.0", "bb", Origin::Installed), installed("1.9.0", "aa", Origin::Installed)];
        let there = present(&there, "1.10.0", "1.9.0");
        let outcome = plan(&manifest("2.0.0"), "cc", Origin::Installed, &there, NO);
        let others = vec!["1.9.0".to_owned(), "1.10.0".to_owned()];
        assert_eq!(outcome, Outcome::Beside { others: others.clone(), stay: Some("1.9.0".to_owned()) });
        assert!(outcome.words("acme/line", "2.0.0").contains("cardinal driver swap acme/line --to 2.0.0"));
        let outcome = plan(&manifest("2.0.0"), "cc", Origin::Bundled, &there, NO);
        assert_eq!(outcome, Outcome::Beside { others, stay: None });
        let nothing = Present { installed: Vec::new(), highest: None, chosen: None, runs: false };
        assert_eq!(plan(&manifest("1.0.0"), "aa", Origin::Installed, &nothing, NO), Outcome::New);
    }

    #[test]
    fn a_version_is_final() {
        let there = [installed("1.0.0", "aa", Origin::Installed)];
        let mut there = present(&there, "1.0.0", "1.0.0");
        let replaced = Outcome::Replace { digest: "aa".to_owned() };
        assert_eq!(plan(&manifest("1.0.0"), "aa", Origin::Installed, &there, NO), Outcome::Again);
        let refused = why(plan(&manifest("1.0.0"), "bb", Origin::Installed, &there, NO));
        assert!(refused.contains("a version is final") && refused.contains("--replace"), "{refused}");
        let replace = Wishes { replace: true, older: false };
        assert_eq!(plan(&manifest("1.0.0"), "bb", Origin::Installed, &there, replace), replaced);
        // What an operator installed stays, as long as it can be run.
        assert!(why(plan(&manifest("1.0.0"), "bb", Origin::Bundled, &there, NO)).contains("stays"));
        there.runs = false;
        assert_eq!(plan(&manifest("1.0.0"), "bb", Origin::Bundled, &there, NO), replaced);
        let there = [installed("1.0.0", "aa", Origin::Bundled)];
        let there = present(&there, "1.0.0", "1.0.0");
        let refused = why(plan(&manifest("1.0.0"), "bb", Origin::Installed, &there, replace));
        assert!(refused.contains("comes with this program"), "{refused}");
        assert_eq!(plan(&manifest("1.0.0"), "bb", Origin::Bundled, &there, NO), replaced);
    }

    #[test]
    fn a_downgrade_is_refused_with_both_versions_also_when_the_newest_was_removed() {
        let there = [installed("1.0.0", "aa", Origin::Installed)];
        let there = present(&there, "1.10.0", "1.0.0");
        let refused = why(plan(&manifest("1.9.0"), "bb", Origin::Installed, &there, NO));
        assert!(refused.contains("1.9.0 is older than 1.10.0") && refused.contains("--older"), "{refused}");
        let older = Wishes { replace: false, older: true };
        assert!(matches!(plan(&manifest("1.9.0"), "bb", Origin::Installed, &there, older), Outcome::Beside { .. }));
        assert!(matches!(plan(&manifest("1.9.0"), "bb", Origin::Bundled, &there, NO), Outcome::Beside { .. }));
        assert!(matches!(plan(&manifest("1.10.0"), "bb", Origin::Installed, &there, NO), Outcome::Beside { .. }));
    }
}
