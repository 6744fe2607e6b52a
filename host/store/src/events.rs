//! Events, in the order in which they were committed.

use std::collections::BTreeMap;

use cardinal_domain::{
    event::{Event, EventBody, EventKind, Level},
    names::{ReaderName, TraceId, UserName},
    time::Timestamp,
};
use sqlx::{Any, Row as _, Transaction, any::AnyRow};

use crate::{Store, StoreError};

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
        let text = |value: Option<String>| value.unwrap_or_default();
        // Whole statements: neither an ORDER BY nor the use of an index can be a parameter.
        macro_rules! select {
            ($trace:literal, $order:literal) => {
                concat!(
                    "SELECT * FROM event WHERE seq > $1 AND ($2 = '' OR reader = $2) AND ($3 = '' OR user_name = $3) AND ",
                    $trace,
                    " AND ($5 = '' OR kind = $5) ORDER BY seq ",
                    $order,
                    " LIMIT $6"
                )
            };
        }
        let sql = match (filter.trace.is_some(), filter.after.is_some()) {
            (true, true) => select!("trace = $4", "ASC"),
            (true, false) => select!("trace = $4", "DESC"),
            (false, true) => select!("$4 = ''", "ASC"),
            (false, false) => select!("$4 = ''", "DESC"),
        };
        let rows = sqlx::query(sql)
            .bind(filter.after.unwrap_or(-1))
            .bind(text(filter.reader.as_ref().map(ToString::to_string)))
            .bind(text(filter.user.as_ref().map(ToString::to_string)))
            .bind(text(filter.trace.map(|trace| trace.to_string())))
            .bind(text(filter.kind.map(|kind| kind.name().to_owned())))
            .bind(filter.limit.max(0))
            .fetch_all(&self.inner.pool)
            .await
            .map_err(StoreError::sql("list events"))?;
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
        let row = sqlx::query("SELECT value FROM counter WHERE name = 'event'")
            .fetch_one(&self.inner.pool)
            .await
            .map_err(StoreError::sql("read a counter"))?;
        row.try_get(0).map_err(StoreError::unreadable("counter"))
    }
}

/// The value of a counter after raising it.
pub(crate) async fn count(tx: &mut Transaction<'static, Any>, name: &str, by: i64) -> Result<i64, StoreError> {
    let row = sqlx::query("UPDATE counter SET value = value + $1 WHERE name = $2 RETURNING value")
        .bind(by)
        .bind(name)
        .fetch_one(&mut **tx)
        .await
        .map_err(StoreError::sql("raise a counter"))?;
    row.try_get(0).map_err(StoreError::unreadable("counter"))
}

pub(crate) async fn insert(
    tx: &mut Transaction<'static, Any>,
    bodies: Vec<EventBody>,
) -> Result<Vec<Event>, StoreError> {
    let many = i64::try_from(bodies.len()).unwrap_or(i64::MAX);
    if many == 0 {
        return Ok(Vec::new());
    }
    let mut seq = count(tx, "event", many).await? - many;
    let mut events = Vec::with_capacity(bodies.len());
    for body in bodies {
        seq += 1;
        sqlx::query(
            "INSERT INTO event (seq, at, trace, kind, level, reader, device, user_name, job, message, facts) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(seq)
        .bind(body.at.0)
        .bind(body.trace.to_string())
        .bind(body.kind.name())
        .bind(body.level.to_string())
        .bind(body.reader.as_ref().map(ToString::to_string))
        .bind(body.device.as_ref().map(ToString::to_string))
        .bind(body.user.as_ref().map(ToString::to_string))
        .bind(body.job.map(|job| job.to_string()))
        .bind(body.message.clone())
        .bind(serde_json::to_string(&body.facts).map_err(StoreError::unreadable("event"))?)
        .execute(&mut **tx)
        .await
        .map_err(StoreError::sql("store an event"))?;
        events.push(Event { seq, body });
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
