//! Groups of users and who is in them.

use std::collections::BTreeMap;

use cardinal_domain::{
    names::{GroupName, UserName},
    site::Origin,
    sync::Group,
};
use sqlx::Row as _;

use crate::{Store, StoreError, sql::values};

/// How many memberships are read in one go.
const READ_AT_ONCE: i64 = 10_000;

impl Store {
    /// Every group with its members, by name.
    ///
    /// # Errors
    /// The database broke, or holds a row that cannot be read.
    pub async fn groups(&self) -> Result<Vec<Group>, StoreError> {
        let bad = || StoreError::unreadable("group");
        let mut groups = BTreeMap::new();
        for row in self.all("list groups", "SELECT name, source, source_key FROM user_group", &[]).await? {
            let text = |at| row.try_get::<String, _>(at).map_err(bad());
            let name: GroupName = text(0)?.parse().map_err(StoreError::unreadable("group"))?;
            let source = text(1)?.parse().map_err(StoreError::unreadable("group"))?;
            groups.insert(name.clone(), Group { name, origin: Origin { source, key: text(2)? }, members: Vec::new() });
        }
        let (mut last_group, mut last_user) = (String::new(), String::new());
        loop {
            let select = "SELECT group_name, user_name FROM user_group_member \
                          WHERE (group_name, user_name) > ($1, $2) ORDER BY group_name, user_name LIMIT $3";
            let after = values![last_group.as_str(), last_user.as_str(), READ_AT_ONCE];
            let rows = self.all("list the members of groups", select, &after).await?;
            for row in &rows {
                let text = |at| row.try_get::<String, _>(at).map_err(bad());
                (last_group, last_user) = (text(0)?, text(1)?);
                let user: UserName = last_user.parse().map_err(StoreError::unreadable("group"))?;
                if let Some(group) = GroupName::new(&last_group).ok().and_then(|name| groups.get_mut(&name)) {
                    group.members.push(user);
                }
            }
            if rows.is_empty() {
                break;
            }
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        // The databases sort letters in other orders.
        groups.iter_mut().for_each(|group| group.members.sort());
        Ok(groups)
    }
}
