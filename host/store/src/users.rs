//! Users and their cards.

use std::collections::BTreeMap;

use cardinal_domain::{card::CardNumber, job::Job, names::UserName, password::PasswordHash, site::User};
use sqlx::{Row as _, any::AnyRow};

use crate::{Store, StoreError, jobs, sql::values, writer::Write};

/// `card.slot`: which of a user's two cards it is.
const PRIMARY: i64 = 0;
const SECONDARY: i64 = 1;

/// Whose card it is, and what waits for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The user with the card.
    pub user: UserName,
    /// Their held jobs, oldest first: the order in which people expect their paper.
    pub held: Vec<Job>,
}

impl Store {
    /// Every user with their cards, by name.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn users(&self) -> Result<Vec<User>, StoreError> {
        let select = "SELECT u.name, u.full_name, u.email, u.password_hash, c.number, c.slot FROM users u \
             LEFT JOIN card c ON c.user_name = u.name ORDER BY u.name, c.slot";
        let rows = self.all("list users", select, &[]).await?;
        read_all(&rows)
    }

    /// The user of this name.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn user(&self, name: &UserName) -> Result<Option<User>, StoreError> {
        let select = "SELECT u.name, u.full_name, u.email, u.password_hash, c.number, c.slot FROM users u \
             LEFT JOIN card c ON c.user_name = u.name WHERE u.name = $1 ORDER BY c.slot";
        let rows = self.all("find a user", select, &values![name.as_str()]).await?;
        Ok(read_all(&rows)?.pop())
    }

    /// Whose card this is, primary or secondary.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn holder(&self, card: &CardNumber) -> Result<Option<Holder>, StoreError> {
        // One way to the database: a person waits for it.
        let select = "SELECT c.user_name AS holder, j.* FROM card c \
             LEFT JOIN job j ON j.user_name = c.user_name AND j.state = 'held' WHERE c.number = $1 ORDER BY j.number";
        let rows = self.all("find whose card it is", select, &values![card.reveal()]).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let bad = StoreError::unreadable("card");
        let user = UserName::new(first.try_get("holder").map_err(&bad)?).map_err(StoreError::unreadable("card"))?;
        let has_job = first.try_get::<Option<String>, _>("id").map_err(&bad)?.is_some();
        let held = if has_job { rows.iter().map(jobs::read).collect::<Result<_, _>>()? } else { Vec::new() };
        Ok(Some(Holder { user, held }))
    }
}

/// Rows of a user stand together; the second one of a pair brings the second card.
fn read_all(rows: &[AnyRow]) -> Result<Vec<User>, StoreError> {
    let mut users: BTreeMap<UserName, User> = BTreeMap::new();
    for row in rows {
        let text = |index| row.try_get::<String, _>(index).map_err(StoreError::unreadable("user"));
        let name = UserName::new(&text(0)?).map_err(StoreError::unreadable("user"))?;
        let user = users.entry(name.clone()).or_insert(User {
            name,
            full_name: text(1)?,
            email: text(2)?,
            card: None,
            second_card: None,
            password_hash: password_hash(row.try_get(3))?,
        });
        let number: Option<String> = row.try_get(4).map_err(StoreError::unreadable("card"))?;
        if let Some(number) = number {
            let number = CardNumber::new(&number).map_err(StoreError::unreadable("card"))?;
            match row.try_get(5).map_err(StoreError::unreadable("card"))? {
                PRIMARY => user.card = Some(number),
                _ => user.second_card = Some(number),
            }
        }
    }
    Ok(users.into_values().collect())
}

fn password_hash(column: Result<Option<String>, sqlx::Error>) -> Result<Option<PasswordHash>, StoreError> {
    let text = column.map_err(StoreError::unreadable("user"))?;
    text.map(PasswordHash::try_from).transpose().map_err(StoreError::unreadable("user"))
}

pub(crate) async fn free_cards(write: &mut Write, user: &UserName) -> Result<(), StoreError> {
    write.run("DELETE FROM card WHERE user_name = $1", &values![user.as_str()]).await
}

pub(crate) async fn put(write: &mut Write, user: &User) -> Result<(), StoreError> {
    let sql = "INSERT INTO users (name, full_name, email, password_hash) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (name) DO UPDATE SET full_name = excluded.full_name, email = excluded.email, \
               password_hash = excluded.password_hash";
    let hash = user.password_hash.as_ref().map(PasswordHash::reveal);
    let put = values![user.name.as_str(), user.full_name.as_str(), user.email.as_str(), hash];
    write.run(sql, &put).await?;
    for (slot, card) in [(PRIMARY, &user.card), (SECONDARY, &user.second_card)] {
        if let Some(card) = card {
            // No error of the database's own: PostgreSQL would write the number into its log.
            let sql = "INSERT INTO card (number, user_name, slot) VALUES ($1, $2, $3) \
                       ON CONFLICT DO NOTHING RETURNING slot";
            let given = write.first(sql, &values![card.reveal(), user.name.as_str(), slot]).await?;
            if given.is_none() {
                return Err(StoreError::CardTaken { user: user.name.to_string() });
            }
        }
    }
    // Jobs that came before their owner did, or are just coming.
    let sql = "UPDATE job SET user_name = $1, \
               reason = CASE WHEN state = 'held' THEN 'waits for its owner''s card' ELSE reason END \
               WHERE user_name IS NULL AND owner_name = $1 AND state IN ('receiving', 'held')";
    write.run(sql, &values![user.name.as_str()]).await
}
