//! Whose signatures this host believes. A vendor's name belongs to the publisher it was first trusted for.

use cardinal_domain::{
    event::{EventBody, EventKind},
    names::TraceId,
    time::Timestamp,
};
use cardinal_store::Publisher;

use super::{
    DriverError, Drivers,
    signature::{KeyId, PublicKey},
};

/// The vendor whose drivers come with the program.
const OURS: &str = "cardinal";

impl Drivers {
    /// The publishers, those that were withdrawn included.
    pub fn publishers(&self) -> Vec<Publisher> {
        self.policy().publishers
    }

    /// Trusts a key for a vendor's drivers. A vendor that had a key before gets another one only in a `rotation`; both are
    /// good until one is withdrawn. Answers the drivers (`vendor/name`) whose versions may run now, or may not any more.
    ///
    /// # Errors
    /// It is no key, the vendor is no vendor or somebody else's, or the store refused.
    pub async fn trust(
        &self,
        vendor: &str,
        key: &str,
        rotation: bool,
    ) -> Result<(Publisher, Vec<String>), DriverError> {
        let refused = |why: String| Err(DriverError::Refused(why));
        let key: PublicKey = match key.parse() {
            Ok(key) => key,
            Err(error) => return refused(format!("{error}")),
        };
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if vendor.is_empty() || vendor.len() > 40 || !vendor.chars().all(letters) {
            return refused(format!(
                "{vendor:?} is no vendor; it is the first word of a driver's name, as in acme/line"
            ));
        }
        if vendor == OURS {
            return refused(format!(
                "vendor {OURS} belongs to the drivers that come with this program; no key is trusted for it"
            ));
        }
        let _changing = self.changing.lock().await;
        let publishers = self.publishers();
        let of_vendor: Vec<_> = publishers.iter().filter(|of| of.vendor == vendor).collect();
        let same = of_vendor.iter().find(|of| of.key_id == key.id.to_string());
        if same.is_some_and(|same| same.public_key != key.text) {
            return refused(format!(
                "another key with the id {} is known for vendor {vendor}; this one is a forgery or an accident: make another",
                key.id
            ));
        }
        if let Some(same) = same.filter(|same| same.withdrawn.is_none()) {
            // An earlier attempt may have come no further than the store.
            return Ok(((*same).clone(), self.review(vendor).await?));
        }
        if let Some(first) = of_vendor.first().filter(|_| !rotation) {
            return refused(format!(
                "vendor {vendor} belongs to the publisher with key {} (trusted since {}); if that publisher says that {} \
                 is its key, too, say --rotate",
                first.key_id, first.trusted, key.id
            ));
        }
        let publisher = Publisher {
            vendor: vendor.to_owned(),
            key_id: key.id.to_string(),
            public_key: key.text,
            trusted: Timestamp::now(),
            withdrawn: None,
        };
        let words = if rotation { "trusted, too," } else { "trusted" };
        let message = format!("key {} is {words} for the drivers of {vendor}", publisher.key_id);
        self.put_publisher(&publisher, EventKind::PublisherTrusted, message).await?;
        let changed = self.review(vendor).await?;
        Ok((publisher, changed))
    }

    /// Trusts a key no longer. Drivers that it alone signed are not run from now on; answers them, as
    /// [`trust`](Self::trust) does.
    ///
    /// # Errors
    /// It was not trusted for that vendor, or the store refused.
    pub async fn withdraw(&self, vendor: &str, key: KeyId) -> Result<(Publisher, Vec<String>), DriverError> {
        let _changing = self.changing.lock().await;
        let publishers = self.publishers();
        let found = publishers.into_iter().find(|of| of.vendor == vendor && of.key_id == key.to_string());
        let Some(mut publisher) = found else {
            return Err(DriverError::NoPublisher { vendor: vendor.to_owned(), key });
        };
        // Reviewed in any case: an earlier attempt may have come no further than the store.
        if publisher.withdrawn.is_none() {
            publisher.withdrawn = Some(Timestamp::now());
            let message = format!("key {key} is not trusted any more for the drivers of {vendor}");
            self.put_publisher(&publisher, EventKind::PublisherWithdrawn, message).await?;
        }
        let changed = self.review(vendor).await?;
        Ok((publisher, changed))
    }

    async fn put_publisher(&self, publisher: &Publisher, kind: EventKind, message: String) -> Result<(), DriverError> {
        let event = EventBody::new(TraceId::new(), kind, message)
            .fact("vendor", publisher.vendor.clone())
            .fact("key", publisher.key_id.clone());
        self.store.put_publisher(publisher, vec![event]).await?;
        self.believe(self.store.publishers().await?);
        Ok(())
    }
}
