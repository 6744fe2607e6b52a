//! What a row means, whoever wrote it: a file, or a program of an administrator. Pure.
//!
//! The order of columns is that of custom sync programs, as their public samples have it (PaperCutSoftware/
//! CustomSynAndAuthentication on GitHub, README, "List of user details"): the user name is mandatory, everything else may be
//! empty or absent.

use cardinal_domain::{names::folded, nearest::nearest};
use foldhash::{HashMap, HashSet};

use super::{
    census::{Census, Found, FoundGroup, Member},
    entries::add_addresses,
    ldap::entry::{LONGEST_VALUE, text},
};
use crate::snapshot::Person;

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Name,
    FullName,
    Email,
    Department,
    Office,
    Card,
    OtherEmails,
    SecondCard,
    Alias,
    Home,
    Pin,
    /// What stays when the name changes.
    Key,
    /// Names of groups, separated by `;`.
    Groups,
}

/// The columns of a custom program, in its order.
pub(crate) const IN_ORDER: &[Column] = &[
    Column::Name,
    Column::FullName,
    Column::Email,
    Column::Department,
    Column::Office,
    Column::Card,
    Column::OtherEmails,
    Column::SecondCard,
    Column::Alias,
    Column::Home,
    Column::Pin,
];

/// What columns are called in the first row of a file.
const NAMES: &[(&str, Column)] = &[
    ("name", Column::Name),
    ("user", Column::Name),
    ("username", Column::Name),
    ("user-name", Column::Name),
    ("full-name", Column::FullName),
    ("email", Column::Email),
    ("department", Column::Department),
    ("office", Column::Office),
    ("card", Column::Card),
    ("other-emails", Column::OtherEmails),
    ("second-card", Column::SecondCard),
    ("alias", Column::Alias),
    ("home", Column::Home),
    ("pin", Column::Pin),
    ("key", Column::Key),
    ("groups", Column::Groups),
];

/// The columns that a first row names. None: it names none, and is a row like the others.
///
/// # Errors
/// A name that nobody knows, or one that comes twice, or names without that of the user name.
pub(crate) fn header(cells: &[&str]) -> Result<Option<Vec<Column>>, String> {
    let tidy = |cell: &&str| cell.trim().to_lowercase().replace(['_', ' '], "-");
    let cells: Vec<String> = cells.iter().map(tidy).collect();
    let names_users = |cell: &String| NAMES.iter().any(|(name, column)| name == cell && *column == Column::Name);
    if !cells.iter().any(names_users) {
        // A row of a user would not hold a heading, and its card would be somebody's name.
        return match cells.iter().find(|cell| NAMES.iter().any(|(name, _)| name == *cell)) {
            Some(known) => {
                let names: Vec<_> =
                    NAMES.iter().filter(|(_, column)| *column == Column::Name).map(|(name, _)| *name).collect();
                Err(format!(
                    "{known:?} is the heading of a column, and none says which one has the user name: call that one {}",
                    names.join(" or ")
                ))
            }
            None => Ok(None),
        };
    }
    let mut columns = Vec::new();
    for cell in &cells {
        let Some((_, column)) = NAMES.iter().find(|(name, _)| name == cell) else {
            let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            return Err(format!("no column is called {cell:?}{}; known: {}", nearest(cell, &known), known.join(", ")));
        };
        if columns.contains(column) {
            return Err(format!("two columns are called {cell:?}"));
        }
        columns.push(*column);
    }
    Ok(Some(columns))
}

/// Rows that were taken.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    census: Census,
    names: HashMap<String, u32>,
    /// Each group with its members, in the order in which they came.
    groups: Vec<(String, Vec<String>)>,
    group_numbers: HashMap<String, usize>,
    keys: HashSet<String>,
}

