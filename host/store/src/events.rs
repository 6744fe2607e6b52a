//! Events, in the order in which they were committed.

use std::collections::BTreeMap;

use cardinal_domain::{
    event::{Event, EventBody, EventKind, Level},
    names::{ReaderName, TraceId, UserName},
    time::Timestamp,
};
use sqlx::{Row as _, any::AnyRow};

use crate::{
    Store, StoreError,
    sql::{Value, places, values},
    writer::Write,
};

/// Which events to list.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Only those behind this place in the order.
    pub after: Option<i64>,
    /// Only this reader's.
    pub reader: Option<ReaderName>,
    /// Only this user's.
    pub user: Option<UserName>,
    /// Only of this swipe or job.
    pub trace: Option<TraceId>,
    /// Only of this kind.
    pub kind: Option<EventKind>,
    /// At most so many.
    pub limit: i64,
}

impl Store {
    /// Stores events; when this returns they are kept.
    ///
    /// # Errors
    /// The database refused or broke; then none is stored.
    pub async fn record(&self, events: Vec<EventBody>) -> Result<(), StoreError> {
        let mut write = self.write("store events").await?;
        write.tell(events).await?;
        write.commit().await
    }

    /// The events that fit, oldest first. With `after` the first ones behind it, without it the newest ones.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, StoreError> {
        // Only what is asked for is said: a condition that may be empty would keep an index from being used.
        let mut text = "SELECT * FROM event WHERE seq > $1".to_owned();
        let mut values: Vec<Value> = values![filter.after.unwrap_or(-1)].into();
        let wanted = [
            (" AND reader = $", filter.reader.as_ref().map(ToString::to_string)),
            (" AND user_name = $", filter.user.as_ref().map(ToString::to_string)),
            (" AND trace = $", filter.trace.map(|trace| trace.to_string())),
            (" AND kind = $", filter.kind.map(|kind| kind.name().to_owned())),
        ];
        for (condition, value) in wanted {
            if let Some(value) = value {
                values.push(value.into());
                text.push_str(&format!("{condition}{}", values.len()));
            }
        }
        values.push(filter.limit.max(0).into());
        let order = if filter.after.is_some() { "ASC" } else { "DESC" };
        text.push_str(&format!(" ORDER BY seq {order} LIMIT ${}", values.len()));
        let rows = self.all("list events", text, &values).await?;
        let mut events = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if filter.after.is_none() {
            events.reverse();
        }
        Ok(events)
    }

    /// The last event's place in the order.
    ///
    /// # Errors
    /// The database broke.
    pub async fn last_event(&self) -> Result<i64, StoreError> {
        let row = self.first("find the last event", LAST, &[]).await?;
        let row = row.ok_or_else(|| StoreError::unreadable("counter")("event is missing"))?;
        row.try_get(0).map_err(StoreError::unreadable("counter"))
    }
}

/// The last place that was given; the writer, who is alone, counts on from there. The counter keeps it where retention
/// deletes the last event: no place is given twice.
pub(crate) const LAST: &str = "SELECT max(value) FROM (SELECT value FROM counter WHERE name = 'event' \
                               UNION ALL SELECT max(seq) FROM event) AS last";

/// How many events one statement stores: each number of rows is a statement of its own, to be kept prepared.
const ROWS: usize = 32;
/// The columns of an event.
const COLUMNS: usize = 11;

/// Gives the events their places in the order, and stores them.
pub(crate) async fn insert(write: &mut Write, bodies: Vec<EventBody>) -> Result<Vec<Event>, StoreError> {
    let many = i64::try_from(bodies.len()).unwrap_or(i64::MAX);
    if many == 0 {
        return Ok(Vec::new());
    }
    let events: Vec<Event> = (write.places(many)..).zip(bodies).map(|(seq, body)| Event { seq, body }).collect();
    for events in events.chunks(ROWS) {
        let text = format!(
            "INSERT INTO event (seq, at, trace, kind, level, reader, device, user_name, job, message, facts) VALUES {}",
            places(write.place(), events.len(), COLUMNS)
        );
        let mut values = Vec::with_capacity(events.len() * COLUMNS);
        for Event { seq, body } in events {
            values.extend(values![
                *seq,
                body.at.0,
                body.trace.to_string(),
                body.kind.name(),
                body.level.to_string(),
                body.reader.as_ref().map(ToString::to_string),
                body.device.as_ref().map(ToString::to_string),
                body.user.as_ref().map(ToString::to_string),
                body.job.map(|job| job.to_string()),
                body.message.clone(),
                serde_json::to_string(&body.facts).map_err(StoreError::unreadable("event"))?,
            ]);
        }
        write.run(text, &values).await?;
    }
    Ok(events)
}

fn read(row: &AnyRow) -> Result<Event, StoreError> {
    let bad = StoreError::unreadable("event");
    let text = |column: &str| row.try_get::<String, _>(column).map_err(StoreError::unreadable("event"));
    let maybe = |column: &str| row.try_get::<Option<String>, _>(column).map_err(StoreError::unreadable("event"));
    let level = match text("level")?.as_str() {
        "info" => Level::Info,
        "warning" => Level::Warning,
        "error" => Level::Error,
        other => return Err(bad(format!("level {other:?}"))),
    };
    let facts: BTreeMap<String, String> =
        serde_json::from_str(&text("facts")?).map_err(StoreError::unreadable("event"))?;
    Ok(Event {
        seq: row.try_get("seq").map_err(StoreError::unreadable("event"))?,
        body: EventBody {
            at: Timestamp(row.try_get("at").map_err(StoreError::unreadable("event"))?),
            trace: text("trace")?.parse().map_err(StoreError::unreadable("event"))?,
            kind: text("kind")?.parse().map_err(&bad)?,
            level,
            reader: crate::setup::name(maybe("reader")?)?,
            device: crate::setup::name(maybe("device")?)?,
            user: crate::setup::name(maybe("user_name")?)?,
            job: maybe("job")?.map(|job| job.parse()).transpose().map_err(StoreError::unreadable("event"))?,
            message: text("message")?,
            facts,
        },
    })
}
