//! What `cardinal apply` would change, and why it cannot: a pure comparison of the site as it is with the site as wanted.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    config_keys, convert,
    nearest::nearest,
    site::{Device, Printer, PrinterUri, Queue, Rank, Reader, Site, Source, User},
};

/// One thing to do to the store. The order of a plan is one in which every reference stands: what others need is put
/// first and removed last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Set a config key, or with none take it back to its default.
    Config(String, Option<String>),
    /// Add or change a sync source.
    PutSource(Source),
    /// Remove a sync source. Users that came from it stay.
    RemoveSource(Source),
    /// Add or change a user. Cards that move between users are freed before any is given.
    PutUser(User),
    /// Remove a user.
    RemoveUser(User),
    /// Add or change a printer.
    PutPrinter(Printer),
    /// Remove a printer.
    RemovePrinter(Printer),
    /// Add or change a queue.
    PutQueue(Queue),
    /// Remove a queue.
    RemoveQueue(Queue),
    /// Add or change a device.
    PutDevice(Device),
    /// Remove a device.
    RemoveDevice(Device),
    /// Add or change a reader.
    PutReader(Reader),
    /// Remove a reader.
    RemoveReader(Reader),
}

/// A line of a plan, for people and for the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// `add`, `change` or `remove`.
    pub action: Action,
    /// `source`, `user`, `printer`, `queue`, `device`, `reader` or `config`.
    pub kind: String,
    /// Which one.
    pub name: String,
    /// The fields that differ, with the old and the new value. Card numbers and settings of readers are not shown in clear.
    pub fields: Vec<Field>,
}

impl Line {
    /// The same in a sentence, for an event.
    pub fn sentence(&self) -> String {
        let none = || "nothing".to_owned();
        let field = |field: &Field| {
            let (old, new) = (field.old.clone().unwrap_or_else(none), field.new.clone().unwrap_or_else(none));
            format!("{} from {old} to {new}", field.key)
        };
        match self.action {
            Action::Change => {
                let fields: Vec<_> = self.fields.iter().map(field).collect();
                format!("{} {} was changed: {}", self.kind, self.name, fields.join(", "))
            }
            Action::Add => format!("{} {} was added", self.kind, self.name),
            Action::Remove => format!("{} {} was removed", self.kind, self.name),
        }
    }
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is new.
    Add,
    /// It is there and differs.
    Change,
    /// It goes.
    Remove,
}

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its key in the site file.
    pub key: String,
    /// What it was; none where it was not there.
    pub old: Option<String>,
    /// What it will be; none where it goes.
    pub new: Option<String>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.action {
            Action::Add => '+',
            Action::Change => '~',
            Action::Remove => '-',
        };
        write!(f, "{sign} {} {}", self.kind, self.name)?;
        for field in &self.fields {
            match (&field.old, &field.new) {
                (None, Some(new)) => write!(f, "\n    {} = {new}", field.key)?,
                (Some(old), Some(new)) => write!(f, "\n    {}: {old} -> {new}", field.key)?,
                (Some(old), None) => write!(f, "\n    {}: {old} -> (none)", field.key)?,
                (None, None) => {}
            }
        }
        Ok(())
    }
}

/// What a site file would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order in which they are carried out.
    pub changes: Vec<Change>,
    /// The same for people.
    pub lines: Vec<Line>,
}

/// What stands against applying a site; every problem is named, not only the first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct PlanError(pub Vec<String>);

pub(crate) trait Entity: Clone + PartialEq + Serialize {
    const KIND: &'static str;
    fn name(&self) -> &str;
}

macro_rules! entity {
    ($($type:ty, $kind:literal;)*) => {$(
        impl Entity for $type {
            const KIND: &'static str = $kind;
            fn name(&self) -> &str { self.name.as_str() }
        }
    )*};
}
entity! { Source, "source"; User, "user"; Printer, "printer"; Queue, "queue"; Device, "device"; Reader, "reader"; }

