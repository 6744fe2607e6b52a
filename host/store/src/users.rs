//! Users and their cards.

use std::collections::BTreeMap;

use cardinal_domain::{card::CardNumber, names::UserName, password::PasswordHash, site::User};
use sqlx::{Row as _, any::AnyRow};

use crate::{Store, StoreError, connect::Write, setup::run};

/// `card.slot`: which of a user's two cards it is.
const PRIMARY: i64 = 0;
const SECONDARY: i64 = 1;

impl Store {
    /// Every user with their cards, by name.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn users(&self) -> Result<Vec<User>, StoreError> {
        let rows = sqlx::query(
            "SELECT u.name, u.full_name, u.email, u.password_hash, c.number, c.slot FROM users u \
             LEFT JOIN card c ON c.user_name = u.name ORDER BY u.name, c.slot",
        )
        .fetch_all(&self.inner.pool)
        .await
        .map_err(StoreError::sql("list users"))?;
        read_all(&rows)
    }

    /// The user of this name.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn user(&self, name: &UserName) -> Result<Option<User>, StoreError> {
        let rows = sqlx::query(
            "SELECT u.name, u.full_name, u.email, u.password_hash, c.number, c.slot FROM users u \
             LEFT JOIN card c ON c.user_name = u.name WHERE u.name = $1 ORDER BY c.slot",
        )
        .bind(name.to_string())
        .fetch_all(&self.inner.pool)
        .await
        .map_err(StoreError::sql("find a user"))?;
        Ok(read_all(&rows)?.pop())
    }

    /// The user with this card, primary or secondary.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn user_by_card(&self, card: &CardNumber) -> Result<Option<UserName>, StoreError> {
        let row = sqlx::query("SELECT user_name FROM card WHERE number = $1")
            .bind(card.reveal().to_owned())
            .fetch_optional(&self.inner.pool)
            .await
            .map_err(StoreError::sql("find the user of a card"))?;
        match row {
            Some(row) => crate::setup::name(row.try_get(0).map_err(StoreError::unreadable("card"))?),
            None => Ok(None),
        }
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

pub(crate) async fn free_cards(write: &mut Write<'_>, user: &UserName) -> Result<(), StoreError> {
    run(write, "DELETE FROM card WHERE user_name = $1", &[Some(user.as_str())]).await
}

pub(crate) async fn put(write: &mut Write<'_>, user: &User) -> Result<(), StoreError> {
    let sql = "INSERT INTO users (name, full_name, email, password_hash) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (name) DO UPDATE SET full_name = excluded.full_name, email = excluded.email, \
               password_hash = excluded.password_hash";
    let hash = user.password_hash.as_ref().map(PasswordHash::reveal);
    run(write, sql, &[Some(user.name.as_str()), Some(&user.full_name), Some(&user.email), hash]).await?;
    for (slot, card) in [(PRIMARY, &user.card), (SECONDARY, &user.second_card)] {
        if let Some(card) = card {
            sqlx::query("INSERT INTO card (number, user_name, slot) VALUES ($1, $2, $3)")
                .bind(card.reveal().to_owned())
                .bind(user.name.to_string())
                .bind(slot)
                .execute(&mut *write.tx)
                .await
                .map_err(StoreError::sql("give a card to a user (another user has it)"))?;
        }
    }
    // Jobs that came before their owner did, or are just coming.
    let sql = "UPDATE job SET user_name = $1, \
               reason = CASE WHEN state = 'held' THEN 'waits for its owner''s card' ELSE reason END \
               WHERE user_name IS NULL AND owner_name = $1 AND state IN ('receiving', 'held')";
    run(write, sql, &[Some(user.name.as_str())]).await
}
