//! Users and their cards.

use std::collections::HashSet;

use cardinal_domain::{
    card::CardNumber,
    job::Job,
    names::{GroupName, UserName},
    site::{Origin, User},
};
use sqlx::Row as _;

use crate::{
    Store, StoreError, jobs,
    sql::{Value, as_json, from_json, places, rows_at_once, values},
    writer::Write,
};

/// `card.slot`: which of a user's two cards it is.
const PRIMARY: i64 = 0;
const SECONDARY: i64 = 1;

/// How many columns of its own a user has.
const COLUMNS: usize = 12;
/// How many users are read in one go.
const READ_AT_ONCE: i64 = 2_000;

/// The columns of a user, with those of their cards behind them; as many as a [`UserRow`] has.
const SELECTED: &str = "u.name, u.full_name, u.email, u.department, u.office, u.other_emails, u.alias, u.home, \
     u.password_hash, u.pin, u.source, u.source_key, p.number, s.number";
/// Where they stand.
const CARDS: &str = "LEFT JOIN card p ON p.user_name = u.name AND p.slot = 0 \
     LEFT JOIN card s ON s.user_name = u.name AND s.slot = 1";

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
        // The last name is as the database sorts letters.
        let select = format!(
            "SELECT {}, max(u.name) FROM (SELECT * FROM users WHERE name > $1 ORDER BY name LIMIT $2) u {CARDS}",
            as_json(self.place(), SELECTED)
        );
        let mut users: Vec<User> = Vec::new();
        let mut last = String::new();
        loop {
            let page = self.all("list users", select.clone(), &values![last.as_str(), READ_AT_ONCE]).await?;
            let row = page.first().ok_or_else(|| StoreError::unreadable("user")("no row"))?;
            let Some(end) = row.try_get(1).map_err(StoreError::unreadable("user"))? else {
                users.sort_by(|a, b| a.name.cmp(&b.name));
                return Ok(users);
            };
            last = end;
            for row in from_json(row, 0, "user")? {
                users.push(read(row)?);
            }
        }
    }

    /// The user of this name.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn user(&self, name: &UserName) -> Result<Option<User>, StoreError> {
        let select = format!("SELECT {} FROM users u {CARDS} WHERE u.name = $1", as_json(self.place(), SELECTED));
        let rows = self.all("find a user", select, &values![name.as_str()]).await?;
        let row = rows.first().ok_or_else(|| StoreError::unreadable("user")("no row"))?;
        from_json(row, 0, "user")?.pop().map(read).transpose()
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

/// A row of [`SELECTED`].
type UserRow = (
    String,
    String,
    String,
    String,
    String,
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
);

fn read(row: UserRow) -> Result<User, StoreError> {
    let (
        name,
        full_name,
        email,
        department,
        office,
        other_emails,
        alias,
        home,
        hash,
        pin,
        source,
        key,
        card,
        second_card,
    ) = row;
    let bad = StoreError::unreadable("user");
    let number = |number: Option<String>| number.map(|number| CardNumber::new(&number)).transpose();
    let bad_card = StoreError::unreadable("card");
    let origin = match (source, key) {
        (Some(source), Some(key)) => Some(Origin { source: source.parse().map_err(&bad)?, key }),
        _ => None,
    };
    Ok(User {
        name: name.parse().map_err(bad)?,
        full_name,
        email,
        department,
        office,
        other_emails: other_emails.lines().map(str::to_owned).collect(),
        alias,
        home,
        card: number(card).map_err(&bad_card)?,
        second_card: number(second_card).map_err(bad_card)?,
        password_hash: hash.map(TryInto::try_into).transpose().map_err(StoreError::unreadable("user"))?,
        pin: pin.map(TryInto::try_into).transpose().map_err(StoreError::unreadable("user"))?,
        origin,
    })
}

/// Takes all cards of these users away.
pub(crate) async fn free_cards(write: &mut Write, users: &[&UserName]) -> Result<(), StoreError> {
    for users in users.chunks(rows_at_once(1)) {
        let names: Vec<_> = users.iter().map(|user| Value::from(user.as_str())).collect();
        write
            .run(format!("DELETE FROM card WHERE user_name IN {}", places(write.place(), 1, names.len())), &names)
            .await?;
    }
    Ok(())
}

/// Adds users, or changes those of the same names, and gives them their cards, of which they have none now.
pub(crate) async fn put(write: &mut Write, users: &[&User]) -> Result<(), StoreError> {
    for users in users.chunks(rows_at_once(COLUMNS)) {
        let columns: Vec<_> = users.iter().copied().flat_map(columns).collect();
        let rows = places(write.place(), users.len(), COLUMNS);
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
        adopt_jobs(write, &users.iter().map(|user| &user.name).collect::<Vec<_>>()).await?;
    }
    Ok(())
}

/// Gives users their jobs that came before they did, or are just coming.
pub(crate) async fn adopt_jobs(write: &mut Write, users: &[&UserName]) -> Result<(), StoreError> {
    for users in users.chunks(rows_at_once(1)) {
        let names: Vec<_> = users.iter().map(|user| Value::from(user.as_str())).collect();
        let sql = format!(
            "UPDATE job SET user_name = owner_name, \
             reason = CASE WHEN state = 'held' THEN 'waits for its owner''s card' ELSE reason END \
             WHERE user_name IS NULL AND state IN ('receiving', 'held') AND owner_name IN {}",
            places(write.place(), 1, names.len())
        );
        write.run(sql, &names).await?;
    }
    Ok(())
}

/// Takes the open jobs of these names, whose users were removed, from whoever has the name next.
pub(crate) async fn orphan_jobs(write: &mut Write, names: &[&UserName]) -> Result<(), StoreError> {
    for names in names.chunks(rows_at_once(1)) {
        let names: Vec<_> = names.iter().map(|name| Value::from(name.as_str())).collect();
        let sql = format!(
            "UPDATE job SET user_name = NULL, owner_name = NULL, signed_in = NULL, reason = 'its owner was removed' \
             WHERE state IN ('receiving', 'held') AND user_name IN {}",
            places(write.place(), 1, names.len())
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

async fn give_cards(write: &mut Write, users: &[&User]) -> Result<(), StoreError> {
    let cards: Vec<_> = users
        .iter()
        .flat_map(|user| [(PRIMARY, &user.card), (SECONDARY, &user.second_card)].map(|(slot, card)| (user, slot, card)))
        .filter_map(|(user, slot, card)| Some((user, slot, card.as_ref()?)))
        .collect();
    for cards in cards.chunks(rows_at_once(3)) {
        let values: Vec<_> =
            cards.iter().flat_map(|(user, slot, card)| values![card.reveal(), user.name.as_str(), *slot]).collect();
        // No error of the database's own: PostgreSQL would write the number into its log.
        let rows = places(write.place(), cards.len(), 3);
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
