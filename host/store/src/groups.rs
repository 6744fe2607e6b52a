//! Groups of users and who is in them.

use std::collections::BTreeMap;

use cardinal_domain::{names::GroupName, site::Origin, sync::Group};
use sqlx::Row as _;

use crate::{
    Store, StoreError,
    sql::{Value, as_json, from_json, places},
};

/// Of how many groups the members are read in one go.
const READ_AT_ONCE: usize = 50;

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
        let mut groups: Vec<Group> = groups.into_values().collect();
        for some in groups.chunks_mut(READ_AT_ONCE) {
            let select = format!(
                "SELECT group_name, {} FROM user_group_member WHERE group_name IN {} GROUP BY group_name",
                as_json(self.place(), "user_name"),
                places(self.place(), 1, some.len())
            );
            let names: Vec<_> = some.iter().map(|group| Value::from(group.name.as_str())).collect();
            for row in self.all("list the members of groups", select, &names).await? {
                let name: &str = row.try_get(0).map_err(bad())?;
                let Some(group) = some.iter_mut().find(|group| group.name.as_str() == name) else { continue };
                for (member,) in from_json::<(String,)>(&row, 1, "group")? {
                    group.members.push(member.parse().map_err(StoreError::unreadable("group"))?);
                }
            }
        }
        // The databases sort letters in other orders.
        groups.iter_mut().for_each(|group| group.members.sort());
        Ok(groups)
    }
}