/// What has to be done so that everything in `wanted` is as it says; with `prune`, also so that nothing else is there.
///
/// # Errors
/// Names given twice, a card that two users claim, references to what is not there, config values that do not fit.
pub fn plan(current: &Site, wanted: &Site, prune: bool) -> Result<Plan, PlanError> {
    let mut problems = Vec::new();
    let mut lines = Vec::new();
    let (sources, gone_sources) = compare(&current.source, &wanted.source, prune, &mut lines, &mut problems);
    let wanted_users = with_the_synced(current, wanted, &gone_sources);
    let (users, gone_users) = compare(&current.user, &wanted_users, prune, &mut lines, &mut problems);
    let (printers, gone_printers) = compare(&current.printer, &wanted.printer, prune, &mut lines, &mut problems);
    let (queues, gone_queues) = compare(&current.queue, &wanted.queue, prune, &mut lines, &mut problems);
    let (devices, gone_devices) = compare(&current.device, &wanted.device, prune, &mut lines, &mut problems);
    let (readers, gone_readers) = compare(&current.reader, &wanted.reader, prune, &mut lines, &mut problems);
    let config = compare_config(current, wanted, prune, &mut lines, &mut problems);

    let after = Site {
        config: BTreeMap::new(),
        source: merged(&current.source, &sources, &gone_sources),
        user: merged(&current.user, &users, &gone_users),
        printer: merged(&current.printer, &printers, &gone_printers),
        queue: merged(&current.queue, &queues, &gone_queues),
        device: merged(&current.device, &devices, &gone_devices),
        reader: merged(&current.reader, &readers, &gone_readers),
    };
    check_cards(&after.user, &mut problems);
    check_sources(&after.source, &mut problems);
    check_references(&after, &mut problems);
    problems.extend(devices.iter().flat_map(convert::problems));
    if !problems.is_empty() {
        return Err(PlanError(problems));
    }

    let mut changes = Vec::new();
    changes.extend(gone_readers.into_iter().map(Change::RemoveReader));
    changes.extend(gone_users.into_iter().map(Change::RemoveUser));
    changes.extend(config);
    changes.extend(gone_sources.into_iter().map(Change::RemoveSource));
    changes.extend(sources.into_iter().map(Change::PutSource));
    changes.extend(users.into_iter().map(Change::PutUser));
    changes.extend(printers.into_iter().map(Change::PutPrinter));
    changes.extend(queues.into_iter().map(Change::PutQueue));
    changes.extend(devices.into_iter().map(Change::PutDevice));
    changes.extend(readers.into_iter().map(Change::PutReader));
    changes.extend(gone_devices.into_iter().map(Change::RemoveDevice));
    changes.extend(gone_queues.into_iter().map(Change::RemoveQueue));
    changes.extend(gone_printers.into_iter().map(Change::RemovePrinter));
    Ok(Plan { changes, lines })
}

/// The users that are wanted, and those that stay without being named: whoever came from a source is the sync's to remove.
/// What a sync knows of a user is kept where a site file says nothing of it.
fn with_the_synced(current: &Site, wanted: &Site, gone: &[Source]) -> Vec<User> {
    let have = by_name(&current.user);
    let mut users = wanted.user.clone();
    for user in &mut users {
        if let Some(old) = have.get(user.name.as_str()) {
            user.origin = user.origin.take().or_else(|| old.origin.clone());
            user.pin = user.pin.take().or_else(|| old.pin.clone());
        }
    }
    let named: BTreeSet<_> = wanted.user.iter().map(|user| &user.name).collect();
    let sources: BTreeSet<_> = current.source.iter().map(|source| &source.name).collect();
    let is_synced = |user: &&User| {
        let from = user.origin.as_ref().map(|origin| &origin.source);
        from.is_some_and(|from| sources.contains(from) && gone.iter().all(|gone| gone.name != *from))
    };
    users.extend(current.user.iter().filter(|user| !named.contains(&user.name)).filter(is_synced).cloned());
    users
}

/// At most one primary and one secondary source, each whole.
fn check_sources(sources: &[Source], problems: &mut Vec<String>) {
    problems.extend(sources.iter().flat_map(Source::problems));
    for rank in [Rank::Primary, Rank::Secondary] {
        let names: Vec<_> = sources.iter().filter(|of| of.rank == rank).map(|of| of.name.as_str()).collect();
        if names.len() > 1 {
            let names = names.join(" and ");
            problems.push(format!("sources {names} are both {rank}; say rank = \"secondary\" of the other one"));
        }
    }
    if let [only] = sources
        && only.rank == Rank::Secondary
    {
        problems.push(format!("source {:?} is secondary, and there is no primary one", only.name.as_str()));
    }
}

fn by_name<T: Entity>(entities: &[T]) -> BTreeMap<&str, &T> {
    entities.iter().map(|entity| (entity.name(), entity)).collect()
}

