//! The site's printers, queues, devices, readers and config keys: read whole into memory, changed in one transaction.

use std::{collections::BTreeMap, str::FromStr, sync::Arc};

use cardinal_domain::{
    event::EventBody,
    names::{DeviceName, NameError, PrinterName, QueueName, ReaderName, SourceName},
    plan::Change,
    site::{Device, Printer, Queue, Reader, Site, Source},
};
use serde::de::DeserializeOwned;
use sqlx::{AnyConnection, Row as _, any::AnyRow};
use tokio::sync::watch;

use crate::{
    DatabaseError, Store, StoreError,
    connect::Inner,
    sql::{self, values},
    writer::Write,
};

/// What cannot be read, where a row cannot.
pub(crate) const PART: &str = "part of the site";

/// A site without its people: small, and looked at on every swipe, so it is kept in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setup {
    /// Config keys that differ from their default.
    pub config: BTreeMap<String, String>,
    /// Sync sources by name.
    pub sources: BTreeMap<SourceName, Source>,
    /// Printers by name.
    pub printers: BTreeMap<PrinterName, Printer>,
    /// Queues by name.
    pub queues: BTreeMap<QueueName, Queue>,
    /// Devices by name.
    pub devices: BTreeMap<DeviceName, Device>,
    /// Readers by name. Thousands, and each has a session that holds its own.
    pub readers: BTreeMap<ReaderName, Arc<Reader>>,
}

impl Store {
    /// The setup as of the last committed change.
    pub fn setup(&self) -> Arc<Setup> {
        Arc::clone(&self.inner.setup.borrow())
    }

    /// Tells of each further setup: of one that was changed, and of one that was read anew behind a lost connection.
    pub fn setups(&self) -> watch::Receiver<Arc<Setup>> {
        self.inner.setup.subscribe()
    }

    /// The whole site, people included.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn site(&self) -> Result<Site, StoreError> {
        let setup = self.setup();
        Ok(Site {
            config: setup.config.clone(),
            source: setup.sources.values().cloned().collect(),
            user: self.users().await?,
            printer: setup.printers.values().cloned().collect(),
            queue: setup.queues.values().cloned().collect(),
            device: setup.devices.values().cloned().collect(),
            reader: setup.readers.values().map(|reader| Reader::clone(reader)).collect(),
        })
    }

    /// Carries out a plan: all of it, or nothing. Jobs held unassigned are given to users that are new.
    ///
    /// # Errors
    /// The database refused (a card or a reference in use) or broke; a queue with open jobs cannot be removed.
    pub async fn apply(&self, changes: &[Change], events: Vec<EventBody>) -> Result<(), StoreError> {
        self.apply_planned(None, changes, events).await.map(drop)
    }

    /// The same for a plan that was made from this setup. False: by now the setup is another, or was read anew, so that
    /// nobody knows what the plan would do; nothing was done.
    ///
    /// # Errors
    /// As those of [`apply`](Self::apply).
    pub async fn apply_planned(
        &self,
        planned_from: Option<&Arc<Setup>>,
        changes: &[Change],
        events: Vec<EventBody>,
    ) -> Result<bool, StoreError> {
        let mut write = self.write_apart("change the site").await?;
        // Asked on the connection that will carry the plan out: from here on nobody else can change the database.
        if planned_from.is_some_and(|planned_from| !Arc::ptr_eq(planned_from, &self.setup())) {
            return Ok(false);
        }
        write.change_setup(changes);
        // Cards move between users in one plan, so all that change hands are freed before any is given.
        for change in changes {
            if let Change::PutUser(user) = change {
                crate::users::free_cards(&mut write, &[&user.name]).await?;
            }
        }
        for change in changes {
            carry_out(&mut write, change).await?;
        }
        if changes.iter().any(concerns_people) {
            write.count("site", 1).await?;
        }
        write.tell(events).await?;
        write.commit().await.map(|()| true)
    }

    /// Makes sure that the setup in memory is the database's: a connection that was lost is made anew, and brings what was
    /// changed meanwhile.
    ///
    /// # Errors
    /// The database cannot be reached, or belongs to another host by now.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        self.write("read the site").await.map(drop)
    }
}

/// What the database has of a setup: config keys, printers, queues, devices, readers, sources.
pub(crate) type Rows = [Vec<AnyRow>; 6];

