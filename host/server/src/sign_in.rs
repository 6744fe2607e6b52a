//! Signing in to print: a name and a password against `User.password_hash`.
//!
//! Checking a password is made slow on purpose (argon2id), so it is done beside the async threads, and only so many at a
//! time. A name that is not known, or has no password, takes as long as a wrong password: nobody learns who is there. A
//! password that was right a short while ago is known again without that (`proven`).

mod proven;

use std::{
    fmt,
    sync::{Arc, LazyLock},
    time::Instant,
};

use anyhow::{Context as _, Result, anyhow, bail};
use argon2::{
    Argon2, Params,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc},
};
use cardinal_domain::{names::UserName, password::PasswordHash};
use cardinal_release::{SignIn, SignInError};
use cardinal_store::Store;
use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::sync::Semaphore;

use self::proven::Proven;

/// How many passwords are checked at the same time; each takes 19 MiB for some hundredths of a second.
const AT_ONCE: usize = 4;
/// The longest password, in bytes: longer ones only keep the host busy.
pub const LONGEST_PASSWORD: usize = 512;
/// A hash made elsewhere may ask for more memory and rounds than ours; up to this, in KiB and rounds.
const MOST_MEMORY_KIB: u32 = 256 << 10;
const MOST_ROUNDS: u32 = 16;

/// The hash of a password that nobody has, for names that are not known.
static NOBODY: LazyLock<Option<PasswordHash>> = LazyLock::new(|| {
    let password: [u8; 32] = rand::random();
    make(&password).ok()
});

/// The hash of a password as it is kept: argon2id with the parameters that OWASP recommends (the library's own).
///
/// # Errors
/// The password is empty, or longer than anybody types.
pub fn hash(password: &str) -> Result<PasswordHash> {
    if password.is_empty() {
        bail!("an empty password is none; to take a password away, use --clear");
    }
    if password.len() > LONGEST_PASSWORD {
        bail!("a password may have {LONGEST_PASSWORD} bytes at most");
    }
    make(password.as_bytes())
}

fn make(password: &[u8]) -> Result<PasswordHash> {
    let hash = Argon2::default().hash_password(password).map_err(|error| anyhow!("cannot hash a password: {error}"))?;
    PasswordHash::try_from(hash.to_string()).map_err(|error| anyhow!(error)).context("a new hash is none of ours")
}

/// Whether this password is the one that was hashed. A hash that would take the host down to check fits nothing.
fn fits(password: &str, hash: &PasswordHash) -> bool {
    let Ok(hash) = phc::PasswordHash::new(hash.reveal()) else { return false };
    match Params::try_from(&hash) {
        Ok(params) if params.m_cost() <= MOST_MEMORY_KIB && params.t_cost() <= MOST_ROUNDS => {
            Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
        }
        _ => {
            tracing::warn!("a password's hash asks for more memory or rounds than a host gives; set the password anew");
            false
        }
    }
}

/// Checks passwords against the users in the store.
pub struct Passwords {
    store: Store,
    at_once: Arc<Semaphore>,
    proven: Proven,
    /// How many passwords were checked slowly.
    #[cfg(test)]
    slow: std::sync::atomic::AtomicUsize,
}

impl Passwords {
    pub fn new(store: Store) -> Self {
        Self {
            store,
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            proven: Proven::new(),
            #[cfg(test)]
            slow: Default::default(),
        }
    }

    async fn check(&self, name: &str, password: &str) -> Result<Option<UserName>> {
        if password.is_empty() || password.len() > LONGEST_PASSWORD {
            return Ok(None);
        }
        let user = match UserName::new(name) {
            Ok(name) => self.store.user(&name).await?,
            Err(_) => None,
        };
        let (name, hash) = match user {
            Some(user) if user.password_hash.is_some() => (Some(user.name), user.password_hash),
            _ => (None, None),
        };
        if let (Some(name), Some(hash)) = (&name, &hash)
            && self.proven.knows(name, password, hash, Instant::now())
        {
            return Ok(Some(name.clone()));
        }
        let fits = self.check_slowly(password, hash.clone()).await?;
        let name = name.filter(|_| fits);
        if let (Some(name), Some(hash)) = (&name, &hash) {
            self.proven.keep(name.clone(), password, hash, Instant::now());
        }
        Ok(name)
    }

