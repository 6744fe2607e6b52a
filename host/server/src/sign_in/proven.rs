//! Passwords that were right a short while ago: a print is several requests, and each would be checked slowly anew.
//!
//! What is kept is a keyed hash (HMAC-SHA-256, RFC 2104) of the password together with the stored hash that it fitted, under
//! a key that this process alone has, and never writes down. So a changed password is another entry. Who reads this process's
//! memory in those minutes can try passwords quickly; who reads the store cannot. Nothing is kept of a wrong password.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use cardinal_domain::{names::UserName, password::PasswordHash};
use ring::hmac;

/// How long a password is known from its last slow check: a sitting at a desk. It is not longer for being used.
const KNOWN_FOR: Duration = Duration::from_secs(300);
/// How many users' passwords are known at a time, about 200 bytes each; beyond that, those are forgotten that were checked
/// longest ago.
const MOST_KNOWN: usize = 1024;

/// Who showed their password a short while ago.
pub(super) struct Proven {
    key: hmac::Key,
    by_user: Mutex<HashMap<UserName, Proof>>,
}

struct Proof {
    tag: hmac::Tag,
    since: Instant,
}

impl Proven {
    pub(super) fn new() -> Self {
        let key: [u8; 32] = rand::random();
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), by_user: Mutex::default() }
    }

    /// Whether this password was found to fit this stored hash a short while ago. Takes as long for any password.
    pub(super) fn knows(&self, user: &UserName, password: &str, hash: &PasswordHash, now: Instant) -> bool {
        let all = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |proof: &&Proof| now.duration_since(proof.since) < KNOWN_FOR;
        all.get(user)
            .filter(fresh)
            .is_some_and(|proof| hmac::verify(&self.key, &both(password, hash), proof.tag.as_ref()).is_ok())
    }

    /// This password fits this stored hash.
    pub(super) fn keep(&self, user: UserName, password: &str, hash: &PasswordHash, now: Instant) {
        let proof = Proof { tag: hmac::sign(&self.key, &both(password, hash)), since: now };
        let mut all = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, proof| now.duration_since(proof.since) < KNOWN_FOR);
        if all.len() >= MOST_KNOWN
            && !all.contains_key(&user)
            && let Some(oldest) = all.iter().min_by_key(|(_, proof)| proof.since).map(|(user, _)| user.clone())
        {
            all.remove(&oldest);
        }
        all.insert(user, proof);
    }
}

/// Both in one piece. A stored hash has no NUL in it, so no two pairs are the same piece.
fn both(password: &str, hash: &PasswordHash) -> Vec<u8> {
    [hash.reveal().as_bytes(), b"\0", password.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(salt: &str) -> PasswordHash {
        format!("$argon2id$v=19$m=8,t=1,p=1${salt}$aGFzaA").try_into().unwrap()
    }

    fn user(name: &str) -> UserName {
        name.parse().unwrap()
    }

    #[test]
    fn a_password_is_known_for_its_user_its_hash_and_a_while() {
        let (proven, begun) = (Proven::new(), Instant::now());
        let (ada, first, second) = (user("ada"), hash("Zmlyc3Q"), hash("c2Vjb25k"));
        assert!(!proven.knows(&ada, "geheim", &first, begun));
        proven.keep(ada.clone(), "geheim", &first, begun);
        assert!(proven.knows(&ada, "geheim", &first, begun));
        for (name, password, hash) in
            [("ada", "Geheim", &first), ("ada", "", &first), ("ada", "geheim", &second), ("bob", "geheim", &first)]
        {
            assert!(!proven.knows(&user(name), password, hash, begun), "{name} {password:?}");
        }
        // Being used makes it no younger.
        let last = begun + KNOWN_FOR - Duration::from_millis(1);
        assert!(proven.knows(&ada, "geheim", &first, last));
        assert!(!proven.knows(&ada, "geheim", &first, begun + KNOWN_FOR));
        // Another password takes the place of the one before.
        proven.keep(ada.clone(), "neu", &second, last);
        assert!(proven.knows(&ada, "neu", &second, last) && !proven.knows(&ada, "geheim", &first, last));
    }

    #[test]
    fn so_many_are_known_and_those_of_late() {
        let (proven, begun, hash) = (Proven::new(), Instant::now(), hash("c2FsdA"));
        let at = |number: usize| begun + Duration::from_millis(u64::try_from(number).unwrap());
        for number in 0..MOST_KNOWN + 2 {
            proven.keep(user(&format!("user-{number}")), "geheim", &hash, at(number));
        }
        let knows = |number: usize| proven.knows(&user(&format!("user-{number}")), "geheim", &hash, at(MOST_KNOWN + 1));
        assert_eq!([knows(0), knows(1), knows(2), knows(MOST_KNOWN + 1)], [false, false, true, true]);
        // What is too old makes room.
        proven.keep(user("late"), "geheim", &hash, at(MOST_KNOWN + 1) + KNOWN_FOR);
        assert_eq!(proven.by_user.lock().unwrap().len(), 1);
    }
}