/// The entities to put and those to remove.
fn compare<T: Entity>(
    current: &[T],
    wanted: &[T],
    prune: bool,
    lines: &mut Vec<Line>,
    problems: &mut Vec<String>,
) -> (Vec<T>, Vec<T>) {
    let have = by_name(current);
    let mut seen = BTreeSet::new();
    let mut put = Vec::new();
    for entity in wanted {
        if !seen.insert(entity.name()) {
            problems.push(format!("{} {:?} is given twice", T::KIND, entity.name()));
            continue;
        }
        let old = have.get(entity.name()).copied();
        if old == Some(entity) {
            continue;
        }
        lines.push(Line {
            action: if old.is_some() { Action::Change } else { Action::Add },
            kind: T::KIND.to_owned(),
            name: entity.name().to_owned(),
            fields: fields(old, Some(entity)),
        });
        put.push(entity.clone());
    }
    let mut gone = Vec::new();
    for entity in current.iter().filter(|entity| prune && !seen.contains(entity.name())) {
        lines.push(Line {
            action: Action::Remove,
            kind: T::KIND.to_owned(),
            name: entity.name().to_owned(),
            fields: Vec::new(),
        });
        gone.push(entity.clone());
    }
    (put, gone)
}

/// The fields in which two versions differ, as text fit to be shown.
pub(crate) fn fields<T: Entity>(old: Option<&T>, new: Option<&T>) -> Vec<Field> {
    let object = |entity: Option<&T>| match entity.map(serde_json::to_value) {
        Some(Ok(Value::Object(object))) => object,
        _ => serde_json::Map::new(),
    };
    let (old, new) = (object(old), object(new));
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).filter(|key| *key != "name").collect();
    keys.into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| Field { key: key.clone(), old: shown(key, old.get(key)), new: shown(key, new.get(key)) })
        .collect()
}

fn shown(key: &str, value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(card) if key.ends_with("card") && key != "on_card" => Some(crate::card::mask(card)),
        Value::String(_) if ["password_hash", "token", "password", "pin"].contains(&key) => Some("(secret)".to_owned()),
        // Its domains may have passwords of their own.
        Value::Object(domains) if key == "domain" => {
            Some(format!("(of {})", domains.keys().cloned().collect::<Vec<_>>().join(", ")))
        }
        Value::Object(origin) if key == "origin" => {
            let text = |key| origin.get(key).and_then(Value::as_str).unwrap_or_default();
            Some(format!("{} {}", text("source"), text("key")))
        }
        // A setting may be a secret, and only the driver's manifest knows which.
        Value::Object(settings) if key == "settings" => {
            Some(format!("({} set: {})", settings.len(), settings.keys().cloned().collect::<Vec<_>>().join(", ")))
        }
        Value::String(text) => Some(text.clone()),
        Value::Array(texts) if texts.iter().all(Value::is_string) => {
            Some(texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
        }
        value => Some(value.to_string()),
    }
}

fn merged<T: Entity>(current: &[T], put: &[T], gone: &[T]) -> Vec<T> {
    let gone = by_name(gone);
    let replaced = by_name(put);
    current
        .iter()
        .filter(|entity| !gone.contains_key(entity.name()) && !replaced.contains_key(entity.name()))
        .chain(put)
        .cloned()
        .collect()
}

fn compare_config(
    current: &Site,
    wanted: &Site,
    prune: bool,
    lines: &mut Vec<Line>,
    problems: &mut Vec<String>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut change = |name: &str, old: Option<&String>, new: Option<&String>| {
        if old == new {
            return;
        }
        let action = match (old, new) {
            (None, _) => Action::Add,
            (_, None) => Action::Remove,
            _ => Action::Change,
        };
        let field = Field { key: "value".to_owned(), old: old.cloned(), new: new.cloned() };
        lines.push(Line { action, kind: "config".to_owned(), name: name.to_owned(), fields: vec![field] });
        changes.push(Change::Config(name.to_owned(), new.cloned()));
    };
    // What is on the site already may be from another version; nobody who changes something else has to mend it.
    for (name, value) in wanted.config.iter().filter(|(name, value)| current.config.get(*name) != Some(value)) {
        match config_keys::check(name, value) {
            Ok(()) => change(name, current.config.get(name), Some(value)),
            Err(problem) => problems.push(problem),
        }
    }
    for (name, value) in current.config.iter().filter(|(name, _)| prune && !wanted.config.contains_key(*name)) {
        change(name, Some(value), None);
    }
    changes
}

/// A card identifies one user.
fn check_cards(users: &[User], problems: &mut Vec<String>) {
    let mut owners = BTreeMap::new();
    for user in users {
        for card in user.cards() {
            match owners.insert(card, &user.name) {
                None => {}
                Some(other) if *other == user.name => {
                    problems.push(format!("user {:?} has card {} twice", user.name.as_str(), card.masked()));
                }
                Some(other) => problems.push(format!(
                    "card {} is claimed by users {:?} and {:?}; a card belongs to one user",
                    card.masked(),
                    other.as_str(),
                    user.name.as_str()
                )),
            }
        }
    }
}