impl Rows {
    /// Takes a row. `line`: where it stands, from 1.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn take(&mut self, columns: &[Column], cells: &[&str], line: u64) -> Result<(), String> {
        if cells.len() > columns.len() {
            return Err(format!("line {line} has {} fields, of which {} have a meaning", cells.len(), columns.len()));
        }
        let mut person = Person { place: format!("line {line}"), ..Person::default() };
        let mut groups = Vec::new();
        for (column, cell) in columns.iter().zip(cells) {
            let value = match text(cell.as_bytes()) {
                Ok(value) => value,
                // Taken as empty, it would end all memberships.
                Err(error) if *column == Column::Groups => {
                    return Err(format!("line {line}: the field of the groups {error}; correct it there"));
                }
                Err(error) => {
                    self.census.remark(&person.place, format!("{column:?} {error}; it is taken as empty"));
                    continue;
                }
            };
            match column {
                Column::Name => person.name = value,
                Column::FullName => person.full_name = value,
                Column::Email => person.email = value,
                Column::Department => person.department = value,
                Column::Office => person.office = value,
                Column::Card => person.card = value,
                Column::OtherEmails => add_addresses(&mut person.other_emails, &value),
                Column::SecondCard => person.second_card = value,
                Column::Alias => person.alias = value,
                Column::Home => person.home = value,
                Column::Pin => person.pin = value,
                Column::Key => person.key = value,
                Column::Groups => {
                    groups =
                        value.split(';').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
                }
            }
        }
        if person.name.is_empty() {
            return Err(format!(
                "line {line} has no user name that could be read (one has 1 to {LONGEST_VALUE} characters of text); \
                 correct it there"
            ));
        }
        let name = folded(&person.name);
        if columns.contains(&Column::Key) {
            if person.key.is_empty() {
                return Err(format!("line {line} has no key, and there is a column for it"));
            }
            if !self.keys.insert(person.key.clone()) {
                return Err(format!("line {line} has the key {:?}, which a line before it has", person.key));
            }
        } else {
            // Without a key of their own rows are recognised by the name. Two of one name are both told, so that the plan can
            // say that they are in conflict.
            let times = self.names.entry(name.clone()).or_default();
            *times += 1;
            person.key = match times {
                1 => name,
                again => format!("{name}\t{again}"),
            };
        }
        for group in groups {
            self.group(&group).1.push(person.name.clone());
        }
        // The key was looked at above.
        let _ = self.census.person(Found::new(person));
        Ok(())
    }

    /// The group of this name, which is made if it is not there.
    pub(crate) fn group(&mut self, name: &str) -> &mut (String, Vec<String>) {
        let next = self.groups.len();
        let number = *self.group_numbers.entry(folded(name)).or_insert(next);
        if number == next {
            self.groups.push((name.to_owned(), Vec::new()));
        }
        #[allow(clippy::indexing_slicing, reason = "it is there, or was pushed above")]
        &mut self.groups[number]
    }

    /// How many users came.
    pub(crate) fn users(&self) -> usize {
        self.census.counts().0
    }

    /// Everybody, and every group.
    pub(crate) fn finish(mut self) -> Census {
        self.census.index_names();
        for (name, members) in self.groups {
            let key = folded(&name);
            let place = format!("group {name}");
            let group = self.census.group(FoundGroup { key, place, name, ..FoundGroup::default() });
            for member in members {
                self.census.member(group, Member::Name(member));
            }
        }
        self.census
    }
}

/// Takes the lines of a program: fields separated by tabs, nothing quoted.
///
/// # Errors
/// What is wrong, and in which line.
pub(crate) fn of_program(output: &[u8]) -> Result<Rows, String> {
    let mut rows = Rows::default();
    for (number, line) in lines(output)? {
        let cells: Vec<&str> = line.split('\t').collect();
        rows.take(IN_ORDER, &cells, number)?;
    }
    Ok(rows)
}