/// Reads them; [`Setup::from_rows`] tells what they mean.
pub(crate) async fn rows(connection: &mut AnyConnection) -> Result<Rows, DatabaseError> {
    let tables = [
        "SELECT name, value FROM config",
        "SELECT spec FROM printer",
        "SELECT spec FROM queue",
        "SELECT spec FROM device",
        "SELECT spec FROM reader",
        "SELECT spec FROM source",
    ];
    let mut rows = Rows::default();
    for (rows, table) in rows.iter_mut().zip(tables) {
        *rows = sql::query(&table.into(), &[]).fetch_all(&mut *connection).await?;
    }
    Ok(rows)
}

impl Inner {
    /// Takes what a new connection found for the setup: while there was none, the database may have been changed, by a
    /// commit whose answer was lost or by another host. No event tells of it, but those
    /// who follow the setup are told.
    pub(crate) fn replace_setup(&self, setup: Setup) {
        self.setup.send_replace(Arc::new(setup));
    }

    /// Changes the setup in memory as the database was just changed.
    pub(crate) fn change_setup(&self, changes: impl Iterator<Item = Change>) {
        let mut changes = changes.peekable();
        if changes.peek().is_some() {
            self.setup.send_modify(|setup| {
                let changed = Arc::make_mut(setup);
                changes.for_each(|change| changed.change(change));
            });
        }
    }
}

impl Setup {
    /// What these rows mean; or why one of them cannot be read.
    pub(crate) fn from_rows([config, printers, queues, devices, readers, sources]: Rows) -> Result<Self, String> {
        let mut setup = Self::default();
        for row in config {
            setup.config.insert(column(&row, 0)?, column(&row, 1)?);
        }
        for row in sources {
            let source: Source = read(&row)?;
            setup.sources.insert(source.name.clone(), source);
        }
        for row in printers {
            let printer: Printer = read(&row)?;
            setup.printers.insert(printer.name.clone(), printer);
        }
        for row in queues {
            let queue: Queue = read(&row)?;
            setup.queues.insert(queue.name.clone(), queue);
        }
        for row in devices {
            let device: Device = read(&row)?;
            setup.devices.insert(device.name.clone(), device);
        }
        for row in readers {
            let reader: Reader = read(&row)?;
            setup.readers.insert(reader.name.clone(), Arc::new(reader));
        }
        Ok(setup)
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Config(name, Some(value)) => drop(self.config.insert(name, value)),
            Change::Config(name, None) => drop(self.config.remove(&name)),
            Change::PutUser(_) | Change::RemoveUser(_) => {}
            Change::PutSource(source) => drop(self.sources.insert(source.name.clone(), source)),
            Change::RemoveSource(source) => drop(self.sources.remove(&source.name)),
            Change::PutPrinter(printer) => drop(self.printers.insert(printer.name.clone(), printer)),
            Change::RemovePrinter(printer) => drop(self.printers.remove(&printer.name)),
            Change::PutQueue(queue) => drop(self.queues.insert(queue.name.clone(), queue)),
            Change::RemoveQueue(queue) => drop(self.queues.remove(&queue.name)),
            Change::PutDevice(device) => drop(self.devices.insert(device.name.clone(), device)),
            Change::RemoveDevice(device) => drop(self.devices.remove(&device.name)),
            Change::PutReader(reader) => drop(self.readers.insert(reader.name.clone(), Arc::new(reader))),
            Change::RemoveReader(reader) => drop(self.readers.remove(&reader.name)),
        }
    }
}

fn column(row: &AnyRow, index: usize) -> Result<String, String> {
    row.try_get(index).map_err(|error| error.to_string())
}

fn read<T: DeserializeOwned>(row: &AnyRow) -> Result<T, String> {
    serde_json::from_str(&column(row, 0)?).map_err(|error| error.to_string())
}

/// A name out of a column that may be empty.
pub(crate) fn name<T: FromStr<Err = NameError>>(text: Option<String>) -> Result<Option<T>, StoreError> {
    text.map(|text| text.parse()).transpose().map_err(StoreError::unreadable("name"))
}