fn check_references(site: &Site, problems: &mut Vec<String>) {
    for printer in site.printer.iter().filter(|printer| printer.certificate.is_some()) {
        if !matches!(&printer.uri, PrinterUri::Ipp(uri) if uri.starts_with("ipps://")) {
            problems.push(format!(
                "printer {:?}: certificate says something only with an address that begins with ipps://; remove it, or change uri",
                printer.name.as_str()
            ));
        }
    }
    let printers: Vec<&str> = site.printer.iter().map(|printer| printer.name.as_str()).collect();
    let queues: Vec<&str> = site.queue.iter().map(|queue| queue.name.as_str()).collect();
    let devices: Vec<&str> = site.device.iter().map(|device| device.name.as_str()).collect();
    let mut refer = |who: String, kind: &str, name: &str, known: &[&str]| {
        if !known.contains(&name) {
            problems.push(format!("{who} names {kind} {name:?}, which is not there{}", nearest(name, known)));
        }
    };
    for queue in &site.queue {
        if let Some(printer) = &queue.printer {
            refer(format!("queue {:?}", queue.name.as_str()), "printer", printer.as_str(), &printers);
        }
    }
    for device in &site.device {
        refer(format!("device {:?}", device.name.as_str()), "printer", device.printer.as_str(), &printers);
        for queue in &device.queues {
            refer(format!("device {:?}", device.name.as_str()), "queue", queue.as_str(), &queues);
        }
    }
    for reader in &site.reader {
        refer(format!("reader {:?}", reader.name.as_str()), "device", reader.device.as_str(), &devices);
    }
    for queue in site.queue.iter().filter(|queue| !queue.groups.is_empty() && !queue.sign_in) {
        let name = queue.name.as_str();
        problems.push(format!("queue {name:?}: groups say who may sign in, so they need sign_in = true"));
    }
    for queue in &site.queue {
        match (queue.hold, &queue.printer) {
            (false, None) => problems.push(format!(
                "queue {:?} has hold = false and no printer to pass jobs on to; add printer = \"…\"",
                queue.name.as_str()
            )),
            (true, Some(_)) => problems.push(format!(
                "queue {:?} holds its jobs, so its printer says nothing; remove it, or set hold = false",
                queue.name.as_str()
            )),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strict_toml;

    fn site(text: &str) -> Site {
        strict_toml::parse(text).unwrap()
    }

    const SMALL: &str = r#"
        user = [{ name = "ada", card = "471100" }, { name = "bob", second_card = "EMP123" }]
        printer = [{ name = "east", uri = "folder:./out" }]
        queue = [{ name = "find-me" }]
        device = [{ name = "d", printer = "east" }]
        reader = [{ name = "r", driver = "cardinal/generic", mode = "generic", address = "127.0.0.1:1", device = "d" }]
    "#;

    #[test]
    fn applying_twice_does_nothing() {
        let wanted = site(SMALL);
        assert_eq!(plan(&Site::default(), &wanted, false).unwrap().changes.len(), 6);
        assert_eq!(plan(&wanted, &wanted, true).unwrap(), Plan::default());
    }

    #[test]
    fn a_pinned_certificate_needs_tls() {
        let printer = |uri: &str| {
            let pin = "00".repeat(32);
            site(&format!("printer = [{{ name = \"east\", uri = \"{uri}\", certificate = \"sha256:{pin}\" }}]"))
        };
        assert!(plan(&Site::default(), &printer("ipps://p/ipp/print"), false).is_ok());
        for without in ["ipp://p/ipp/print", "folder:./out"] {
            let error = plan(&Site::default(), &printer(without), false).unwrap_err().to_string();
            assert!(
                error.contains("certificate says something only with an address that begins with ipps://"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_card_claimed_twice_names_both_users_and_not_the_card() {
        let mut wanted = site(SMALL);
        wanted.user[1].card = wanted.user[0].card.clone();
        let error = plan(&Site::default(), &wanted, false).unwrap_err().to_string();
        assert_eq!(error, "card ***00 is claimed by users \"ada\" and \"bob\"; a card belongs to one user");
        // Against a user who is there already, too.
        let current = site(SMALL);
        let other = site("user = [{ name = 'eve', card = '471100' }]");
        assert!(plan(&current, &other, false).unwrap_err().to_string().contains("\"ada\" and \"eve\""));
        // With the first one pruned, the card is free.
        assert!(plan(&current, &site("user = [{ name = 'eve', card = '471100' }]"), true).is_ok());
    }

    #[test]
    fn every_problem_is_named() {
        let wanted = site(
            r#"
            config = { "ext-device.card-no-regx" = "" }
            queue = [{ name = "q", hold = false }, { name = "q" }]
            device = [{ name = "d", printer = "esat", queues = ["p"] }]
            printer = [{ name = "east", uri = "folder:./out" }]
            "#,
        );
        let PlanError(problems) = plan(&Site::default(), &wanted, false).unwrap_err();
        assert_eq!(problems.len(), 5, "{problems:#?}");
        assert!(
            problems.iter().any(|p| p.contains("names printer \"esat\", which is not there (did you mean \"east\"?)"))
        );
    }

    #[test]
    fn a_config_key_of_another_version_is_in_nobodys_way() {
        let current = site(r#"config = { "of.another-version" = "1", "user-source.nightly-at" = "02:30" }"#);
        // As it is there already it may stay, and it may go.
        let kept = site(r#"config = { "of.another-version" = "1", "user-source.nightly-at" = "03:00" }"#);
        assert_eq!(plan(&current, &kept, true).unwrap().changes.len(), 1);
        let gone = site(r#"config = { "user-source.nightly-at" = "02:30" }"#);
        assert_eq!(plan(&current, &gone, true).unwrap().changes.len(), 1);
        let changed = site(r#"config = { "of.another-version" = "2" }"#);
        assert!(plan(&current, &changed, false).unwrap_err().to_string().contains("no config key"));
    }

    #[test]
    fn lines_show_what_differs_and_no_card() {
        let mut wanted = site(SMALL);
        wanted.user[0].card = Some(crate::card::CardNumber::new("998877").unwrap());
        wanted.user[0].email = "ada@example.org".to_owned();
        let plan = plan(&site(SMALL), &wanted, false).unwrap();
        assert_eq!(plan.lines[0].to_string(), "~ user ada\n    card: ***00 -> ***77\n    email = ada@example.org");
        assert_eq!(
            plan.lines[0].sentence(),
            "user ada was changed: card from ***00 to ***77, email from nothing to ada@example.org"
        );
    }

    #[test]
    fn who_came_from_a_source_is_not_pruned_and_stays_what_the_sync_made_of_them() {
        let mut current =
            site("[[source]]\nname = \"s\"\nkind = \"file\"\nfrom = \"staff\"\n[[user]]\nname = \"ada\"\n");
        let origin = crate::site::Origin { source: "s".parse().unwrap(), key: "k1".to_owned() };
        current.user[0].origin = Some(origin.clone());
        let no_users = Site { user: Vec::new(), ..current.clone() };
        assert_eq!(plan(&current, &no_users, true).unwrap(), Plan::default());
        let with_card = Site { user: site("[[user]]\nname = \"ADA\"\ncard = \"4711\"").user, ..current.clone() };
        let Change::PutUser(ada) = &plan(&current, &with_card, true).unwrap().changes[0] else { panic!() };
        assert_eq!(ada.origin.as_ref(), Some(&origin));
        // With the source gone they are like those that were made here.
        let changes = plan(&current, &Site::default(), true).unwrap().changes;
        assert!(matches!(&changes[..], [Change::RemoveUser(_), Change::RemoveSource(_)]), "{changes:?}");
    }

    #[test]
    fn one_primary_source_and_one_secondary() {
        let file = |name: &str, rank: &str| {
            format!("[[source]]\nname = \"{name}\"\nrank = \"{rank}\"\nkind = \"file\"\nfrom = \"x\"\n")
        };
        let refused = |text: String| plan(&Site::default(), &site(&text), false).unwrap_err().to_string();
        assert!(refused(file("a", "primary") + &file("b", "primary")).contains("sources a and b are both primary"));
        assert!(refused(file("a", "secondary")).contains("there is no primary one"));
        assert!(plan(&Site::default(), &site(&(file("a", "primary") + &file("b", "secondary"))), false).is_ok());
    }

    #[test]
    fn prune_removes_in_an_order_that_keeps_references() {
        let changes = plan(&site(SMALL), &Site::default(), true).unwrap().changes;
        let order: Vec<_> = changes
            .iter()
            .map(|change| match change {
                Change::RemoveReader(_) => "reader",
                Change::RemoveDevice(_) => "device",
                Change::RemoveQueue(_) => "queue",
                Change::RemovePrinter(_) => "printer",
                Change::RemoveUser(_) => "user",
                _ => "other",
            })
            .collect();
        assert_eq!(order, ["reader", "user", "user", "device", "queue", "printer"]);
    }
}