/// The lines of a program that are not empty, numbered from 1.
///
/// # Errors
/// A line that is not UTF-8.
pub(crate) fn lines(output: &[u8]) -> Result<impl Iterator<Item = (u64, &str)>, String> {
    let output = output.strip_prefix(b"\xef\xbb\xbf").unwrap_or(output);
    let text = std::str::from_utf8(output).map_err(|error| {
        let line = output.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line} is not UTF-8")
    })?;
    let numbered = (1..).zip(text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)));
    Ok(numbered.filter(|(_, line)| !line.trim().is_empty()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::snapshot::{Figures, Scope, Snapshot};

    fn snapshot(rows: Rows) -> Snapshot {
        let site = "[[source]]\nname = \"s\"\nkind = \"file\"\nfrom = \"x\"\n";
        let site: cardinal_domain::site::Site = cardinal_domain::strict_toml::parse(site).unwrap();
        rows.finish().snapshot(&site.source[0], None, "x", Vec::new(), Figures::default(), None, Scope::Whole).unwrap()
    }

    #[test]
    fn rows_of_the_public_samples_are_understood() {
        let output = b"janer\tJane Rodgers\tjaner@here.com\tSales\tDocklands\r\n\
            jane\tJane Rodgers\tjaner@here.com\tSales\tDocklands\t5678\tpersonal2@webmail.com\t05678\tuser2\t\\\\server\\u\t1234\n\n\
            john\tJohn\t\t\t\t5678\t\t05678\t\t\t1234";
        let people = snapshot(of_program(output).unwrap()).people;
        assert_eq!(people.len(), 3);
        assert_eq!((people[0].office.as_str(), people[0].card.as_str()), ("Docklands", ""));
        let jane = &people[1];
        assert_eq!(jane.other_emails, ["personal2@webmail.com"]);
        assert_eq!((jane.second_card.as_str(), jane.alias.as_str()), ("05678", "user2"));
        assert_eq!((jane.home.as_str(), jane.pin.as_str()), ("\\\\server\\u", "1234"));
        assert_eq!((people[2].place.as_str(), people[2].pin.as_str()), ("line 4", "1234"));
    }

    #[test]
    fn a_row_that_means_nothing_is_refused_with_its_line() {
        for (output, why) in [
            (&b"ada\n\tnobody\n"[..], "line 2 has no user name"),
            (b"ada\na\tb\tc\td\te\tf\tg\th\ti\tj\tk\tl\n", "line 2 has 12 fields"),
            (b"ada\nbob\n\xff\n", "line 3 is not UTF-8"),
            (b"a\0da\n", "line 1 has no user name"),
        ] {
            assert!(of_program(output).unwrap_err().contains(why), "{why}");
        }
        let long = "x".repeat(LONGEST_VALUE + 1);
        for groups in ["sta\0ff", &long] {
            let refused = Rows::default().take(&[Column::Name, Column::Groups], &["ada", groups], 7).unwrap_err();
            assert!(refused.contains("line 7: the field of the groups has a value"), "{refused}");
        }
    }

    #[test]
    fn two_of_one_name_are_both_told() {
        let people = snapshot(of_program(b"Ada\tone\nada\ttwo\n").unwrap()).people;
        assert_eq!(people.len(), 2);
        assert_ne!(people[0].key, people[1].key);
        assert_eq!(people[0].key, "ada");
    }

    #[test]
    fn a_first_row_may_name_the_columns() {
        assert_eq!(
            header(&["Name", "Full Name", "second_card"]),
            Ok(Some(vec![Column::Name, Column::FullName, Column::SecondCard]))
        );
        assert_eq!(header(&["ada", "Ada Lovelace"]), Ok(None));
        assert!(header(&["login", "card"]).unwrap_err().contains("call that one name or user"));
        assert!(header(&["name", "e-mail"]).unwrap_err().contains("did you mean \"email\"?"));
        assert!(header(&["name", "card", "card"]).unwrap_err().contains("two columns"));
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(output in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(rows) = of_program(&output) {
                let users = rows.users();
                prop_assert!(users <= output.len());
                if users > 0 {
                    prop_assert_eq!(snapshot(rows).people.len(), users);
                }
            }
        }
    }
}
