//! Users and their cards.

use std::collections::HashSet;

use cardinal_domain::{
    card::CardNumber,
    job::Job,
    names::{GroupName, UserName},
    site::{Origin, User},
};
use sqlx::{Row as _, any::AnyRow};

use crate::{
    Store, StoreError, jobs,
    sql::{Value, places, rows_at_once, values},
    writer::Write,
};

/// `card.slot`: which of a user's two cards it is.
const PRIMARY: i64 = 0;
const SECONDARY: i64 = 1;

/// How many columns of its own a user has.
const COLUMNS: usize = 12;
/// How many users are read in one go.
const READ_AT_ONCE: i64 = 2_000;

/// The columns of a user, with those of a card behind them.
const SELECT: &str = "SELECT u.name, u.full_name, u.email, u.department, u.office, u.other_emails, u.alias, u.home, \
     u.password_hash, u.pin, u.source, u.source_key, c.number, c.slot";

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
        let select = format!(
            "{SELECT} FROM (SELECT * FROM users WHERE name > $1 ORDER BY name LIMIT $2) u \
             LEFT JOIN card c ON c.user_name = u.name ORDER BY u.name, c.slot"
        );
        let mut users: Vec<User> = Vec::new();
        loop {
            // Rows take ten times the room of what they say.
            let last = users.last().map(|user| user.name.as_str()).unwrap_or_default();
            let page = self.all("list users", select.clone(), &values![last, READ_AT_ONCE]).await?;
            if page.is_empty() {
                // The databases sort letters in other orders.
                users.sort_by(|a, b| a.name.cmp(&b.name));
                return Ok(users);
            }
            users.extend(read_all(&page)?);
        }
    }

    /// The user of this name.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn user(&self, name: &UserName) -> Result<Option<User>, StoreError> {
        let select =
            format!("{SELECT} FROM users u LEFT JOIN card c ON c.user_name = u.name WHERE u.name = $1 ORDER BY c.slot");
        let rows = self.all("find a user", select, &values![name.as_str()]).await?;
        Ok(read_all(&rows)?.pop())
    }

    /// Whether the user is in one of these groups.
    ///
    /// # Errors
    /// The database broke.
    pub async fn is_member(&self, user: &UserName, groups: &[GroupName]) -> Result<bool, StoreError> {
        let mut values = vec![Value::from(user.as_str())];
        values.extend(groups.iter().map(|group| Value::from(group.as_str())));
        let places: Vec<_> = (2..values.len() + 1).map(|place| format!("${place}")).collect();
        let select = format!(
            "SELECT 1 FROM user_group_member WHERE user_name = $1 AND group_name IN ({}) LIMIT 1",
            places.join(", ")
        );
        Ok(!groups.is_empty() && !self.all("find a user's groups", select, &values).await?.is_empty())
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
pub(crate) fn read_all(rows: &[AnyRow]) -> Result<Vec<User>, StoreError> {
    let mut users: Vec<User> = Vec::with_capacity(rows.len());
    for row in rows {
        let name: &str = row.try_get(0).map_err(StoreError::unreadable("user"))?;
        if users.last().is_none_or(|last| last.name.as_str() != name) {
            users.push(read(row)?);
        }
        let number: Option<&str> = row.try_get(12).map_err(StoreError::unreadable("card"))?;
        let (Some(number), Some(user)) = (number, users.last_mut()) else { continue };
        let number = CardNumber::new(number).map_err(StoreError::unreadable("card"))?;
        match row.try_get(13).map_err(StoreError::unreadable("card"))? {
            PRIMARY => user.card = Some(number),
            _ => user.second_card = Some(number),
        }
    }
    Ok(users)
}

fn read(row: &AnyRow) -> Result<User, StoreError> {
    let bad = StoreError::unreadable("user");
    let text = |index| row.try_get::<String, _>(index).map_err(StoreError::unreadable("user"));
    let secret = |index| row.try_get::<Option<String>, _>(index).map_err(StoreError::unreadable("user"));
    let other_emails = text(5)?;
    let origin = match (secret(10)?, secret(11)?) {
        (Some(source), Some(key)) => Some(Origin { source: source.parse().map_err(&bad)?, key }),
        _ => None,
    };
    Ok(User {
        full_name: text(1)?,
        email: text(2)?,
        department: text(3)?,
        office: text(4)?,
        other_emails: other_emails.lines().map(str::to_owned).collect(),
        alias: text(6)?,
        home: text(7)?,
        password_hash: secret(8)?.map(TryInto::try_into).transpose().map_err(StoreError::unreadable("user"))?,
        pin: secret(9)?.map(TryInto::try_into).transpose().map_err(StoreError::unreadable("user"))?,
        origin,
        ..User::new(text(0)?.parse().map_err(bad)?)
    })
}

/// Takes all cards of these users away.
pub(crate) async fn free_cards(write: &mut Write, users: &[UserName]) -> Result<(), StoreError> {
    for users in users.chunks(rows_at_once(1)) {
        let names: Vec<_> = users.iter().map(|user| Value::from(user.as_str())).collect();
        write.run(format!("DELETE FROM card WHERE user_name IN {}", places(1, names.len())), &names).await?;
    }
    Ok(())
}

/// Adds users, or changes those of the same names, and gives them their cards, of which they have none now.
pub(crate) async fn put(write: &mut Write, users: &[User]) -> Result<(), StoreError> {
    for users in users.chunks(rows_at_once(COLUMNS)) {
        let columns: Vec<_> = users.iter().flat_map(columns).collect();
        let rows = places(users.len(), COLUMNS);
        let sql = format!(
            "INSERT INTO users (name, full_name, email, department, office, other_emails, alias, home, password_hash, pin, \
             source, source_key) VALUES {rows} ON CONFLICT (name) DO UPDATE SET full_name = excluded.full_name, \
             email = excluded.email, department = excluded.department, office = excluded.office, \
             other_emails = excluded.other_emails, alias = excluded.alias, home = excluded.home, \
             password_hash = excluded.password_hash, pin = excluded.pin, source = excluded.source, \
             source_key = excluded.source_key"
        );
        write.run(sql, &columns).await?;
        give_cards(write, users).await?;
        // Jobs that came before their owner did, or are just coming.
        let names: Vec<_> = users.iter().map(|user| Value::from(user.name.as_str())).collect();
        let sql = format!(
            "UPDATE job SET user_name = owner_name, \
             reason = CASE WHEN state = 'held' THEN 'waits for its owner''s card' ELSE reason END \
             WHERE user_name IS NULL AND state IN ('receiving', 'held') AND owner_name IN {}",
            places(1, names.len())
        );
        write.run(sql, &names).await?;
    }
    Ok(())
}

fn columns(user: &User) -> [Value; COLUMNS] {
    values![
        user.name.as_str(),
        user.full_name.as_str(),
        user.email.as_str(),
        user.department.as_str(),
        user.office.as_str(),
        user.other_emails.join("\n"),
        user.alias.as_str(),
        user.home.as_str(),
        user.password_hash.as_ref().map(|hash| hash.reveal()),
        user.pin.as_ref().map(|pin| pin.reveal()),
        user.origin.as_ref().map(|origin| origin.source.as_str()),
        user.origin.as_ref().map(|origin| origin.key.as_str()),
    ]
}

async fn give_cards(write: &mut Write, users: &[User]) -> Result<(), StoreError> {
    let cards: Vec<_> = users
        .iter()
        .flat_map(|user| [(PRIMARY, &user.card), (SECONDARY, &user.second_card)].map(|(slot, card)| (user, slot, card)))
        .filter_map(|(user, slot, card)| Some((user, slot, card.as_ref()?)))
        .collect();
    for cards in cards.chunks(rows_at_once(3)) {
        let values: Vec<_> =
            cards.iter().flat_map(|(user, slot, card)| values![card.reveal(), user.name.as_str(), *slot]).collect();
        // No error of the database's own: PostgreSQL would write the number into its log.
        let rows = places(cards.len(), 3);
        let sql =
            format!("INSERT INTO card (number, user_name, slot) VALUES {rows} ON CONFLICT DO NOTHING RETURNING number");
        let given = write.all(sql, &values).await?;
        if given.len() < cards.len() {
            let given: HashSet<&str> = given.iter().filter_map(|row| row.try_get(0).ok()).collect();
            let denied = cards.iter().find(|(_, _, card)| !given.contains(card.reveal()));
            let user = denied.map(|(user, ..)| user.name.to_string()).unwrap_or_default();
            return Err(StoreError::CardTaken { user });
        }
    }
    Ok(())
}