pub(crate) async fn carry_out(write: &mut Write, change: &Change) -> Result<(), StoreError> {
    // Each statement is whole, so that what can be run is what can be read here.
    const PUT_PRINTER: &str = "INSERT INTO printer (name, spec) VALUES ($1, $2) \
                               ON CONFLICT (name) DO UPDATE SET spec = excluded.spec";
    const PUT_QUEUE: &str = "INSERT INTO queue (name, spec, printer) VALUES ($1, $2, $3) \
                             ON CONFLICT (name) DO UPDATE SET spec = excluded.spec, printer = excluded.printer";
    const PUT_DEVICE: &str = "INSERT INTO device (name, spec, printer) VALUES ($1, $2, $3) \
                              ON CONFLICT (name) DO UPDATE SET spec = excluded.spec, printer = excluded.printer";
    const PUT_READER: &str = "INSERT INTO reader (name, spec, device) VALUES ($1, $2, $3) \
                              ON CONFLICT (name) DO UPDATE SET spec = excluded.spec, device = excluded.device";
    match change {
        Change::Config(name, Some(value)) => {
            let sql = "INSERT INTO config (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
            write.run(sql, &values![name.as_str(), value.as_str()]).await
        }
        Change::Config(name, None) => write.run("DELETE FROM config WHERE name = $1", &values![name.as_str()]).await,
        Change::PutSource(source) => {
            let sql =
                "INSERT INTO source (name, spec) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET spec = excluded.spec";
            write.run(sql, &values![source.name.as_str(), spec(source)?]).await?;
            // What was read before may be another directory's.
            write.run("DELETE FROM source_mark WHERE source = $1", &values![source.name.as_str()]).await
        }
        Change::RemoveSource(source) => {
            write.run("DELETE FROM source WHERE name = $1", &values![source.name.as_str()]).await
        }
        Change::PutUser(user) => crate::users::put(write, &[user]).await,
        Change::RemoveUser(user) => write.run("DELETE FROM users WHERE name = $1", &values![user.name.as_str()]).await,
        Change::PutPrinter(printer) => write.run(PUT_PRINTER, &values![printer.name.as_str(), spec(printer)?]).await,
        Change::RemovePrinter(printer) => {
            write.run("DELETE FROM printer WHERE name = $1", &values![printer.name.as_str()]).await
        }
        Change::PutQueue(queue) => {
            let printer = queue.printer.as_ref().map(PrinterName::as_str);
            write.run(PUT_QUEUE, &values![queue.name.as_str(), spec(queue)?, printer]).await
        }
        Change::RemoveQueue(queue) => {
            let jobs = crate::jobs::open_in_queue(write, &queue.name).await?;
            if jobs > 0 {
                return Err(StoreError::QueueInUse { queue: queue.name.to_string(), jobs });
            }
            write.run("DELETE FROM queue WHERE name = $1", &values![queue.name.as_str()]).await
        }
        Change::PutDevice(device) => {
            let put = values![device.name.as_str(), spec(device)?, device.printer.as_str()];
            write.run(PUT_DEVICE, &put).await
        }
        Change::RemoveDevice(device) => {
            write.run("DELETE FROM device WHERE name = $1", &values![device.name.as_str()]).await
        }
        Change::PutReader(reader) => {
            let put = values![reader.name.as_str(), spec(reader)?, reader.device.as_str()];
            write.run(PUT_READER, &put).await
        }
        Change::RemoveReader(reader) => {
            write.run("DELETE FROM reader WHERE name = $1", &values![reader.name.as_str()]).await
        }
    }
}

/// Whether a plan of a directory sync could be another with this change.
fn concerns_people(change: &Change) -> bool {
    match change {
        Change::Config(..)
        | Change::PutSource(_)
        | Change::RemoveSource(_)
        | Change::PutUser(_)
        | Change::RemoveUser(_) => true,
        Change::PutPrinter(_)
        | Change::RemovePrinter(_)
        | Change::PutQueue(_)
        | Change::RemoveQueue(_)
        | Change::PutDevice(_)
        | Change::RemoveDevice(_)
        | Change::PutReader(_)
        | Change::RemoveReader(_) => false,
    }
}

fn spec<T: serde::Serialize>(entity: &T) -> Result<String, StoreError> {
    serde_json::to_string(entity).map_err(StoreError::unreadable(PART))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Durability;

    #[tokio::test]
    async fn a_plan_made_from_another_setup_is_not_carried_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store.db").as_path(), Durability::Process).await.unwrap();
        let planned_from = store.setup();
        let change = |value: &str| [Change::Config("ext-device.card-no-regex".into(), Some(value.into()))];
        assert!(store.apply_planned(Some(&planned_from), &change("(.{7})"), Vec::new()).await.unwrap());
        let after = store.setup();
        assert!(!store.apply_planned(Some(&planned_from), &change("(.{8})"), Vec::new()).await.unwrap());
        store.refresh().await.unwrap();
        assert_eq!(store.setup(), after);
        // Read anew, as behind a lost connection: it may say the same, and still nobody knows what happened to the people.
        store.inner.replace_setup((*after).clone());
        assert!(!store.apply_planned(Some(&after), &change("(.{8})"), Vec::new()).await.unwrap());
        assert!(store.apply_planned(Some(&store.setup()), &change("(.{8})"), Vec::new()).await.unwrap());
        assert_eq!(store.setup().config.values().collect::<Vec<_>>(), ["(.{8})"]);
    }
}
