//! Lists of jobs: filtered, searched, a page at a time.

use cardinal_domain::{
    job::{Job, JobState},
    names::{QueueName, UserName},
};

use crate::{
    Store, StoreError, jobs,
    sql::{Value, values},
};

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only in this queue.
    pub queue: Option<QueueName>,
    /// Only this user's.
    pub user: Option<UserName>,
    /// Only in this state.
    pub state: Option<JobState>,
    /// Only those not at their end.
    pub open: bool,
    /// Only those with this text in their owner, their user or their name, whatever the case of its letters.
    pub search: Option<String>,
    /// Only those with a lower number: the last of the page before.
    pub before: Option<i32>,
    /// At most so many, newest first.
    pub limit: i64,
}

impl Store {
    /// The jobs that fit, newest first.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, StoreError> {
        let (text, values) = statement(filter);
        let rows = self.all("list jobs", text, &values).await?;
        rows.iter().map(jobs::read).collect()
    }
}

/// Only what is asked for is said: a condition that may be empty would keep an index from being used.
fn statement(filter: &JobFilter) -> (String, Vec<Value>) {
    let mut text = "SELECT * FROM job WHERE number < $1".to_owned();
    let mut values: Vec<Value> = values![filter.before.map_or(i64::MAX, i64::from)].into();
    let wanted = [
        (" AND queue = $", "", filter.queue.as_ref().map(ToString::to_string)),
        (" AND user_name = $", "", filter.user.as_ref().map(ToString::to_string)),
        (" AND state = $", "", filter.state.map(|state| state.as_str().to_owned())),
        (" AND folded LIKE $", " ESCAPE '!'", filter.search.as_deref().map(containing)),
    ];
    for (condition, end, value) in wanted {
        if let Some(value) = value {
            values.push(value.into());
            text.push_str(&format!("{condition}{}{end}", values.len()));
        }
    }
    if filter.open {
        // Word for word as the indexes of open jobs say it.
        text.push_str(" AND state NOT IN ('delivered', 'cancelled')");
    }
    values.push(filter.limit.max(0).into());
    text.push_str(&format!(" ORDER BY number DESC LIMIT ${}", values.len()));
    (text, values)
}

/// The pattern of a text that contains this, whatever characters it has. A line's end would reach from one column into
/// the next.
fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern + "%"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_for_its_characters_and_nothing_else() {
        assert_eq!(containing("50%_Ü!"), "%50!%!_ü!!%");
        assert_eq!(containing(""), "%%");
    }
}