    async fn check_slowly(&self, password: &str, hash: Option<PasswordHash>) -> Result<bool> {
        let permit = Arc::clone(&self.at_once).acquire_owned().await?;
        #[cfg(test)]
        self.slow.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let password = password.to_owned();
        let fits = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            // Made here, by the first who asks: beside the async threads, too.
            hash.or_else(|| NOBODY.clone()).is_some_and(|hash| fits(&password, &hash))
        });
        Ok(fits.await?)
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passwords")
    }
}

impl SignIn for Passwords {
    fn sign_in<'a>(&'a self, name: &'a str, password: &'a str) -> BoxFuture<'a, Result<Option<UserName>, SignInError>> {
        async move { self.check(name, password).await.map_err(|error| SignInError(error.into())) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use cardinal_domain::{plan::Change, site::User};
    use cardinal_store::Durability;

    use super::*;

    #[test]
    fn a_password_fits_its_own_hash_alone() {
        let hash = hash("geheim").unwrap();
        assert!(fits("geheim", &hash) && !fits("Geheim", &hash) && !fits("", &hash));
        assert_ne!(hash, super::hash("geheim").unwrap(), "a salt of its own");
        assert!(super::hash("").is_err() && super::hash(&"x".repeat(513)).is_err());
        // Made elsewhere, to take the host down.
        let huge = "$argon2id$v=19$m=4294967295,t=4294967295,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA".to_owned();
        assert!(!fits("geheim", &huge.try_into().unwrap()));
    }

    fn user(name: &str, password: Option<&str>) -> User {
        let password_hash = password.map(|password| hash(password).unwrap());
        User { password_hash, ..User::new(name.parse().unwrap()) }
    }

    #[tokio::test]
    async fn who_signs_in_is_known_and_has_the_password() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store.db"), Durability::Process).await.unwrap();
        let users = [user("ada", Some("geheim")), user("bob", None)].map(Change::PutUser);
        store.apply(&users, vec![]).await.unwrap();
        let passwords = Passwords::new(store);
        for (name, password, expected) in [
            ("ada", "geheim", Some("ada")),
            ("Ada", "geheim", Some("ada")),
            ("ada", "wrong", None),
            ("ada", "", None),
            ("bob", "geheim", None),
            ("bob", "", None),
            ("eve", "geheim", None),
            ("no/name", "geheim", None),
        ] {
            let signed_in = passwords.sign_in(name, password).await.unwrap();
            assert_eq!(signed_in.as_ref().map(UserName::as_str), expected, "{name} {password:?}");
        }
    }

    #[tokio::test]
    async fn a_right_password_is_checked_slowly_once_and_a_changed_one_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store.db"), Durability::Process).await.unwrap();
        let put = async |password| store.apply(&[Change::PutUser(user("ada", password))], vec![]).await.unwrap();
        put(Some("geheim")).await;
        let passwords = Passwords::new(store.clone());
        // Whether it is right, and how many slow checks that took.
        let shown = async |name: &str, password: &str| {
            let before = passwords.slow.load(Ordering::SeqCst);
            let is_right = passwords.sign_in(name, password).await.unwrap().is_some();
            (is_right, passwords.slow.load(Ordering::SeqCst) - before)
        };
        assert_eq!(shown("ada", "geheim").await, (true, 1));
        assert_eq!(shown("ada", "geheim").await, (true, 0));
        assert_eq!(shown("ADA", "geheim").await, (true, 0));
        // A wrong one is checked each time, and takes nothing from the right one; so is a name that nobody has.
        for (name, password) in [("ada", "wrong"), ("ada", "wrong"), ("eve", "geheim"), ("eve", "geheim")] {
            assert_eq!(shown(name, password).await, (false, 1));
        }
        assert_eq!(shown("ada", "geheim").await, (true, 0));

        put(Some("neu")).await;
        assert_eq!(shown("ada", "geheim").await, (false, 1));
        assert_eq!(shown("ada", "neu").await, (true, 1));
        assert_eq!(shown("ada", "neu").await, (true, 0));
        // The same password with a salt of its own is another one.
        put(Some("neu")).await;
        assert_eq!(shown("ada", "neu").await, (true, 1));
        put(None).await;
        assert_eq!(shown("ada", "neu").await, (false, 1));
        store.apply(&[Change::RemoveUser(user("ada", None))], vec![]).await.unwrap();
        assert_eq!(shown("ada", "neu").await, (false, 1));
    }
}
