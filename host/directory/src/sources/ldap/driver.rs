//! The task that moves the messages of a connection. Those who wait for an answer are told by the library only that none will
//! come; why not, this task knows.

use std::time::Duration;

use ldap3::LdapConnAsync;
use tokio::{task::JoinHandle, time::timeout};

use super::LdapError;

/// How long the task may take to end after it stopped answering.
const ENDING: Duration = Duration::from_secs(1);
/// What the library says of bytes that are no LDAP; it has no kind of error for them.
const MALFORMED: &str = "decoding error";

/// The task. Dropped, it ends, and the connection with it.
pub(super) struct Driver(Option<JoinHandle<ldap3::result::Result<()>>>);

impl Driver {
    pub(super) fn of(connection: LdapConnAsync) -> Self {
        Self(Some(tokio::spawn(connection.drive())))
    }

    /// Why no answer will come.
    pub(super) async fn why(&mut self) -> LdapError {
        let Some(task) = self.0.take() else { return LdapError::Closed("it had ended before".into()) };
        let stop = task.abort_handle();
        match timeout(ENDING, task).await {
            Ok(Ok(Ok(()))) => LdapError::Closed("end of the connection".into()),
            Ok(Ok(Err(ldap3::LdapError::Io { source }))) if source.to_string() != MALFORMED => {
                LdapError::Closed(source.to_string())
            }
            // Some of what is malformed makes the library panic.
            Ok(Ok(Err(_)) | Err(_)) => LdapError::Protocol("a message is malformed"),
            Err(_) => {
                stop.abort();
                LdapError::Closed("it stopped answering".into())
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
